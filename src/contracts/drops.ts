/**
 * Why a message did not arrive, or a client was not let in: the closed list of reasons. Each says what it means and
 * what to do; `npm run docs:drops` writes the table of the guide from it.
 */
import * as z from 'zod';

interface ReasonText {
  /** `dropped`: a message, or a copy of it, was given up. `refused`: whoever asked was told no, if it can be told. */
  readonly kind: 'dropped' | 'refused';
  readonly what: string;
  readonly advice: string;
}

export const dropReasonTexts = {
  slowConsumer: {
    kind: 'dropped',
    what: 'QoS 0: the client does not read as fast as it is sent to',
    advice: 'a faster client or network, or QoS 1; `limits.outputBytes`',
  },
  queueFull: {
    kind: 'dropped',
    what: "the client's queue is full; with `queuePolicy: drop-oldest` this message made room for a newer one",
    advice:
      'acknowledge faster, more receivers, or a larger `limits.queueMessages` and `limits.queueBytes`; of a bridge, ' +
      'its `queue.maxBytes`',
  },
  expired: {
    kind: 'dropped',
    what: 'its Message Expiry Interval was over before it could be sent',
    advice: 'a longer interval, or a client that is connected more often',
  },
  packetTooLarge: {
    kind: 'dropped',
    what: "it is larger than the client's Maximum Packet Size",
    advice: 'smaller messages, or a larger Maximum Packet Size in the client',
  },
  sessionEnded: {
    kind: 'dropped',
    what: 'it waited for a session that has ended',
    advice: 'a longer Session Expiry Interval, and no Clean Start; `sessionExpiryMaximumSeconds`',
  },
  noSharedMember: {
    kind: 'dropped',
    what: 'a member of a shared subscription has left, and no other may have the message',
    advice: 'another member, or QoS 1 and a session that stays',
  },
  retainedLimit: {
    kind: 'dropped',
    what: 'it was delivered and not retained: there is no room for one more retained message',
    advice: 'a larger `limits.retainedMessages`, or more memory (`limits.memoryBytes`)',
  },
  notAuthorized: {
    kind: 'dropped',
    what: 'the rules do not let the client have it any more',
    advice: '`sluice access explain`; the detail names the rule',
  },
  willRefused: {
    kind: 'dropped',
    what: 'a will that was due may not be published',
    advice: 'the detail names the rule, hook or stage',
  },
  pipelineFailed: {
    kind: 'dropped',
    what: 'a pipeline for subscribers failed on it',
    advice: 'the log has the error; `sluice pipeline test`',
  },
  purged: {
    kind: 'dropped',
    what: "an operator emptied the client's queue, where it waited",
    advice: 'ask who gave the command `queue purge`: the audit log says',
  },
  tooOld: {
    kind: 'dropped',
    what: 'it waited longer for the peer of a bridge than the bridge keeps messages',
    advice: 'a larger `queue.maxAgeSeconds` of the bridge; `sluice bridges list` says why it does not take them',
  },
  pipelineDropped: {
    kind: 'dropped',
    what: 'a stage of a pipeline, or a step of the program, dropped it',
    advice: 'the detail names the stage; `sluice pipeline test`',
  },
  pipelineHeld: {
    kind: 'dropped',
    what: 'a stage holds it back, or makes one message of several: it may come later, in another form, or not at all',
    advice: 'the detail names the stage; its window and interval',
  },
  quarantined: {
    kind: 'dropped',
    what: 'a stage could not handle it, and it is in the quarantine',
    advice: '`sluice quarantine list`; after a repair, `sluice quarantine replay`',
  },
  clientAway: {
    kind: 'dropped',
    what: 'QoS 0: the client is subscribed, and not connected',
    advice: 'QoS 1 for publisher and subscription, or `queueQoS0: true`',
  },
  noLocal: {
    kind: 'dropped',
    what: 'the client published it itself, and its subscription has No Local',
    advice: 'a subscription without No Local',
  },
  turnedAway: {
    kind: 'refused',
    what: 'a connection was closed before its CONNECT, for a limit or a ban',
    advice: 'the detail names the limit; `sluice bans list`',
  },
  authenticationFailed: {
    kind: 'refused',
    what: 'the client did not show who it is',
    advice: 'credentials, certificate or token of the client; [Authentication](authentication.md)',
  },
  banned: {
    kind: 'refused',
    what: 'the address, user or client is banned',
    advice: '`sluice bans list`, `sluice bans clear`',
  },
  connectRefused: {
    kind: 'refused',
    what: 'CONNECT was refused for another reason',
    advice: 'the detail names it',
  },
  willNotAllowed: {
    kind: 'refused',
    what: 'CONNECT was refused, since the client may not publish its will',
    advice: 'the detail names the rule',
  },
  protocolError: {
    kind: 'refused',
    what: 'a client broke the protocol or a limit, and was disconnected',
    advice: 'the detail says what it did; `sluice trace start --client`',
  },
  publishNotAllowed: {
    kind: 'refused',
    what: 'the rules, or a hook, do not let the client publish this',
    advice: '`sluice access explain`; the detail names the rule',
  },
  noRoom: {
    kind: 'refused',
    what: 'there is no room for all of it (`queuePolicy: reject`, the queue of a bridge, or retained messages)',
    advice: 'see the entry `queueFull` or `retainedLimit` just before it',
  },
  memoryFull: {
    kind: 'refused',
    what: 'the client holds much memory, and memory is nearly used up',
    advice: '[Memory](../reference/memory.md); `limits.memoryBytes`',
  },
  diskFailing: {
    kind: 'refused',
    what: 'the disk takes no writes',
    advice: 'the log has the error; [Failures](../reference/failures.md)',
  },
  pipelineRejected: {
    kind: 'refused',
    what: 'a stage of a pipeline, or a step of the program, refused it or failed on it',
    advice: 'the detail names the stage and its reason',
  },
  clusterRefused: {
    kind: 'refused',
    what: 'the other nodes did not take it',
    advice: 'the state of the other nodes',
  },
  subscribeRefused: {
    kind: 'refused',
    what: 'a subscription was not granted',
    advice: '`sluice access explain`; the detail names the rule or the limit',
  },
} as const satisfies Record<string, ReasonText>;

export type DropReasonName = keyof typeof dropReasonTexts;
export const dropReasonNames = Object.keys(dropReasonTexts) as [DropReasonName, ...DropReasonName[]];

const milliseconds = 'in milliseconds since the epoch';

const publisherView = z.strictObject({
  kind: z
    .enum(['client', 'will', 'program', 'broker'])
    .describe('`will`: the will of a client. `program`: of the program, or of what a pipeline had held back'),
  clientId: z.string().nullable().describe('client identifier, cut to 64 characters; null: not known, or no client'),
  username: z.string().nullable().describe('user name; null: none, or not known'),
  address: z.string().nullable().describe('`address:port`; null: not known'),
});
export type PublisherView = z.output<typeof publisherView>;

export const dropView = z.strictObject({
  time: z.number().describe(`when it happened first, ${milliseconds}`),
  lastTime: z.number().describe(`when it happened last, ${milliseconds}`),
  count: z.int().describe('how often it happened in this time'),
  kind: z.enum(['dropped', 'refused']).describe('`refused`: whoever asked was told no, where its version can be told'),
  reason: z.enum(dropReasonNames).describe('one of a closed list'),
  topic: z.string().nullable().describe('topic or topic filter, cut to 256 characters; null: none, or not known'),
  qos: z.literal([0, 1, 2]).nullable().describe('QoS of the message; null: not known'),
  bytes: z.int().describe('size of its payload, in bytes'),
  publisher: publisherView.nullable().describe('who sent it, or asked for it; null: not known'),
  recipient: z.string().nullable().describe('client that does not get it; null: nobody in particular'),
  detail: z.string().describe('the cause: which limit with its value, which rule, which stage'),
});
export type DropView = z.output<typeof dropView>;

export const unmatchedView = z.strictObject({
  topic: z.string().describe('topic to which nobody had subscribed, cut to 256 characters'),
  count: z.int().describe('messages'),
  time: z.number().describe(`when the first of them came, ${milliseconds}`),
  lastTime: z.number().describe(`when the last one came, ${milliseconds}`),
  publisher: publisherView.nullable().describe('who published the first of them; null: not known'),
});
export type UnmatchedView = z.output<typeof unmatchedView>;
