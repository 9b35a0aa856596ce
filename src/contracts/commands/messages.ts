/** Publishing, and asking for an answer. */
import * as z from 'zod';
import { decode, payloadViewKeys } from '../payloads.ts';
import { qos, seconds, subscriptionFilter, topicName } from '../values.ts';
import type { CommandDeclarations } from './declaration.ts';

/** As UTF-8 it fits into the two bytes of length that a packet has for it. [MQTT5 1.5.4] */
const propertyText = z
  .string()
  .max(21_845)
  .regex(/^[^\u0000]*$/, 'text of up to 21,845 characters, without U+0000');
const optional = <Schema extends z.ZodType>(schema: Schema, of: string) => schema.nullable().default(null).describe(of);

/** What is published, without what `request` sets by itself. */
const contentKeys = {
  topic: topicName.describe('topic'),
  payload: z.string().default('').describe('payload, as text'),
  payloadBase64: optional(z.base64(), 'payload, in base64, instead of `payload`'),
  qos: qos.default(0).describe('QoS'),
  messageExpirySeconds: optional(seconds(0, 0xffffffff), 'Message Expiry Interval'),
  payloadFormatIndicator: optional(z.boolean(), 'Payload Format Indicator; true: the payload is UTF-8 text'),
  contentType: optional(propertyText, 'Content Type'),
  userProperties: z
    .array(z.tuple([propertyText, propertyText]))
    .max(1_000)
    .default([])
    .describe('User Properties, as pairs of name and value'),
};
export const messageKeys = {
  ...contentKeys,
  responseTopic: optional(topicName, 'Response Topic'),
  correlationData: optional(z.base64().max(87_380), 'Correlation Data, in base64'),
};
const message = z.strictObject({
  ...messageKeys,
  retain: z.boolean().default(false).describe('whether it is retained; an empty payload removes what was'),
});
export type MessageToPublish = z.output<typeof message>;

export const publishOutcome = z.strictObject({
  reasonCode: z.int().describe('as a PUBACK says it: 0 success, 16 nobody is subscribed, 128 and more: refused'),
  matched: z.boolean().describe('whether anybody is subscribed to the topic'),
  reason: z.string().nullable().describe('why it is refused, in words; null: it is not'),
});
export type Outcome = z.output<typeof publishOutcome>;

/** A message as a command answers it. */
export const messageView = z.strictObject({
  topic: z.string().describe('topic'),
  payload: z.base64().describe('payload, in base64'),
  qos: qos.describe('QoS'),
  retain: z.boolean().describe('RETAIN'),
  messageExpirySeconds: z.number().nullable().describe('Message Expiry Interval, in seconds; null: none'),
  payloadFormatIndicator: z.boolean().nullable().describe('Payload Format Indicator; null: none'),
  contentType: z.string().nullable().describe('Content Type; null: none'),
  responseTopic: z.string().nullable().describe('Response Topic; null: none'),
  correlationData: z.base64().nullable().describe('Correlation Data, in base64; null: none'),
  userProperties: z
    .array(z.tuple([z.string(), z.string()]))
    .readonly()
    .describe('User Properties, as pairs of name and value'),
});
export type MessageView = z.output<typeof messageView>;

const streamName = z
  .string()
  .regex(/^[\w.-]{1,64}$/, 'up to 64 letters, digits and . - _')
  .describe('name of the stream, among those of this key');

const streamEvent = z.strictObject({
  event: z.enum(['opened', 'message', 'dropped', 'ended']).describe('what happened'),
  message: messageView.extend(payloadViewKeys).nullable().describe('of `message`: the message'),
  number: z.int().nullable().describe('of `message` in a stream with a name: what `messages acknowledge` takes'),
  count: z.int().nullable().describe('of `dropped`: messages of QoS 0 for which this reader was too slow'),
  reason: z.string().nullable().describe('of `ended`: why'),
});
export type StreamEvent = z.output<typeof streamEvent>;

/** What a client may send over the WebSocket of a stream with a name. */
export const streamMessage = z.strictObject({
  acknowledge: z.int().min(1).describe('number of the last message; all before it are acknowledged too'),
});

export const messageCommands = {
  'messages stream': {
    what: 'gives messages as they come; a stream with a name goes on where it was, with what is not acknowledged',
    area: 'messages',
    role: 'publisher',
    route: 'GET /messages/stream',
    isStream: true,
    acknowledgedBy: 'messages acknowledge',
    request: z.strictObject({
      filter: z
        .array(subscriptionFilter)
        .min(1)
        .max(100)
        .describe('topic filters, `$share/…` included; a stream with a name has these and no others from now on'),
      qos: z.literal([0, 1]).default(0).describe('QoS; with a name it is 1'),
      decode: decode.default('text'),
      name: streamName.nullable().default(null).describe('its session stays, by this name; null: it does not'),
      keepSeconds: seconds(1, 2_592_000)
        .default(86_400)
        .describe('how long the session of a stream with a name outlives it'),
    }),
    answer: streamEvent,
  },
  'messages acknowledge': {
    what: 'acknowledges messages of an open stream with a name, so that they do not come again',
    area: 'messages',
    role: 'publisher',
    route: 'POST /messages/ack',
    isTraffic: true,
    request: z.strictObject({
      name: streamName,
      upTo: z.int().min(1).describe('number of the last message; all before it are acknowledged too'),
    }),
    answer: z.strictObject({ count: z.int().describe('messages that were acknowledged by this') }),
  },
  publish: {
    what: 'publishes messages, one after the other, and says what became of each once it is stored',
    area: 'messages',
    role: 'publisher',
    route: 'POST /publish',
    nodes: 'shared',
    cli: { itemsOf: 'messages', options: { userProperties: 'property' } },
    isTraffic: true,
    hasLargeBody: true,
    takesIdempotencyKey: true,
    takesTraceContext: true,
    request: z.strictObject({ messages: z.array(message).min(1).max(1_000).describe('messages, in order') }),
    answer: z.strictObject({ outcomes: z.array(publishOutcome).readonly().describe('what became of each') }),
  },
  request: {
    what: 'publishes a message with a Response Topic, and waits for the answer',
    area: 'messages',
    role: 'publisher',
    route: 'POST /request',
    nodes: 'shared',
    cli: { options: { userProperties: 'property' } },
    isTraffic: true,
    hasLargeBody: true,
    takesIdempotencyKey: true,
    takesTraceContext: true,
    request: z.strictObject({
      ...contentKeys,
      responseTopic: optional(topicName, 'Response Topic; null: one of its own, `sluice/responses/…`'),
      timeoutSeconds: seconds(1, 60).default(10).describe('how long the answer may take'),
    }),
    answer: messageView,
  },
} as const satisfies CommandDeclarations;
