/** The context of a trace in the properties of a message. [W3C Trace Context: MQTT] */
import { encodePublishProperties, openProperties } from '../codec/publish-properties.ts';
import { readTraceparent, type TraceContext } from '../contracts/spans.ts';
import { Message } from '../protocol/message.ts';
import type { UserProperties } from '../protocol/packets.ts';

const traceparent = 'traceparent';
const tracestate = 'tracestate';

/** How a user property of this name begins. */
const beginning = Buffer.from(`\x26\0${String.fromCharCode(traceparent.length)}${traceparent}\0`, 'latin1');
/** Of its value, at least. [W3C Trace Context 3.2.2] */
const valueBytes = 55;
/** The last digit of the flags, from where the property begins. Whatever version it is of, it stands there. */
const flagAt = beginning.length + 1 + valueBytes - 1;

export type Sampling = 'sampled' | 'unsampled' | 'none';

/**
 * What the publisher says of its trace, as far as a look at the bytes tells: asked of every message, so nothing is
 * opened. `sampled` may be wrong, where another property has such bytes in it.
 */
export function samplingOf({ bytes, propertiesStart, propertiesEnd }: Message): Sampling {
  if (propertiesEnd - propertiesStart <= flagAt) return 'none';
  const properties = bytes.subarray(propertiesStart, propertiesEnd);
  const at = properties.indexOf(beginning);
  if (at === -1 || at + flagAt >= properties.length) return 'none';
  // '0' to '9' and 'a' to 'f'.
  const digit = properties[at + flagAt]!;
  const isOdd = digit <= 0x39 ? (digit & 1) === 1 : (digit & 1) === 0;
  return isOdd ? 'sampled' : 'unsampled';
}

/** Null: there is none that is valid, or there are several. */
export function contextOf(message: Message): TraceContext | null {
  return contextIn(openProperties(message).userProperties);
}

export function contextIn(userProperties: UserProperties): TraceContext | null {
  const all = userProperties.filter(([name]) => name === traceparent);
  if (all.length !== 1 || readTraceparent(all[0]![1]) === null) return null;
  const states = userProperties.filter(([name]) => name === tracestate).map(([, value]) => value);
  return { traceparent: all[0]![1], tracestate: states.length === 0 ? null : states.join(',') };
}

/** A copy of the message that has this context, in the place where it had one, and keeps everything else. */
export function withContext(message: Message, context: TraceContext): Message {
  const properties = openProperties(message);
  const { payload, qos, retain, topic } = message;
  const userProperties = replaced(properties.userProperties, context);
  const bytes = encodePublishProperties({ ...properties, userProperties });
  const copy = Message.of(topic, payload, { qos, retain, properties: bytes });
  copy.expirySeconds = message.expirySeconds;
  copy.expiresAt = message.expiresAt;
  copy.publisher = message.publisher;
  return copy;
}

function replaced(userProperties: UserProperties, context: TraceContext): UserProperties {
  const own: [string, string] = [traceparent, context.traceparent];
  const isContext = ([name]: readonly [string, string]) => name === traceparent;
  const index = userProperties.findIndex(isContext);
  if (index === -1) return [...userProperties, own];
  return userProperties.flatMap((property, at) => {
    if (at === index) return [own];
    return isContext(property) ? [] : [property];
  });
}
