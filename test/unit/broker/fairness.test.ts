/**
 * What one client sends may take long, or reach thousands of subscribers; the others do not wait until all of it is
 * done.
 */
import { type Packet, parser } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import type { Clock } from '../../../src/base/clock.ts';
import { Broker } from '../../../src/broker/broker.ts';
import type { Connection } from '../../../src/broker/connection.ts';
import type { AuthenticationRequest, Hooks } from '../../../src/contracts/hooks.ts';
import { type MessagePipeline, noPipeline } from '../../../src/contracts/pipeline.ts';
import type { SessionStore } from '../../../src/contracts/session-store.ts';
import { type BrokerSettings, defaultSettings } from '../../../src/contracts/settings.ts';
import { partsOf } from '../../../src/core/core.ts';
import { defaultStepSizes, type StepSizes } from '../../../src/core/step-sizes.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { Peer } from '../../support/peer.ts';
import { Rounds } from '../../support/rounds.ts';

interface WorldOptions {
  readonly hooks?: Hooks;
  readonly stepSizes?: Partial<StepSizes>;
  readonly clock?: Clock;
  readonly store?: SessionStore;
  readonly pipeline?: MessagePipeline;
  readonly settings?: BrokerSettings;
}

/** A broker whose rounds of the event loop the test lets pass, and whose work takes as long as the test says. */
class World extends Rounds {
  readonly broker: Broker;

  constructor(options: WorldOptions) {
    super();
    this.broker = new Broker({
      settings: { ...defaultSettings, sysIntervalSeconds: 0 },
      store: new MemoryStore(),
      scheduler: this.scheduler,
      ...options,
    });
  }

  static async start(options: WorldOptions = {}): Promise<World> {
    const world = new World(options);
    await world.broker.start();
    return world;
  }

  accept(peer = new Peer()): Peer {
    peer.receiver = this.broker.accept(peer, 'mqtt://127.0.0.1:1883');
    return peer;
  }

  connect(clientId: string, peer?: Peer): Peer {
    const accepted = this.accept(peer);
    accepted.connect(clientId);
    return accepted;
  }
}

/** Has on disk what is staged once the test calls `write`. */
function slowStore() {
  const waiting: (() => void)[] = [];
  const store: { -readonly [K in keyof SessionStore]: SessionStore[K] } = new MemoryStore();
  store.putRetained = () => {
    store.staged++;
    store.isDurable = false;
  };
  store.commit = (done) => void waiting.push(done);
  const write = () => {
    store.isDurable = true;
    for (const done of waiting.splice(0)) done();
  };
  return { store, write };
}

/** Tells what packets it gets. */
class TellingPeer extends Peer {
  readonly #parser = parser({ protocolVersion: 5 });

  constructor(onPacket: (packet: Packet) => void) {
    super();
    this.#parser.on('packet', onPacket);
  }

  override write(bytes: Uint8Array): void {
    super.write(bytes);
    this.#parser.parse(Buffer.from(bytes));
  }
}

/** Subscribers of `t` in the order in which they get messages to it, with what they got. */
class Subscribers {
  readonly got: string[] = [];
  readonly #world: World;

  constructor(world: World, names: string) {
    this.#world = world;
    for (const name of names) this.add(name);
  }

  add(name: string): Peer {
    const peer = new TellingPeer((packet) => {
      if (packet.cmd === 'publish') this.got.push(`${name}${packet.payload}`);
    });
    this.#world.connect(name, peer);
    peer.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't', qos: 0 }] });
    this.#world.rest();
    return peer;
  }

  /** What came since the last call. */
  get news(): string {
    return this.got.splice(0).join(' ');
  }
}

const message = { cmd: 'publish', topic: 't', payload: 'x', qos: 0, retain: false, dup: false };
const retained = (count: number, payload = 'x') =>
  Array.from({ length: count }, (_, i) => ({ ...message, topic: `retained/${i}`, payload, retain: true }));

/** By how much `count` grows in each round in which it does. */
const growth = (counts: readonly number[]) => counts.slice(1).map((count, i) => count - counts[i]!);

test('a read whose messages go to many is worked through over several rounds', async () => {
  const world = await World.start();
  const { counters } = world.broker;
  const subscriptions = Array.from({ length: 1_000 }, (_, i) => ({ topic: `$share/${i}/t`, qos: 0 }));
  world.connect('subscriber').send({ cmd: 'subscribe', messageId: 1, subscriptions });
  const publisher = world.connect('publisher');
  world.rest();

  world.perReading = 100;
  publisher.send(...new Array(25).fill(message), { cmd: 'pingreq' });
  expect(publisher.isPaused).toBe(true);
  const copies = growth(world.follow(() => counters.publishSent));
  // A millisecond has ten steps, each of so many copies.
  expect(Math.max(...copies)).toBeLessThanOrEqual(11 * defaultStepSizes.copies);
  expect(copies.length).toBeGreaterThan(15);
  expect([counters.publishSent, publisher.isPaused]).toEqual([25_000, false]);
  await world.broker.close();
});

describe('a message whose route leads through thousands of wildcards', () => {
  const levels = 12;
  const topic = Array(levels).fill('x').join('/');

  /** The client `wild` has subscribed to it in every way. */
  async function wildWorld() {
    const world = await World.start();
    const got: string[] = [];
    const wild = new TellingPeer((packet) => packet.cmd === 'publish' && void got.push(String(packet.payload)));
    world.connect('wild', wild);
    const subscriptions = Array.from({ length: 2 ** levels }, (_, i) => {
      const filter = Array.from({ length: levels }, (_, level) => ((i >> level) & 1 ? '+' : 'x')).join('/');
      return { topic: filter, qos: 0 };
    });
    wild.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    world.rest();
    world.perReading = 1_000;
    return { world, got };
  }

  test('arrives after some rounds in which others are served, and before what its publisher sends next', async () => {
    const { world, got } = await wildWorld();
    const [publisher, other] = [world.connect('publisher'), world.connect('other')];
    world.rest();

    publisher.send({ ...message, topic, payload: 'first' }, { ...message, topic: 'x', payload: 'for nobody' });
    other.send({ ...message, topic: `${topic.slice(2)}/y`, payload: 'of another' });
    expect(publisher.isPaused).toBe(true);
    world.round();
    expect(got).toEqual([]);
    world.rest();

    expect(publisher.isPaused).toBe(false);
    expect(got.sort()).toEqual(['first', 'of another']);
    await world.broker.close();
  });

  test('arrives also if its publisher is gone before the route is found', async () => {
    const { world, got } = await wildWorld();
    const publisher = world.connect('publisher');
    world.rest();

    publisher.send({ ...message, topic, payload: 'last' });
    publisher.destroy();
    world.rest();

    expect(got).toEqual(['last']);
    await world.broker.close();
  });
});

test('and so is one of very many small messages, whose clock is read now and then', async () => {
  const world = await World.start();
  const { counters } = world.broker;
  const [greedy, modest] = [world.connect('greedy'), world.connect('modest')];
  world.rest();

  world.perReading = 250;
  greedy.send(...new Array(400).fill(message));
  modest.send(message);
  expect([greedy.isPaused, modest.isPaused]).toEqual([true, false]);
  const packets = growth(world.follow(() => counters.publishReceived));
  expect(Math.max(...packets)).toBeLessThanOrEqual(5 * 16);
  expect(counters.publishReceived).toBe(401);
  await world.broker.close();
});

test('and so is one of messages that a hook takes long over: the clock is read after each of them', async () => {
  const asked: string[] = [];
  const hooks: Hooks = {
    authorizePublish({ clientId }) {
      world.now += 5_000;
      asked.push(clientId);
      return 0;
    },
  };
  const world = await World.start({ hooks });
  const [slow, other] = [world.connect('slow'), world.connect('other')];
  world.rest();

  slow.send(...new Array(10).fill(message));
  other.send(message);
  expect(asked).toEqual(['slow', 'other']);
  world.rest();
  expect(asked).toHaveLength(11);
  await world.broker.close();
});

test('what follows from a late answer is in the time of the client that waited for it', async () => {
  const answers: ((code: number) => void)[] = [];
  const hooks: Hooks = { authorizePublish: () => new Promise((resolve) => void answers.push(resolve)) };
  let transformed = 0;
  const pipeline: MessagePipeline = {
    ...noPipeline,
    concerns: () => true,
    onPublish() {
      world.now += 5_000;
      transformed++;
      return { verdict: 'drop' };
    },
  };
  const world = await World.start({ hooks, pipeline });
  const client = world.connect('client');
  world.rest();

  client.send(message, message);
  answers[0]!(0);
  await new Promise(setImmediate);
  expect([transformed, answers.length]).toEqual([1, 1]);
  world.rest();
  expect(answers).toHaveLength(2);
  answers[1]!(0);
  await new Promise(setImmediate);
  world.rest();
  expect(transformed).toBe(2);
  await world.broker.close();
});

test('a client that goes while its message is on its way to very many keeps nobody waiting', async () => {
  const world = await World.start({ stepSizes: { copies: 1 } });
  const { counters } = world.broker;
  const subscribers = new Subscribers(world, 'abcdefgh');
  const client = world.connect('client');
  world.rest();

  world.perReading = 900;
  client.send({ ...message, payload: '1' }, { ...message, payload: '2' });
  client.destroy();
  const inRound = growth(world.follow(() => counters.publishSent));

  expect(Math.max(...inRound)).toBeLessThanOrEqual(2);
  expect(subscribers.got.sort().join(' ')).toBe('a1 a2 b1 b2 c1 c2 d1 d2 e1 e2 f1 f2 g1 g2 h1 h2');
  await world.broker.close();
});

test('and so is one of PINGREQs: no kind of packet is free', async () => {
  const world = await World.start();
  const { counters } = world.broker;
  const client = world.connect('client');
  world.rest();

  world.perReading = 250;
  const before = counters.packetsReceived;
  client.send(...new Array(400).fill({ cmd: 'pingreq' }));
  expect(client.isPaused).toBe(true);
  const packets = growth([before, ...world.follow(() => counters.packetsReceived)]);
  expect(Math.max(...packets)).toBeLessThanOrEqual(5 * 16);
  expect(counters.packetsReceived - before).toBe(400);
  await world.broker.close();
});

test.each(['DISCONNECT', 'the loss of its connection'])(
  'what a client sent before %s is handled before that, however long it takes',
  async (end) => {
    const world = await World.start();
    const { counters } = world.broker;
    const wills = new Subscribers(world, 'w');
    const client = world.accept();
    const will = { topic: 't', payload: 'will', qos: 0, retain: false };
    const connect = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clean: true, keepalive: 0 };
    client.send({ ...connect, clientId: 'c', will });
    world.rest();

    world.perReading = 500;
    const messages = new Array(100).fill({ ...message, topic: 'elsewhere' });
    client.send(...messages, ...(end === 'DISCONNECT' ? [{ cmd: 'disconnect' }] : []));
    client.destroy();
    world.rest();

    expect(counters.publishReceived).toBe(100);
    expect(wills.news).toBe(end === 'DISCONNECT' ? '' : 'wwill');
    await world.broker.close();
  },
);

test('a client that publishes retained messages and waits for no answer goes on once some of them are on disk', async () => {
  const { store, write } = slowStore();
  const world = await World.start({ store });
  const { counters } = world.broker;
  const [unanswered, answered] = [world.connect('unanswered'), world.connect('answered')];
  world.rest();

  unanswered.send(...retained(50));
  expect(world.follow(() => counters.publishReceived)).toEqual([32]);
  answered.send(...retained(40).map((each, i) => ({ ...each, qos: 1, messageId: i + 1 })));
  expect(world.follow(() => counters.publishReceived)).toEqual([72]);
  write();
  expect(world.follow(() => counters.publishReceived)).toEqual([90]);

  write();
  store.isBehind = true;
  unanswered.send(...retained(2));
  expect(world.follow(() => counters.publishReceived)).toEqual([91]);
  store.isBehind = false;
  world.broker.tick();
  await new Promise(setImmediate);
  expect(world.follow(() => counters.publishReceived)).toEqual([92]);

  write();
  await world.broker.close();
});

describe('a message for very many', () => {
  test('is given to some of them in each round, and only its publisher waits for that', async () => {
    const world = await World.start({ stepSizes: { copies: 2 } });
    const subscribers = new Subscribers(world, 'abcde');
    const [slow, other] = [world.connect('slow'), world.connect('other')];
    world.rest();

    // Two steps take what a client may take of a round.
    world.perReading = 900;
    slow.send({ ...message, payload: '1' }, { ...message, payload: '2' }, { cmd: 'pingreq' });
    other.send({ ...message, topic: 'elsewhere' });
    expect([slow.isPaused, other.isPaused]).toEqual([true, false]);
    const inRound = growth(world.follow(() => world.broker.counters.publishSent));

    expect(Math.max(...inRound)).toBeLessThanOrEqual(4);
    const each = (name: string) => subscribers.got.filter((one) => one.startsWith(name)).join(' ');
    expect([...'abcde'].map(each)).toEqual(['a1 a2', 'b1 b2', 'c1 c2', 'd1 d2', 'e1 e2']);
    expect(slow.isPaused).toBe(false);
    await world.broker.close();
  });

  test.each(['goes', 'is taken over'])(
    'goes to everybody, and before his will, when its publisher %s',
    async (what) => {
      const world = await World.start({ stepSizes: { copies: 2 } });
      const subscribers = new Subscribers(world, 'abcde');
      const publisher = world.accept();
      const will = { topic: 't', payload: 'w', qos: 0, retain: false };
      const connect = {
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 5,
        clientId: 'p',
        clean: true,
        keepalive: 0,
      };
      publisher.send({ ...connect, will });
      world.rest();

      publisher.send({ ...message, payload: '1' });
      if (what === 'goes') publisher.destroy();
      else world.connect('p');
      world.rest();

      const each = (name: string) => subscribers.got.filter((one) => one.startsWith(name)).join(' ');
      expect([...'abcde'].map(each)).toEqual(['a1 aw', 'b1 bw', 'c1 cw', 'd1 dw', 'e1 ew']);
      await world.broker.close();
    },
  );

  test('goes on in steps when its publisher is taken over, and whoever takes it over waits for that', async () => {
    const world = await World.start({ stepSizes: { copies: 1 } });
    const { counters } = world.broker;
    const subscribers = new Subscribers(world, 'abcdefgh');
    const old = world.connect('publisher');
    world.rest();

    world.perReading = 900;
    old.send({ ...message, payload: '1' });
    const next = world.accept();
    next.connect('publisher');
    next.send({ ...message, payload: '2' });
    const before = counters.publishSent;
    const inRound = growth([before, ...world.follow(() => counters.publishSent)]);

    expect(Math.max(...inRound)).toBeLessThanOrEqual(2);
    const each = (name: string) => subscribers.got.filter((one) => one.startsWith(name)).join(' ');
    expect([...'abcdefgh'].map(each)).toEqual([...'abcdefgh'].map((name) => `${name}1 ${name}2`));
    expect([old.receiver === null, next.receiver === null]).toEqual([true, false]);
    await world.broker.close();
  });

  test('goes on in steps when the broker ends the connection of its publisher, whose next packets are not taken', async () => {
    let now = 1_000_000;
    const authenticate = ({ client }: AuthenticationRequest) => {
      return { outcome: 'accept', ...(client.clientId === 'p' && { expiresAt: now + 500 }) } as const;
    };
    const options = { stepSizes: { copies: 1 }, clock: { now: () => now }, hooks: { authenticate } };
    const world = await World.start(options);
    const { counters } = world.broker;
    const subscribers = new Subscribers(world, 'abcdefgh');
    const publisher = world.accept();
    publisher.send({
      ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId: 'p', clean: true, keepalive: 0 },
      will: { topic: 't', payload: 'w', qos: 0, retain: false },
    });
    world.rest();

    world.perReading = 900;
    publisher.send({ ...message, payload: '1' }, { ...message, payload: '2' });
    now += 600;
    world.broker.tick();
    const inRound = growth([counters.publishSent, ...world.follow(() => counters.publishSent)]);

    expect(Math.max(...inRound)).toBeLessThanOrEqual(2);
    expect([...'abcdefgh'].map((name) => subscribers.got.filter((one) => one.startsWith(name)).join(' '))).toEqual(
      [...'abcdefgh'].map((name) => `${name}1 ${name}w`),
    );
    expect(publisher.receiver).toBe(null);
    await world.broker.close();
  });

  test('passes over who has gone meanwhile, and does not reach who came later', async () => {
    const world = await World.start({ stepSizes: { copies: 2 } });
    const subscribers = new Subscribers(world, 'abcd');
    const last = subscribers.add('e');
    const publisher = world.connect('publisher');
    world.rest();

    publisher.send({ ...message, payload: '1' });
    last.destroy();
    subscribers.add('f');
    world.rest();

    expect(subscribers.news).toBe('a1 b1 c1 d1');
    await world.broker.close();
  });

  test('of QoS 1 goes to everybody in one go', async () => {
    const world = await World.start({ stepSizes: { copies: 2 } });
    const subscribers = new Subscribers(world, 'abcde');
    const publisher = world.connect('publisher');
    world.rest();

    publisher.send({ ...message, payload: '1', qos: 1, messageId: 1 });
    expect(publisher.isPaused).toBe(false);
    world.round();
    expect(subscribers.news).toBe('a1 b1 c1 d1 e1');
    await world.broker.close();
  });
});

test('a message of the program for very many is given in steps, and its next one comes after it', async () => {
  const world = await World.start({ stepSizes: { copies: 1 } });
  const { broker } = world;
  const subscribers = new Subscribers(world, 'abcdefgh');
  world.perReading = 900;
  const before = broker.counters.publishSent;
  const published = ['1', '2'].map((payload) => broker.publish('t', { payload: Buffer.from(payload) }));
  expect(broker.counters.publishSent - before).toBeLessThan(3);
  const inRound = growth([before, ...world.follow(() => broker.counters.publishSent)]);

  expect(Math.max(...inRound)).toBeLessThanOrEqual(2);
  const each = (name: string) => subscribers.got.filter((one) => one.startsWith(name)).join(' ');
  expect([...'abcdefgh'].map(each)).toEqual([...'abcdefgh'].map((name) => `${name}1 ${name}2`));
  expect(await Promise.all(published)).toMatchObject([{ matched: true }, { matched: true }]);
  await broker.close();
});

test('a message of the program that is on its way when the broker closes reaches everybody', async () => {
  const world = await World.start({ stepSizes: { copies: 1 } });
  const subscribers = new Subscribers(world, 'abcdefgh');
  world.perReading = 900;
  const published = world.broker.publish('t', { payload: Buffer.from('1') });
  const closed = world.broker.close();
  expect(await published).toMatchObject({ matched: true });
  await closed;
  expect(subscribers.got.length).toBe(8);
});

describe('while the disk is behind', () => {
  /** A broker whose disk is behind until the returned function is called. */
  async function behind() {
    const store: { -readonly [K in keyof SessionStore]: SessionStore[K] } = new MemoryStore();
    const world = await World.start({ store });
    const subscribers = new Subscribers(world, 'a');
    const away = world.accept();
    const properties = { sessionExpiryInterval: 1_000 };
    const connect = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clean: false, keepalive: 0, properties };
    away.send(
      { ...connect, clientId: 'away' },
      { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't', qos: 2 }] },
    );
    away.destroy();
    world.rest();
    const catchUp = async () => {
      store.isBehind = false;
      world.broker.tick();
      await new Promise(setImmediate);
      world.rest();
    };
    return { store, world, subscribers, connect, catchUp };
  }

  test('a will that is to be stored waits', async () => {
    const { store, world, subscribers, connect, catchUp } = await behind();
    const client = world.accept();
    client.send({ ...connect, clean: true, clientId: 'w', will: { topic: 't', payload: 'w', qos: 1, retain: false } });
    world.rest();
    store.isBehind = true;
    client.destroy();
    world.rest();
    expect(subscribers.news).toBe('');
    await catchUp();
    expect(subscribers.news).toBe('aw');
    await world.broker.close();
  });

  test('a message of the program that is to be stored waits, and another one does not', async () => {
    const { store, world, subscribers, catchUp } = await behind();
    store.isBehind = true;
    const published = world.broker.publish('t', { payload: Buffer.from('1'), qos: 1 });
    void world.broker.publish('t', { payload: Buffer.from('0'), qos: 0 });
    world.rest();
    expect(subscribers.news).toBe('a0');
    await catchUp();
    expect(subscribers.news).toBe('a1');
    expect(await published).toMatchObject({ matched: true });
    await world.broker.close();
  });

  test('the answers of QoS 2 to a session that is stored wait, and what their client sends next waits behind them', async () => {
    const { store, world, connect, catchUp } = await behind();
    const got: string[] = [];
    const client = world.accept(new TellingPeer(({ cmd }) => got.push(cmd)));
    client.send({ ...connect, clientId: 'away' });
    world.rest();
    void world.broker.publish('t', { payload: Buffer.from('1'), qos: 2 });
    world.rest();
    store.isBehind = true;
    client.send({ cmd: 'pubrec', messageId: 1 }, { cmd: 'pingreq' });
    world.rest();
    expect(got).toEqual(['connack', 'publish']);
    await catchUp();
    expect(got).toEqual(['connack', 'publish', 'pubrel', 'pingresp']);
    await world.broker.close();
  });
});

test.each(['subscribe', 'unsubscribe'] as const)(
  'the topic filters of one %s are worked through over several rounds',
  async (cmd) => {
    const world = await World.start();
    const client = world.connect('client');
    world.rest();
    const filters = Array.from({ length: 100 }, (_, i) => `${i}${'/a'.repeat(127)}`.padEnd(268, 'x'));
    let done = 0;
    world.broker.events.on(`${cmd}d`, () => done++);
    const subscribing = { cmd: 'subscribe', messageId: 1, subscriptions: filters.map((topic) => ({ topic, qos: 0 })) };
    if (cmd === 'unsubscribe') client.send(subscribing);
    world.rest();
    const bytesBefore = client.bytes;
    world.perReading = 300;

    client.send(cmd === 'subscribe' ? subscribing : { cmd, messageId: 2, unsubscriptions: filters }, {
      cmd: 'pingreq',
    });
    expect(client.isPaused).toBe(true);

    const filtersInRound = growth(world.follow(() => done));
    expect(Math.max(...filtersInRound)).toBeLessThanOrEqual(16);
    expect([done, client.isPaused]).toEqual([100, false]);
    // One answer for all, and that to the PINGREQ.
    expect(client.bytes - bytesBefore).toBe(5 + 100 + 2);
    await world.broker.close();
  },
);

test('connections whose time for a CONNECT is up at one time are closed over several rounds', async () => {
  let now = 1_000_000;
  const world = await World.start({ clock: { now: () => now } });
  for (let i = 0; i < 40; i++) world.accept();

  // Not in one step, or it would be the broker that was late.
  for (let seconds = 0; seconds <= defaultSettings.limits.connectTimeoutSeconds; seconds++) {
    world.broker.tick();
    now += 1_000;
  }

  world.perReading = 1_000;
  expect(world.follow(() => world.broker.counters.protocolErrors)).toEqual([16, 32, 40]);
  await world.broker.close();
});

/** Connects, and adds the CONNACK to `answers`. */
function come(world: World, connect: object, answers: Packet[]): Peer {
  const peer = new TellingPeer((packet) => {
    if (packet.cmd === 'connack') answers.push(packet);
  });
  world.accept(peer);
  const common = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clean: false, keepalive: 0 };
  peer.send({ ...common, ...connect });
  world.rest();
  return peer;
}

test('what waits for its time happens when it is its turn, not when it came', async () => {
  let now = 1_000_000;
  const store = new MemoryStore();
  const leftAt: (number | null)[] = [];
  store.putSession = (session?: { disconnectedAt: number | null }) => void leftAt.push(session!.disconnectedAt);
  const world = await World.start({ clock: { now: () => now }, store });
  const client = come(world, { clientId: 'c', properties: { sessionExpiryInterval: 20 } }, []);

  world.perReading = 900;
  client.send({ cmd: 'pingreq' });
  client.send({ cmd: 'pingreq' });
  client.send({ cmd: 'disconnect' });
  now += 80;
  world.rest();

  expect(leftAt.at(-1)).toBe(now);
  await world.broker.close();
});

test('a session whose time is up is over when its client comes back, though that has not been looked at', async () => {
  let now = 1_000_000;
  const world = await World.start({ clock: { now: () => now }, stepSizes: { timers: 1 } });
  const wills = new Subscribers(world, 'w');
  const will = (payload: string) => ({
    topic: 't',
    payload,
    qos: 0,
    retain: false,
    properties: { willDelayInterval: 10 },
  });
  const answers: Packet[] = [];
  const connect = (clientId: string, payload: string, sessionExpiryInterval: number) =>
    come(world, { clientId, properties: { sessionExpiryInterval }, will: will(payload) }, answers);
  const clients = ['a', 'b', 'c'].map((name) => connect(name, name, 20));
  clients.push(connect('d', 'd', 100));
  for (const client of clients) client.destroy();
  world.rest();

  now += 30_000;
  world.broker.tick();
  // One of the timers has fired, and no round has passed since.
  connect('c', 'new', 20);
  connect('d', 'new', 100);

  const present = answers.map((answer) => answer.cmd === 'connack' && answer.sessionPresent);
  expect(present).toEqual([false, false, false, false, false, true]);
  expect(wills.got.sort()).toEqual(['wa', 'wb', 'wc', 'wd']);
  await world.broker.close();
});

test('a client identifier is free when its session has expired, though that has not been looked at', async () => {
  let now = 1_000_000;
  const hooks: Hooks = { authenticate: () => ({ outcome: 'accept' }) };
  const world = await World.start({ hooks, clock: { now: () => now }, stepSizes: { timers: 1 } });
  const answers: Packet[] = [];
  const connect = (clientId: string, username: string) =>
    come(world, { clientId, username, properties: { sessionExpiryInterval: 20 } }, answers);
  for (const client of [connect('a', 'ada'), connect('b', 'ada')]) client.destroy();
  world.rest();

  connect('b', 'ben');
  now += 30_000;
  connect('b', 'ben');

  const codes = answers.map((answer) => answer.cmd === 'connack' && answer.reasonCode);
  expect(codes).toEqual([0, 0, 0x87, 0]);
  await world.broker.close();
});

test('the subscriptions of a session that ends with very many are taken out over several rounds', async () => {
  const world = await World.start();
  const subscriptions = Array.from({ length: 1_000 }, (_, i) => ({ topic: `$share/${i}/t`, qos: 0 }));
  const client = world.connect('client');
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
  const publisher = world.connect('publisher');
  world.rest();
  const { router } = partsOf((client.receiver as Connection).context.core);

  client.destroy();
  publisher.send(message);
  expect(world.broker.counters.publishSent).toBe(0);
  world.broker.tick();
  world.perReading = 1_000;
  const inRound = growth(world.follow(() => -router.sharedGroupCount));
  expect(Math.max(...inRound)).toBeLessThanOrEqual(defaultStepSizes.subscriptions);
  expect(router.sharedGroupCount).toBe(0);
  await world.broker.close();
});

test('a SUBSCRIBE is worked through although its client has gone meanwhile: what it sent before counts', async () => {
  const world = await World.start();
  const client = world.connect('client');
  world.rest();
  let done = 0;
  world.broker.events.on('subscribed', () => done++);
  const subscriptions = Array.from({ length: 1_000 }, (_, i) => ({ topic: `t/${i}`, qos: 0 }));
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
  const before = done;
  client.destroy();
  world.rest();

  expect(before).toBeGreaterThan(0);
  expect(done).toBe(1_000);
  await world.broker.close();
});

test('a look for retained messages that finds few among many is cut into steps, and several clients are served side by side', async () => {
  const world = await World.start();
  const { broker } = world;
  for (let i = 0; i < 25_000; i++) void broker.publish(`${i}/a`, { payload: Buffer.from('x'), retain: true });
  void broker.publish('last/z', { payload: Buffer.from('x'), retain: true });

  const subscriptions = ['+/none', '+/z'].map((topic) => ({ topic, qos: 0 }));
  const clients = ['one', 'two'].map((name) => world.connect(name));
  world.rest();
  world.perReading = 200;
  for (const client of clients) client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
  const sent: number[] = [];
  while (!world.isAtRest) {
    world.round();
    sent.push(broker.counters.publishSent);
  }

  // Each of the two looks at 50,000 nodes, a thousand in a step, five steps in a round, in no particular order.
  expect(sent.length).toBeGreaterThanOrEqual(10);
  expect(sent.findIndex((count) => count > 0)).toBeGreaterThan(1);
  expect(sent.at(-1)).toBe(2);
  await broker.close();
});

test.each([
  ['small', 1],
  ['large', 16_384],
])('%s retained messages are sent over several rounds', async (_what, payloadBytes) => {
  const world = await World.start();
  const publisher = world.connect('publisher');
  publisher.send(...retained(1_000, 'x'.repeat(payloadBytes)));
  world.rest();
  const subscriber = world.connect('subscriber');
  world.rest();

  world.perReading = 100;
  subscriber.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'retained/#', qos: 0 }] });
  const inRound = growth(world.follow(() => world.broker.counters.publishSent));

  expect(Math.max(...inRound)).toBeLessThanOrEqual(payloadBytes === 1 ? 110 : 40);
  expect(world.broker.counters.publishSent).toBe(1_000);
  await world.broker.close();
});

test('the $SYS topics are published over several rounds if many have subscribed to them', async () => {
  let now = 1_000_000;
  const settings = { ...defaultSettings, sysIntervalSeconds: 10 };
  const world = await World.start({ settings, clock: { now: () => now } });
  for (const name of 'abcdefgh') {
    world.connect(name).send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '$SYS/#', qos: 0 }] });
  }
  world.rest();

  now += 10_000;
  world.perReading = 250;
  const before = world.broker.counters.publishSent;
  world.broker.tick();
  const inRound = growth([before, ...world.follow(() => world.broker.counters.publishSent)]);
  expect(inRound.length).toBeGreaterThan(4);
  expect(Math.max(...inRound)).toBeLessThanOrEqual(5 * 8);
  await world.broker.close();
});

test('expired retained messages are taken out some at a time, and not while the disk is behind', async () => {
  let now = 1_000_000;
  const store: { -readonly [K in keyof SessionStore]: SessionStore[K] } = new MemoryStore();
  const world = await World.start({ clock: { now: () => now }, store, stepSizes: { retained: 100 } });
  const { broker } = world;
  for (let i = 0; i < 2_000; i++) {
    const fields = { payload: Buffer.from('x'), retain: true, messageExpiryInterval: i % 2 === 0 ? 1 : 1_000 };
    void broker.publish(`${i}/a`, fields);
  }
  world.rest();
  now += 60_000;
  store.isBehind = true;
  broker.tick();
  world.rest();
  expect(broker.counters.dropped.expired).toBe(0);

  store.isBehind = false;
  world.perReading = 250;
  broker.tick();
  const inRound = growth([0, ...world.follow(() => broker.counters.dropped.expired)]);
  expect(inRound.length).toBeGreaterThan(20);
  expect(Math.max(...inRound)).toBeLessThanOrEqual(4 * 5);
  expect(broker.counters.dropped.expired).toBe(1_000);
  await broker.close();
});

test('a reload asks for each class in a session and not for each subscription, and goes through thousands of subscriptions in several rounds', async () => {
  let asked = 0;
  const pipeline: MessagePipeline = {
    generation: 0,
    concerns: () => false,
    onPublish: () => ({ verdict: 'keep' }),
    classify: () => null,
    reclassify: (_, subscriberClass) => {
      asked++;
      return subscriberClass;
    },
    onDeliver: () => ({ verdict: 'keep' }),
    metrics: [],
  };
  const world = await World.start({ pipeline });
  const subscriptions = Array.from({ length: 9_000 }, (_, i) => ({ topic: `${i}`, qos: 0 }));
  for (const name of ['one', 'two']) {
    world.connect(name).send({ cmd: 'subscribe', messageId: 1, subscriptions });
    world.rest();
  }

  let isDone = false;
  const done = world.broker.reclassify().then(() => (isDone = true));
  let rounds = 0;
  for (; !isDone; rounds++) {
    world.round();
    await new Promise((resolve) => setImmediate(resolve));
  }

  await done;
  expect(asked).toBeLessThan(20);
  expect(rounds).toBeGreaterThan(7);
  await world.broker.close();
});

test('thousands of sessions are counted for $SYS in several rounds', async () => {
  let now = 1_700_000_000_000;
  const settings = { ...defaultSettings, sysIntervalSeconds: 10 };
  const world = await World.start({ settings, clock: { now: () => now } });
  for (let i = 0; i < 5_000; i++) world.connect(`client ${i}`);
  world.rest();
  const told: string[] = [];
  world.broker.subscribe('$SYS/broker/clients/connected', ({ payload }) => void told.push(String(payload)));
  const tick = () => {
    now += 10_000;
    world.broker.tick();
  };

  tick();
  expect(world.isAtRest).toBe(false);
  world.rest();
  tick();
  world.rest();

  expect(told.at(-1)).toBe('5000');
  await world.broker.close();
});
