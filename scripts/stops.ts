/**
 * `npm run bench:stops`: how long the broker does nothing else while it does what concerns very many: 500,000 sessions,
 * 200,000 subscriptions and 200,000 retained messages on disk, in one process without sockets.
 *
 * Told is the longest round of the event loop, from one `setImmediate` to the next, in milliseconds of processor time
 * of its thread: what else the machine does is not the broker's fault. Beside it stand the rounds in which V8 collected
 * no garbage, since a collection takes the longer the larger the heap is, whoever caused it. Each job is done several
 * times where it can be: the least of them is what always happens.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { generate, type Packet } from 'mqtt-packet';
import { Authorization } from '../src/auth/authorization/authorization.ts';
import { Broker } from '../src/broker/broker.ts';
import { parseConfig } from '../src/config/load.ts';
import type { ConfigInput } from '../src/config/schema.ts';
import { silentLog } from '../src/contracts/log.ts';
import { defaultPipelineLimits } from '../src/contracts/pipeline-settings.ts';
import type { StoredSession } from '../src/contracts/session-store.ts';
import type { ByteStream } from '../src/contracts/transport.ts';
import { neverExpires } from '../src/core/client-session.ts';
import { Pipelines } from '../src/pipeline/pipelines.ts';
import { Message } from '../src/protocol/message.ts';
import { Topic } from '../src/protocol/topic.ts';
import { Reloads } from '../src/reload.ts';
import { rulesOf } from '../src/rules.ts';
import { LevelStore } from '../src/store/level/level-store.ts';
import { MemoryQuarantine } from '../src/store/memory-quarantine.ts';
import { fail, readOptions } from './command-line.ts';
import { Rounds } from './rounds.ts';

const help = `npm run bench:stops -- [options]

  --only TEXT   the jobs whose name contains TEXT
  --part P      of the sessions, subscriptions and messages, this part (1)
`;
const { values } = readOptions(help, {
  only: { type: 'string', default: '' },
  part: { type: 'string', default: '1' },
} as const);
const part = Number(values.part);
if (!(part > 0)) fail('--part wants a number above 0');
const some = (count: number) => Math.ceil(count * part);

const counts = {
  sessions: some(500_000),
  subscribers: some(180_000),
  /** Subscribers to one topic, all of them away. */
  fans: some(20_000),
  /** They end together. */
  expiring: some(100_000),
  retained: some(200_000),
  /** Of those, they expire. */
  passing: some(50_000),
  topics: some(10_000),
};
/** Sessions of which each has so many subscriptions, and so many messages that wait. */
const large = { sessions: 6, subscriptions: 10_000, messages: 10_000 };

const ms = 1_000;
const minute = 60 * ms;
/** From the start, by the broker's clock. */
const [largeEnd, expiringEnd] = [10 * minute, 20 * minute];
let ahead = 0;
const clock = { now: () => Date.now() + ahead };
const startedAt = clock.now();

const folder = mkdtempSync(join(tmpdir(), 'sluice-stops-'));
const newStore = () =>
  new LevelStore({
    directory: join(folder, 'data'),
    ...({ durability: 'sync', topics: [], maxCommitDelayMs: 0, cacheBytes: 67_108_864 } as const),
    ...{ acceptLoss: false, log: silentLog, unwrittenBytes: 1e12 },
  });

function sessionOf(sid: number, clientId: string, expirySeconds: number = neverExpires): StoredSession {
  const identity = {
    ...({ clientId, username: `user-${sid % 1_000}`, protocolVersion: 5, transport: 'tcp' } as const),
    ...{ remoteAddress: '192.0.2.1:50000', listener: 'mqtt://127.0.0.1:1883', groups: [], attributes: {} },
  };
  const progress = { sentUpTo: 0, nextPacketId: 1 };
  return {
    sid,
    clientId,
    protocolVersion: 5,
    expirySeconds,
    disconnectedAt: startedAt,
    will: null,
    identity,
    progress,
  };
}

/** What a run before this one has left. */
async function fill(): Promise<void> {
  const store = newStore();
  await store.load();
  const commit = () => new Promise<void>((resolve) => store.commit(resolve));
  const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 2, identifier: 0 } as const;
  const subscribed = (sid: number, topicFilter: string) =>
    store.putSubscription(sid, { topicFilter, ...options, subscriberClass: null, owesRetained: false });
  const { sessions, subscribers, fans, expiring, retained, passing } = counts;
  for (let i = 0; i < sessions; i++) {
    const sid = store.nextSessionId();
    const seconds = i >= sessions - expiring ? expiringEnd / ms : neverExpires;
    store.putSession(sessionOf(sid, `client-${i}`, seconds));
    if (i < subscribers) subscribed(sid, `device/${i}/#`);
    if (i < fans) subscribed(sid, 'all');
    if (i % 20_000 === 0) await commit();
  }
  for (let i = 0; i < large.sessions; i++) {
    const sid = store.nextSessionId();
    store.putSession(sessionOf(sid, `large-${i}`, largeEnd / ms + (i * minute) / ms));
    for (let n = 0; n < large.subscriptions; n++) subscribed(sid, `large/${i}/${n}/some/more/levels/that/a/filter/has`);
    for (let n = 0; n < large.messages; n++) {
      const message = Message.of(Topic.of(`large/${i}/${n}`), Buffer.alloc(100), { qos: 1 });
      message.id = store.nextMessageId();
      store.putDelivery(sid, { message, qos: 1, retain: false, subscriptionIds: null, group: null });
    }
    await commit();
  }
  for (let i = 0; i < retained; i++) {
    const message = Message.of(Topic.of(`retained/${i % 1_000}/${i}`), Buffer.alloc(40), { retain: true });
    if (i < passing) message.expiresAt = startedAt + ((i % 5) + 30) * minute;
    store.putRetained(message);
    if (i % 20_000 === 0) await commit();
  }
  await commit();
  await store.close();
}

const rule = (topic: string) => ({ deny: 'subscribe' as const, topics: [topic] });
const configOf = (...denied: string[]): ConfigInput => ({
  authorization: { rules: [...denied.map(rule), { allow: 'all' }], default: 'deny' },
});
let input = configOf('secret/#');

console.error('filling the data directory …');
await fill();
console.error('starting …');
const store = newStore();
const config = parseConfig(input);
const settings = { ...config, limits: { ...config.limits, memoryBytes: 0, queuePolicy: 'reject' } as const };
const pipelines = new Pipelines({
  ...{ limits: defaultPipelineLimits, log: silentLog, now: Date.now },
  quarantine: new MemoryQuarantine(defaultPipelineLimits),
});
const authorization = new Authorization({ log: silentLog, changed: (topics) => broker.rulesChanged(topics) });
const broker: Broker = new Broker({
  ...{ settings, store, pipeline: pipelines, access: authorization.policy, clock },
});
authorization.use(rulesOf(config));
const loadedAt = performance.now();
await broker.start();
console.error(`started in ${Math.round(performance.now() - loadedAt)} ms`);
const reloads = new Reloads({
  reread: () => ({ config: parseConfig(input), where: String }),
  applied: () => [],
  ...{
    logs: { broker: silentLog },
    reopenLogs: async () => {},
    audit: null,
    broker,
    bridges: { use: async () => {} },
    pipelines,
    authentication: null,
    authorization,
    listeners: [],
    adminListeners: [],
  },
});

/** A client without a network. */
function connect(clientId: string): { send(packet: Packet): void; end(): void } {
  const stream: ByteStream = {
    ...{ kind: 'tcp', remoteAddress: '127.0.0.1:50000', certificate: null, pendingBytes: 0 },
    ...{
      write() {},
      pause() {},
      resume() {},
      end: () => receiver.onClose(null),
      destroy: () => receiver.onClose(null),
    },
  };
  const receiver = broker.accept(stream, 'mqtt://127.0.0.1:1883')!;
  const send = (packet: Packet) => {
    const bytes = generate(packet, { protocolVersion: 5 });
    receiver.onBytes(bytes, 0, bytes.length);
  };
  const version = { protocolId: 'MQTT', protocolVersion: 5 } as const;
  send({ cmd: 'connect', ...version, clientId, clean: true, keepalive: 0, username: 'user-1' } as Packet);
  return { send, end: () => receiver.onClose(null) };
}

const publish = (topic: string, qos: 0 | 1 = 0): Packet => {
  return { cmd: 'publish', topic, payload: Buffer.alloc(40), qos, dup: false, retain: false, messageId: 1 } as Packet;
};

const publisher = connect('publisher');
/** To each of very many topics, whose routes are remembered if they can be. */
async function publishToAll(): Promise<void> {
  for (let i = 0; i < counts.topics; i++) {
    publisher.send(publish(`device/${i}/state`));
    if (i % 20 === 0) await delay(0);
  }
}

interface Job {
  readonly name: string;
  readonly times: number;
  run(): Promise<unknown>;
}

/** It is that time, and the broker has some seconds for what follows. */
const until = async (time: number, seconds: number) => {
  ahead += Math.max(0, time - clock.now());
  await delay(seconds * 1_000);
};
let [rules, takenOver, ended, swept] = [0, 0, 0, 0];
const jobs: Job[] = [
  { name: 'nothing', times: 3, run: () => delay(1_000) },
  { name: '$SYS', times: 5, run: () => until(clock.now() + 10 * ms, 1) },
  { name: `publishing to ${counts.topics} topics`, times: 3, run: publishToAll },
  { name: 'a reload that changes nothing', times: 5, run: () => reloads.reload() },
  { name: 'publishing to them behind it', times: 1, run: publishToAll },
  {
    name: 'a reload with another rule',
    times: 5,
    run() {
      input = configOf('secret/#', `private/${rules++}/#`);
      return reloads.reload();
    },
  },
  { name: 'publishing to them behind that', times: 1, run: publishToAll },
  { name: 'a session with 10,000 subscriptions that subscribes and leaves', times: 3, run: subscribeAndLeave },
  {
    name: `a message for ${counts.fans} sessions`,
    times: 3,
    run() {
      publisher.send(publish('all', 1));
      return delay(1_000);
    },
  },
  {
    name: `a message of the program for ${counts.fans} sessions`,
    times: 3,
    run: () => broker.publish('all', { payload: Buffer.from('x'), qos: 1 }),
  },
  {
    name: `a takeover within a message for ${counts.fans} sessions`,
    times: 3,
    async run() {
      const name = `taken-over-${takenOver++}`;
      const client = connect(name);
      await delay(100);
      client.send(publish('all', 1));
      await delay(1);
      connect(name);
      await delay(1_000);
    },
  },
  {
    name: `the end of a session with ${large.subscriptions} subscriptions and ${large.messages} messages`,
    times: large.sessions,
    run: () => until(startedAt + largeEnd + ended++ * minute, 3),
  },
  {
    name: `the end of ${counts.expiring} sessions in one second`,
    times: 1,
    run: () => until(startedAt + expiringEnd, 30),
  },
  {
    name: `a sweep of ${counts.retained} retained messages, of which ${counts.passing / 5} have expired`,
    times: 5,
    run: () => until(startedAt + (30 + swept++) * minute + 10 * ms, 8),
  },
];

async function subscribeAndLeave(): Promise<void> {
  const client = connect('many');
  for (let i = 0; i < large.subscriptions; i += 100) {
    const filters = Array.from({ length: 100 }, (_, n) => ({
      topic: `many/${i + n}/levels/of/a/filter`,
      qos: 1 as const,
    }));
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: filters } as Packet);
    await delay(1);
  }
  await delay(200);
  client.end();
  await delay(500);
}

const rounds = new Rounds();
const row = (...cells: readonly string[]) => `| ${cells.join(' | ')} |`;
const told = (times: readonly number[]) => {
  const sorted = times.toSorted((a, b) => a - b);
  return [sorted[0]!, sorted[sorted.length >> 1]!, sorted.at(-1)!].map((each) => each.toFixed(1));
};
console.log(row('longest round, ms', 'least', 'median', 'most', 'without collections: least', 'median', 'most'));
console.log('|---|--:|--:|--:|--:|--:|--:|');
for (const { name, times, run } of jobs) {
  if (!name.includes(values.only)) continue;
  const taken: { all: number; without: number }[] = [];
  for (let i = 0; i < times; i++) {
    await delay(300);
    rounds.take();
    await run();
    await delay(100);
    taken.push(rounds.take());
  }
  console.log(row(name, ...told(taken.map(({ all }) => all)), ...told(taken.map(({ without }) => without))));
}
rounds.end();
rmSync(folder, { recursive: true, force: true });
process.exit();
