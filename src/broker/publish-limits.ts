/** What a PUBLISH may not ask of this broker, whoever sends it. */
import type { BrokerSettings } from '../contracts/settings.ts';
import type { QoS } from '../protocol/packets.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';

export interface RequestFault {
  readonly reasonCode: ReasonCode;
  readonly text: string;
  /** What forbids it. */
  readonly setting: 'maximumQoS' | 'retainAvailable';
}

/**
 * `maximumQoS`: of the broker, or of the listener that it came through. Null: there is none. [MQTT5 3.2.2-11]
 * [MQTT5 3.2.2-14]
 */
export function faultOfRequest(
  { retainAvailable }: Pick<BrokerSettings, 'retainAvailable'>,
  maximumQoS: QoS,
  { qos, retain }: { readonly qos: QoS; readonly retain: boolean },
): RequestFault | null {
  if (qos > maximumQoS) {
    const text = `QoS ${qos} exceeds the maximum of this broker`;
    return { reasonCode: ReasonCode.QoSNotSupported, text, setting: 'maximumQoS' };
  }
  if (!retain || retainAvailable) return null;
  const text = 'A retained message, though CONNACK said there are none';
  return { reasonCode: ReasonCode.RetainNotSupported, text, setting: 'retainAvailable' };
}
