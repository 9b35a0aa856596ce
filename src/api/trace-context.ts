/**
 * The context of a trace that a request came with goes on with the messages that it publishes, as user properties. [W3C
 * Trace Context; W3C Trace Context: MQTT]
 */
import type { IncomingHttpHeaders } from 'node:http';
import { readTraceparent } from '../contracts/spans.ts';

/** `tracestate` may be longer, and is left out then. [W3C Trace Context 3.3.1.5] */
const tracestateMax = 512;

/** Of a message that there is room for more in. */
const propertiesMax = 990;

/** `given`: a request with a message, or with a list of them, if it is one: nobody has checked it yet. */
export function withTraceContext(given: unknown, headers: IncomingHttpHeaders): unknown {
  const { traceparent, tracestate } = headers;
  if (typeof traceparent !== 'string' || readTraceparent(traceparent) === null) return given;
  const own: [string, string][] = [['traceparent', traceparent]];
  if (typeof tracestate === 'string' && /^[ -~]+$/.test(tracestate) && tracestate.length <= tracestateMax) {
    own.push(['tracestate', tracestate]);
  }
  if (!isObject(given)) return given;
  if (!Array.isArray(given.messages)) return withProperties(given, own);
  return { ...given, messages: given.messages.map((message) => withProperties(message, own)) };
}

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A message that says itself which trace it belongs to belongs to that. */
function withProperties(message: unknown, own: readonly [string, string][]): unknown {
  if (!isObject(message)) return message;
  const { userProperties = [] } = message;
  if (!Array.isArray(userProperties) || userProperties.length > propertiesMax) return message;
  if (userProperties.some((property) => Array.isArray(property) && property[0] === 'traceparent')) return message;
  return { ...message, userProperties: [...userProperties, ...own] };
}
