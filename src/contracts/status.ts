/** A running broker on one page. */
import * as z from 'zod';
import { alarm } from './alarms.ts';

const bytes = z.number().meta({ unit: 'bytes' });
const storeStates = ['ok', 'slow', 'refusing', 'hanging'] as const;
/** `slow`: more waits for the disk than may; `hanging`: it has not answered a write for some seconds. */
export type StoreState = (typeof storeStates)[number];

const amount = z.strictObject({
  messages: z.int().describe('how many'),
  bytes: bytes.describe('their payloads, properties and topics'),
});

const perSecond = z.strictObject({
  seconds: z.number().describe('over how long they are the mean: a minute, less after the start'),
  messagesReceived: z.number().describe('PUBLISH packets from clients, per second'),
  messagesSent: z.number().describe('PUBLISH packets to clients, per second'),
  messagesDropped: z.number().describe('copies of messages that were dropped, per second'),
  bytesReceived: bytes.describe('bytes of all packets from clients, per second'),
  bytesSent: bytes.describe('bytes of all packets to clients, per second'),
  connections: z.number().describe('connections that were accepted, per second'),
});
export type Rates = z.output<typeof perSecond>;

const clusterStatus = z.strictObject({
  name: z.string().describe('of the cluster'),
  node: z.string().describe('this one, by its name and start'),
  isCutOff: z.boolean().describe('whether its servers do not answer for so long that it takes and serves no clients'),
  nodes: z
    .array(
      z.strictObject({
        node: z.string().describe('which one'),
        state: z
          .enum(['up', 'draining', 'dead'])
          .describe('`draining`: it sends its clients away; `dead`: it has left, or others have found it silent'),
      }),
    )
    .readonly()
    .describe('all that are known here, this one included; one that has died stays for a while'),
});
export type ClusterStatus = z.output<typeof clusterStatus>;

export const brokerStatus = z.strictObject({
  version: z.string().describe('of Sluice'),
  node: z.string().describe('of Node.js'),
  pid: z.int().describe('number of the process'),
  phase: z
    .enum(['starting', 'running', 'draining', 'stopping'])
    .describe('`starting` until its listeners are open; `draining`: it takes no clients and sends away those it has'),
  startedAt: z.number().describe('when it started, in milliseconds since the epoch'),
  uptimeSeconds: z.number().describe('how long ago that was'),
  configFile: z.string().nullable().describe('its configuration; null: it has none, or a program gave it'),
  dataDirectory: z.string().nullable().describe('where its data is; null: in memory'),
  durability: z
    .enum(['sync', 'os', 'memory', 'cluster'])
    .describe('when a QoS 1 or 2 message is acknowledged; `cluster`: once it is in the log of the cluster'),
  cluster: clusterStatus
    .nullable()
    .describe('the cluster that it is a node of, while all else here is of this node; null: it is none'),
  listeners: z
    .array(
      z.strictObject({
        url: z.string().describe('as a client writes it'),
        isListening: z.boolean().describe('whether it takes connections'),
        connections: z.int().describe('connections through it'),
      }),
    )
    .readonly()
    .describe('listeners of MQTT, in the order of the configuration'),
  api: z.array(z.string()).readonly().describe('URLs of the HTTP API'),
  clients: z
    .strictObject({
      connected: z.int().describe('sessions whose clients are connected'),
      absent: z.int().describe('sessions whose clients are not'),
    })
    .describe('clients that have a session'),
  connections: z
    .strictObject({
      open: z.int().describe('from accept to close'),
      unauthenticated: z.int().describe('those without CONNACK'),
    })
    .describe('connections of clients'),
  subscriptions: z.int().describe('of all sessions'),
  perSecond: perSecond.describe('rates'),
  queued: amount.describe('messages that wait in the queues of sessions'),
  retained: amount.describe('retained messages, those below $SYS included'),
  store: z.enum(storeStates).describe('how the disk does'),
  memory: z
    .strictObject({
      bytes: bytes.describe('what clients make the broker hold'),
      ceilingBytes: bytes.nullable().describe('the most that this may be; null: no ceiling'),
      pressure: z
        .enum(['none', 'caches', 'slowReaders', 'queues', 'refusal', 'disconnection'])
        .describe('what gives at present'),
      residentBytes: bytes.describe('what the whole process takes'),
    })
    .describe('memory'),
  alarms: z.array(alarm).readonly().describe('alarms that last'),
});
export type BrokerStatus = z.output<typeof brokerStatus>;
