/**
 * A whole broker in this thread, and up to four clients that send it anything, in any order, piece by piece: valid
 * packets, mutated ones, the ends of connections, reading that stops, time that passes.
 *
 * Input: steps, each a byte that says what and of which client (see `stepKinds`), for bytes two more with their number,
 * then these.
 */
import fc from 'fast-check';
import type { Random } from '../../../scripts/crash/random.ts';
import { Scheduler } from '../../../src/base/scheduler.ts';
import { Broker } from '../../../src/broker/broker.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { type BrokerSettings, defaultLimits, defaultSettings } from '../../../src/contracts/settings.ts';
import type { ByteReceiver, ByteStream } from '../../../src/contracts/transport.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { clientPacket } from '../../support/arbitrary-packets.ts';
import { encodeAsClient } from '../../support/mqtt-packet.ts';
import { framing, mutatePackets } from '../mqtt.ts';
import { mutateBytes } from '../mutate.ts';
import { bytesOf, must, type Target } from '../target.ts';

/**
 * What a step does: the low three bits of its first byte; the client is in the next two. With the top bit the turn goes
 * on.
 */
const stepKinds = ['bytes', 'bytes', 'bytes', 'bytes', 'close', 'time', 'stall', 'drain'] as const;
const goesOn = 0x80;

/** Small limits, so that they are met. */
const settings: BrokerSettings = {
  ...defaultSettings,
  limits: {
    ...defaultLimits,
    packetBytes: 70_000,
    topicLevels: 8,
    subscriptionsPerSession: 8,
    inflight: 3,
    receiveMaximum: 3,
    topicAliases: 3,
    queueMessages: 5,
    outputBytes: 4_096,
    retainedMessages: 20,
    sessions: 10,
  },
  sessionExpiryMaximumSeconds: 600,
  outboundTopicAliases: 2,
  queueQoS0: true,
  sysIntervalSeconds: 0,
};

const tokens = bytesOf('$share/g/', '$SYS/', '+', '#', 'a/b', '/', '\0\x03a/b', '\0\x04MQTT');

export default function connection(seed: number): Target {
  const world = new World();
  return {
    name: 'connection',
    seeds: seedsOf(seed),
    tokens,
    bytesMax: 8_192,
    // Up to eight thousand steps, each a round of the broker.
    millisecondsMax: 500,
    mutate: (input, random, other) => mutateSteps(input, random, other),
    run: (input) => world.run(input),
  };
}

class World {
  readonly #scheduled: (() => void)[] = [];
  #microseconds = 0;
  readonly #bugs: string[] = [];
  readonly #broker: Broker;
  #now = 1_700_000_000_000;

  constructor() {
    const error = (about: object, what: string) => {
      const { err } = about as { err?: Error };
      this.#bugs.push(`${what}: ${err?.stack ?? JSON.stringify(about)}`);
    };
    this.#broker = new Broker({
      settings,
      store: new MemoryStore(),
      log: { ...silentLog, error },
      clock: { now: () => this.#now },
      timers: { after: () => {}, every: () => () => {} },
      scheduler: new Scheduler({
        clock: () => (this.#microseconds += 20),
        afterArrivals: (run) => void this.#scheduled.push(run),
      }),
      hooks: {
        authenticate: ({ method, data }) => {
          if (method === null) return { outcome: 'accept' };
          if (data === null || data.length === 0) return { outcome: 'continue', data: Buffer.from('more') };
          return data[0] === 0 ? { outcome: 'refuse', reasonCode: 0x87 } : { outcome: 'accept', data };
        },
        authorizePublish: (_client, topic) => (topic.name.startsWith('no/') ? 0x87 : 0),
      },
    });
  }

  run(input: Buffer): string {
    const clients: (Client | null)[] = [null, null, null, null];
    for (let at = 0; at < input.length; ) {
      const first = input[at++]!;
      const kind = stepKinds[first & 7]!;
      const index = (first >> 3) & 3;
      if (kind === 'time') {
        this.#now += 20 * 2 ** ((input[at++] ?? 0) & 15);
        this.#broker.tick();
      } else if (kind === 'bytes') {
        const length = at + 2 <= input.length ? input.readUInt16BE(at) : 0;
        at += 2;
        const bytes = Buffer.from(input.subarray(at, at + length));
        at += length;
        const client = (clients[index] ??= this.#connect());
        client?.send(bytes);
      } else {
        const client = clients[index];
        if (kind === 'close') {
          client?.close((first & goesOn) === 0 ? null : new Error('reset'));
          clients[index] = null;
        } else if (kind === 'stall') client?.stall();
        else client?.drain();
      }
      if ((first & goesOn) === 0) this.#turn();
      if (clients[index]?.isClosed) clients[index] = null;
    }
    const outcome = clients.map((client) => client?.seen ?? '-').join('|');
    for (const client of clients) client?.close(null);
    this.#turn();
    // Everything that anybody left behind expires.
    for (const seconds of [1, 20_000]) {
      this.#now += seconds * 1_000;
      this.#broker.tick();
      this.#turn();
    }
    const bug = this.#bugs.pop();
    this.#bugs.length = 0;
    must(bug === undefined, bug ?? '');
    return outcome;
  }

  #connect(): Client | null {
    const client = new Client();
    const receiver = this.#broker.accept(client, 'mqtt://127.0.0.1:1883');
    if (receiver === null) return null;
    client.receiver = receiver;
    return client;
  }

  #turn(): void {
    for (let turns = 0; this.#scheduled.length > 0; turns++) {
      must(turns < 1_000, 'the turns do not end');
      for (const run of this.#scheduled.splice(0)) run();
    }
  }
}

/** The client's end: what is written to it must be whole packets that a server may send. */
class Client implements ByteStream {
  readonly kind = 'tcp';
  readonly remoteAddress = '127.0.0.1:50000';
  readonly certificate = null;
  receiver: ByteReceiver | null = null;
  isClosed = false;
  pendingBytes = 0;
  /** The types of the last packets that came. */
  seen = '';
  #isStalled = false;
  #isPaused = false;
  #waiting: Buffer[] = [];

  send(bytes: Buffer): void {
    if (this.isClosed) return;
    if (this.#isPaused) this.#waiting.push(bytes);
    else this.receiver!.onBytes(bytes, 0, bytes.length);
    // The read buffer is used again.
    if (!this.#isPaused) bytes.fill(0xee);
  }

  write(bytes: Uint8Array): void {
    must(!this.isClosed, 'it writes to a closed connection');
    if (this.#isStalled) this.pendingBytes += bytes.length;
    must(this.pendingBytes < 2_000_000, `${this.pendingBytes} bytes wait for a client that does not read`);
    let at = 0;
    while (at < bytes.length) {
      const { headerBytes, total } = framing(bytes, at);
      must(headerBytes > 0 && at + total <= bytes.length, 'it writes a part of a packet');
      const type = bytes[at]! >> 4;
      must(type !== 1 && type !== 8 && type !== 10 && type !== 12 && type !== 0, `it sends a packet of type ${type}`);
      const qos = (bytes[at]! >> 1) & 3;
      if (type === 3) must(qos < 3, 'it publishes with QoS 3');
      this.seen = (this.seen + type.toString(16)).slice(-4);
      at += total;
    }
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    while (!this.#isPaused && this.#waiting.length > 0 && !this.isClosed) this.send(this.#waiting.shift()!);
  }

  stall(): void {
    this.#isStalled = true;
  }

  drain(): void {
    this.#isStalled = false;
    if (this.pendingBytes === 0 || this.isClosed) return;
    this.pendingBytes = 0;
    this.receiver!.onDrain();
  }

  end(): void {
    this.close(null);
  }

  destroy(): void {
    this.close(null);
  }

  close(error: Error | null): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.receiver?.onClose(error);
  }
}

const step = (kind: number, client: number, bytes: Uint8Array): Buffer => {
  return Buffer.concat([Buffer.of(kind | (client << 3), bytes.length >> 8, bytes.length & 255), bytes]);
};

/** Conversations: CONNECT, then a few packets of the same version, from one client or two. */
function seedsOf(seed: number): Buffer[] {
  const conversations = fc
    .constantFrom(3 as const, 4 as const, 5 as const)
    .chain((version) =>
      fc.tuple(fc.constant(version), fc.array(clientPacket(version), { minLength: 2, maxLength: 6 })),
    );
  const random = fc.sample(conversations, { seed, numRuns: 150 }).map(([version, packets]) => {
    const connect = {
      cmd: 'connect',
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      protocolVersion: version,
    } as const;
    const all = [{ ...connect, clientId: 'c', clean: true, keepalive: 60 }, ...packets];
    return Buffer.concat(all.map((packet) => step(0, 0, encodeAsClient(packet as never, version))));
  });
  return [...random, ...([4, 5] as const).flatMap(exchanges)];
}

/** A subscriber and a publisher, with each QoS, a will, a session that is resumed, a shared subscription. */
function exchanges(version: 4 | 5): Buffer[] {
  const of = (client: number, packet: object) => step(0, client, encodeAsClient(packet as never, version));
  const connect = (client: number, fields: object = {}) => {
    const head = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, keepalive: 10 };
    return of(client, { ...head, clientId: `c${client}`, clean: true, ...fields });
  };
  const stays = { clean: false, ...(version === 5 ? { properties: { sessionExpiryInterval: 100 } } : {}) };
  const subscribe = (client: number, topic: string, qos: number) =>
    of(client, { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] });
  const publish = (client: number, qos: number, fields: object = {}) =>
    of(client, {
      cmd: 'publish',
      topic: 'a/b',
      payload: 'hi',
      qos,
      messageId: 7,
      retain: false,
      dup: false,
      ...fields,
    });
  const ack = (client: number, cmd: string, messageId: number) => of(client, { cmd, messageId });
  const [close0, close1, second] = [Buffer.of(4), Buffer.of(4 | 8), Buffer.of(5, 10)];
  const [stall, drain] = [Buffer.of(6), Buffer.of(7)];
  const qos2 = [publish(1, 2), ack(0, 'pubrec', 1), ack(1, 'pubrel', 7), ack(0, 'pubcomp', 1)];
  const will = { will: { topic: 'a/b', payload: 'gone', qos: 1, retain: true } };
  return [
    [connect(0), subscribe(0, 'a/+', 2), connect(1), publish(1, 0), publish(1, 1), ack(0, 'puback', 1), ...qos2],
    [connect(0, stays), subscribe(0, '#', 1), close0, connect(1), publish(1, 1), publish(1, 2), connect(0, stays)],
    [connect(0), subscribe(0, '#', 1), connect(1, will), close1, second, ack(0, 'puback', 1)],
    [connect(0), subscribe(0, '$share/g/#', 1), connect(1), publish(1, 1), publish(1, 1, { messageId: 8 }), close0],
    [connect(1), publish(1, 1, { retain: true }), connect(0), subscribe(0, '#', 1), publish(1, 0, { retain: true })],
    [
      connect(0),
      subscribe(0, '#', 0),
      stall,
      connect(1),
      publish(1, 0, { payload: 'x'.repeat(6_000) }),
      publish(1, 1),
      drain,
    ],
    [connect(0, stays), connect(1, { ...stays, clientId: 'c0' }), connect(2, { ...stays, clientId: 'c0' })],
    [connect(0), of(0, { cmd: 'pingreq' }), of(0, { cmd: 'disconnect' })],
    ...(version === 5
      ? [
          [
            connect(0, { properties: { authenticationMethod: 'm', topicAliasMaximum: 5, receiveMaximum: 1 } }),
            of(0, {
              cmd: 'auth',
              reasonCode: 0x18,
              properties: { authenticationMethod: 'm', authenticationData: 'x' },
            }),
            subscribe(0, '#', 2),
            connect(1),
            publish(1, 1, { properties: { topicAlias: 1, messageExpiryInterval: 5 } }),
            publish(1, 1, { topic: '', messageId: 8, properties: { topicAlias: 1 } }),
            ack(0, 'puback', 1),
            of(0, { cmd: 'auth', reasonCode: 0x19, properties: { authenticationMethod: 'm' } }),
          ],
        ]
      : []),
  ].map((steps) => Buffer.concat(steps));
}

/** Whole steps left out, doubled, moved, taken from elsewhere; or what one of them sends. */
function mutateSteps(input: Uint8Array, random: Random, other: () => Uint8Array): Uint8Array {
  const steps = stepsIn(input);
  const others = stepsIn(other());
  const index = random.between(0, Math.max(0, steps.length - 1));
  const chosen = steps[index];
  switch (chosen === undefined ? 2 : random.between(0, 9)) {
    case 0:
      steps.splice(index, 1);
      break;
    case 1:
      steps.splice(index, 0, chosen!);
      break;
    case 2:
      steps.splice(index, 0, ...others.slice(random.between(0, others.length)));
      break;
    case 3:
      steps.splice(random.between(0, steps.length - 1), 0, ...steps.splice(index, 1));
      break;
    case 4:
      // Another client, the same turn, or another kind of step.
      steps[index] = Buffer.concat([Buffer.of(chosen![0]! ^ random.pick([8, 16, goesOn, 4])), chosen!.subarray(1)]);
      break;
    case 5:
      steps.splice(index, 0, Buffer.of(random.between(4, 7) | (random.between(0, 3) << 3), random.between(0, 20)));
      break;
    case 6: {
      // Cut in two.
      const bytes = chosen!.subarray(3);
      const cut = random.between(0, bytes.length);
      const [kind, client] = [chosen![0]! & 0x87, (chosen![0]! >> 3) & 3];
      steps.splice(index, 1, step(kind, client, bytes.subarray(0, cut)), step(kind, client, bytes.subarray(cut)));
      break;
    }
    default: {
      const otherBytes = () => (others.length === 0 ? new Uint8Array(1) : random.pick(others).subarray(3));
      const bytes = chosen!.subarray(3);
      const changed = random.isLucky(0.8)
        ? mutatePackets(bytes, random, otherBytes, tokens)
        : mutateBytes(bytes, random, otherBytes, { tokens, bytesMax: 60_000 });
      steps[index] = step(chosen![0]! & 0x87, (chosen![0]! >> 3) & 3, changed);
    }
  }
  return Buffer.concat(steps);
}

function stepsIn(input: Uint8Array): Uint8Array[] {
  const steps: Uint8Array[] = [];
  for (let at = 0; at < input.length; ) {
    const kind = stepKinds[input[at]! & 7]!;
    const length =
      kind === 'bytes' ? 3 + (((input[at + 1] ?? 0) << 8) | (input[at + 2] ?? 0)) : kind === 'time' ? 2 : 1;
    steps.push(input.subarray(at, at + length));
    at += length;
  }
  return steps;
}
