/** What a script or a plugin sees of a message, and what may come back: the same for both. */
import type { QoS, UserProperties } from '../../protocol/packets.ts';
import { StageFailure } from '../errors.ts';
import type { Item } from '../item.ts';
import type { Outcome, StageContext } from '../stages/stage.ts';

export interface ScriptMessage {
  /** The decoded payload. */
  payload: unknown;
  topic: string;
  qos: QoS;
  retain: boolean;
  contentType: string | undefined;
  userProperties: UserProperties;
  readonly clientId: string | null;
  readonly username: string | null;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
}

/** Fields that are absent stay as they are. */
export type ScriptResult = Partial<
  Pick<ScriptMessage, 'payload' | 'topic' | 'qos' | 'retain' | 'contentType' | 'userProperties'>
>;

/** True keeps the message as it came, false or null drops it, an object changes it, a list takes its place. */
export type ScriptAnswer = boolean | null | ScriptResult | readonly ScriptResult[];

export function messageFor(item: Item, { publisher, now }: StageContext, payload = item.value): ScriptMessage {
  const { topic, qos, retain, contentType, userProperties } = item;
  const { clientId = null, username = null } = publisher ?? {};
  return { payload, topic, qos, retain, contentType, userProperties, clientId, username, timestamp: now };
}

/** So many messages may take the place of one: each is larger than the `{}` that a script writes for it. */
export const messagesMax = 1_000;

/** Throws a StageFailure for an answer that is none. */
export function outcomeOf(answer: ScriptAnswer | undefined, item: Item): Outcome {
  if (typeof answer === 'boolean') return answer;
  if (answer === null) return false;
  if (answer === undefined)
    throw new StageFailure('it returned nothing: return the message, true to keep it, or null to drop it');
  if (Array.isArray(answer)) {
    if (answer.length > messagesMax) {
      throw tooMany(answer.length);
    }
    return answer.map((each: ScriptResult) => changed(item.copy(), each));
  }
  if (typeof answer !== 'object') throw new StageFailure(`it returned a ${typeof answer}, not a message`);
  return [changed(item.copy(), answer as ScriptResult)];
}

export const tooMany = (count: number) => new StageFailure(`it returned ${count} messages; ${messagesMax} are taken`);

export function changed(item: Item, result: ScriptResult): Item {
  const { payload, topic, qos, retain, contentType, userProperties } = result;
  // Whether these can be sent is looked at behind each stage.
  if (topic !== undefined) item.topic = topic;
  if (qos !== undefined) item.qos = qos;
  if (retain !== undefined) item.retain = retain === true;
  if (userProperties !== undefined && userProperties !== item.userProperties) {
    if (!Array.isArray(userProperties)) throw new StageFailure('its userProperties are no list of pairs');
    item.userProperties = userProperties.map(textPair);
  }
  if (payload !== undefined) item.setAnyValue(payload);
  // JSON knows no other word for none.
  if (contentType !== undefined) item.contentType = contentType ?? undefined;
  return item;
}

/** Scripts may give numbers, too. */
function textPair(pair: readonly unknown[]): [string, string] {
  const isPair =
    Array.isArray(pair) && pair.length === 2 && pair.every((each) => each !== null && typeof each !== 'object');
  if (!isPair) throw new StageFailure('its userProperties are no list of pairs');
  return [String(pair[0]), String(pair[1])];
}
