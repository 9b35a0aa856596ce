/**
 * `npm run sim:build && node --expose-gc scripts/dist/sim/scripts/footprint.js`: what things of the core take in
 * memory. The constants of `src/core/footprint.ts` are these figures, rounded up, without the bytes of names and
 * payloads.
 */
import { Ledger } from '../src/base/ledger.ts';
import { TimerWheel } from '../src/base/timer-wheel.ts';
import type { ClientIdentity } from '../src/contracts/hooks.ts';
import { defaultSettings } from '../src/contracts/settings.ts';
import { Delivery } from '../src/core/delivery.ts';
import { subscribe } from '../src/core/handlers/subscribe.ts';
import { connect } from '../src/core/lifecycle.ts';
import { CoreParts } from '../src/core/parts.ts';
import type { Session } from '../src/core/session.ts';
import type { Sink } from '../src/core/sink.ts';
import { Message } from '../src/protocol/message.ts';
import { parseFilter, Topic } from '../src/protocol/topic.ts';
import { traitsOf } from '../src/protocol/traits.ts';
import { MemoryStore } from '../src/store/memory.ts';
import { fail } from './command-line.ts';

const collect = globalThis.gc ?? fail('Run it with node --expose-gc');
const now = Date.now();
const core = new CoreParts({
  ...{ settings: defaultSettings, store: new MemoryStore(), sink: new Proxy({} as Sink, { get: () => () => {} }), now },
  ...{ access: null, timers: new TimerWheel(now), ledger: new Ledger() },
});

function used(): number {
  for (let i = 0; i < 3; i++) collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function measure<T>(what: string, count: number, make: (index: number) => T): T[] {
  const kept: T[] = new Array(count).fill(null);
  const before = used();
  for (let i = 0; i < count; i++) kept[i] = make(i);
  console.log(`${what.padEnd(60)} ${Math.round((used() - before) / count)} B`);
  return kept;
}

function aSession(index: number): Session {
  const clientId = `client-${index}`;
  const identity: ClientIdentity = {
    ...{
      clientId,
      username: `user-${index}`,
      protocolVersion: 5,
      transport: 'tcp',
      remoteAddress: `127.0.0.1:${index}`,
    },
    ...{ listener: 'mqtt://127.0.0.1:1883', groups: [], attributes: {} },
  };
  return connect(core, {
    ...{ clientId, traits: traitsOf[5], clean: false, expirySeconds: 1_000, receiveMaximum: 65_535 },
    ...{ packetBytesMax: Number.POSITIVE_INFINITY, will: null, channel: {}, identity },
  }).session;
}

function subscribed(session: Session, filter: string): void {
  const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 2, identifier: 0 } as const;
  subscribe(core, session, filter, parseFilter(filter)!, { ...options, subscriberClass: null });
}

const retain = (topic: string) => {
  core.distributor.publish(Message.of(Topic.of(topic), Buffer.alloc(40), { retain: true }), null);
};

const manyLevels = '/a'.repeat(127);
const ownLevels = (index: number) => Array.from({ length: 100 }, (_, level) => `${index}${level}`).join('/');
const sessions = measure('session', 20_000, aSession);
measure('first subscription of a session', 20_000, (i) => subscribed(sessions[i]!, `device/${i}`));
measure('subscription of 2 levels', 9_000, (i) => subscribed(sessions[0]!, `a/${i}`));
measure('subscription of 128 levels, 255 B', 4_000, (i) => subscribed(sessions[1]!, `${i}${manyLevels}`));
measure('subscription of 100 levels of its own, 500 B', 2_000, (i) => subscribed(sessions[2]!, ownLevels(i)));
measure('retained message of 2 levels and 40 B', 20_000, (i) => retain(`r/${i}`));
measure('retained message of 128 levels and 40 B', 3_000, (i) => retain(`r${i}${manyLevels}`));
const topic = Topic.of('t');
const message = Message.of(topic, Buffer.alloc(10));
measure('message of 10 B', 50_000, () => Message.of(topic, Buffer.alloc(10)));
measure('message of 10 B with a topic of its own', 50_000, (i) => Message.of(Topic.of(`t/${i}`), Buffer.alloc(10)));
measure('delivery in a queue', 50_000, () => sessions[0]!.queue.push(new Delivery(message, 1, false, null, null)));
measure('delivery in a window', 1_000, () => sessions[0]!.window.begin(new Delivery(message, 1, false, null, null), 1));
measure('identifier of QoS 2, of 200', 20_000, (i) => sessions[Math.floor(i / 200)]!.received.add((i % 200) + 1));
