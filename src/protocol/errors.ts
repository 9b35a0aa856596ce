import type { ReasonCode } from './reason-codes.ts';

/**
 * The peer broke the protocol, or asked for more than is allowed: its connection ends with this reason code, in a
 * CONNACK or DISCONNECT where the version has one. Nobody else notices.
 */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly reasonCode: ReasonCode;

  constructor(reasonCode: ReasonCode, message: string) {
    super(message);
    this.reasonCode = reasonCode;
  }
}
