/**
 * The CONNACK that refuses. [MQTT5 3.2] [MQTT3 3.2]
 */
import type { ServerPacket } from '../protocol/packets.ts';
import { connackCode, ReasonCode } from '../protocol/reason-codes.ts';
import type { Traits } from '../protocol/traits.ts';

/** Return codes of 3.1 and 3.1.1 for the reason codes that have one. [MQTT3 3.2.2.3] */
const returnCodes = new Map<number, number>([
  [ReasonCode.UnsupportedProtocolVersion, 1],
  [ReasonCode.ClientIdentifierNotValid, 2],
  [ReasonCode.ServerUnavailable, 3],
  [ReasonCode.ServerBusy, 3],
  [ReasonCode.ServerShuttingDown, 3],
  [ReasonCode.UseAnotherServer, 3],
  [ReasonCode.QuotaExceeded, 3],
  [ReasonCode.ConnectionRateExceeded, 3],
  [ReasonCode.BadUserNameOrPassword, 4],
  [ReasonCode.BadAuthenticationMethod, 5],
  [ReasonCode.NotAuthorized, 5],
  [ReasonCode.Banned, 5],
]);

/** Null: the client's version has no code for this reason, and the connection just ends. */
export function refusal(
  traits: Traits,
  reasonCode: number,
  why: string,
  reference: { readonly serverReference?: string } = {},
): ServerPacket | null {
  if (traits.hasProperties) {
    const properties = { reasonString: why, ...reference };
    return { cmd: 'connack', sessionPresent: false, reasonCode: connackCode(reasonCode), properties };
  }
  const returnCode = returnCodes.get(reasonCode);
  return returnCode === undefined
    ? null
    : { cmd: 'connack', sessionPresent: false, reasonCode: returnCode, properties: {} };
}
