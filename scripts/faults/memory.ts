/**
 * All that is known to fill memory, at once and for minutes, against a broker in a cgroup of so many megabytes: it
 * stays alive, serves healthy clients, and loses nothing that it acknowledged. SECONDS sets how long (300), KINDS which
 * (all). Needs the right to make a cgroup.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connectAsync, type MqttClient } from 'mqtt';
import { packet } from '../bench/load/client.ts';
import { memoryGroup } from '../memory-group.ts';
import type { Fault, Scene } from './scene.ts';

const seconds = Number(process.env.SECONDS ?? 300);
const megabyte = 1_000_000;
/** What does not come in so long does not come. */
const patienceMs = 30_000;

const text = (value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 255), bytes]);
};
const idOf = (id: number) => Buffer.of(id >> 8, id & 255);

interface Options {
  readonly clean?: boolean;
  readonly will?: Buffer;
}

/** MQTT 3.1.1. */
function connectPacket(clientId: string, { clean = true, will }: Options): Buffer {
  const flags = (clean ? 2 : 0) | (will === undefined ? 0 : 4);
  const last = will === undefined ? [] : [text('will'), text(will)];
  return packet(0x10, Buffer.concat([text('MQTT'), Buffer.of(4, flags, 0, 0), text(clientId), ...last]));
}

function publishPacket(topic: string, payload: Buffer, qos: 0 | 1 | 2, id: number, retain = false): Buffer {
  const header = [text(topic), ...(qos === 0 ? [] : [idOf(id)])];
  return packet(0x30 | (qos << 1) | (retain ? 1 : 0), Buffer.concat([...header, payload]));
}

const subscribePacket = (filter: string) => packet(0x82, Buffer.concat([idOf(1), text(filter), Buffer.of(1)]));

/** What one attacker has done. */
interface Count {
  opened: number;
  closed: number;
}

class Attack {
  isOver = false;
  readonly counts = new Map<string, Count>();
  readonly #url: URL;
  readonly #sockets = new Set<Socket>();
  #last = 0;

  constructor(url: string) {
    this.#url = new URL(url);
  }

  get next(): number {
    return ++this.#last;
  }

  get name(): string {
    return `attacker-${process.pid}-${this.next}`;
  }

  end(): void {
    this.isOver = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** A connection that has its CONNACK, or null. It is read, and nothing is done with what comes. */
  async open(kind: string, clientId = this.name, options: Options = {}): Promise<Socket | null> {
    const count = this.counts.get(kind) ?? { opened: 0, closed: 0 };
    this.counts.set(kind, count);
    const socket = connect(Number(this.#url.port), this.#url.hostname);
    this.#sockets.add(socket);
    count.opened++;
    socket.on('error', () => {});
    socket.on('close', () => {
      count.closed++;
      this.#sockets.delete(socket);
    });
    socket.write(connectPacket(clientId, options));
    const first = await Promise.race([once(socket, 'data'), once(socket, 'close')]).catch(() => []);
    const isIn = first[0] instanceof Buffer && first[0][3] === 0;
    if (!isIn) socket.destroy();
    else socket.resume();
    return isIn && !this.isOver ? socket : null;
  }

  /** So many at it, each again and again. */
  async repeat(width: number, pauseMs: number, work: () => Promise<void>): Promise<void> {
    const one = async () => {
      while (!this.isOver) {
        await work().catch(() => {});
        await delay(pauseMs);
      }
    };
    await Promise.all(Array.from({ length: width }, one));
  }
}

/** Waits until the kernel takes more, and a moment at most. */
async function written(socket: Socket, bytes: Buffer): Promise<void> {
  if (socket.write(bytes)) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      socket.off('drain', done).off('close', done);
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(done, 2_000);
    socket.on('drain', done).on('close', done);
  });
}

const ended = (socket: Socket) => once(socket, 'close').catch(() => {});

async function unfinished(attack: Attack): Promise<void> {
  const socket = await attack.open('unfinished packets');
  if (socket === null) return;
  socket.write(publishPacket('t', Buffer.alloc(megabyte), 0, 0).subarray(0, -1));
  await ended(socket);
}

async function retained(attack: Attack): Promise<void> {
  const socket = await attack.open('retained');
  if (socket === null) return;
  for (let i = 1; i <= 100 && !socket.destroyed; i++) {
    await written(socket, publishPacket(`retained/${attack.name}`, Buffer.alloc(megabyte), 1, i, true));
  }
  socket.destroy();
}

/** Subscribes, and reads nothing from then on. */
async function reader(attack: Attack, topic: string): Promise<void> {
  const socket = await attack.open('readers that do not read');
  if (socket === null) return;
  socket.write(subscribePacket(topic));
  await delay(200);
  socket.pause();
  await ended(socket);
}

/** 64 MB for each of 30 readers. */
async function flood(attack: Attack): Promise<void> {
  const socket = await attack.open('publishers to them');
  if (socket === null) return;
  for (let i = 0; i < 1_000 && !socket.destroyed && !attack.isOver; i++) {
    await written(socket, publishPacket(`unread/${i % 30}`, Buffer.alloc(60_000), 1, 1 + i));
  }
  socket.destroy();
}

async function namedSession(attack: Attack): Promise<void> {
  const clientId = attack.name.padEnd(60_000, 'x');
  const socket = await attack.open('long names and wills', clientId, { clean: false, will: Buffer.alloc(65_000) });
  if (socket !== null) await delay(100);
  socket?.destroy();
}

async function openIdentifiers(attack: Attack): Promise<void> {
  const socket = await attack.open('open QoS 2 identifiers', attack.name, { clean: false });
  if (socket === null) return;
  for (let id = 1; id <= 65_535 && !socket.destroyed; id += 1_000) {
    const many = Array.from({ length: Math.min(1_000, 65_536 - id) }, (_, i) =>
      publishPacket('q', Buffer.alloc(0), 2, id + i),
    );
    await written(socket, Buffer.concat(many));
  }
  await delay(5_000);
  socket.destroy();
}

async function churn(attack: Attack): Promise<void> {
  (await attack.open('connections that come and go'))?.destroy();
}

async function subscriptions(attack: Attack): Promise<void> {
  const socket = await attack.open('subscriptions');
  if (socket === null) return;
  const deep = '/a'.repeat(120);
  for (let i = 0; i < 4_000 && !socket.destroyed; i++)
    await written(socket, subscribePacket(`${attack.name}/${i}${deep}`));
  await delay(5_000);
  socket.destroy();
}

interface Kind {
  readonly name: string;
  /** So many at it. */
  readonly width: number;
  readonly pauseMs: number;
  work(attack: Attack): Promise<void>;
}

const kinds: readonly Kind[] = [
  { name: 'unfinished', width: 300, pauseMs: 1_000, work: unfinished },
  { name: 'retained', width: 2, pauseMs: 100, work: retained },
  { name: 'readers', width: 30, pauseMs: 1_000, work: (attack) => reader(attack, `unread/${attack.next % 30}`) },
  { name: 'readers', width: 2, pauseMs: 100, work: flood },
  { name: 'names', width: 8, pauseMs: 0, work: namedSession },
  { name: 'identifiers', width: 4, pauseMs: 100, work: openIdentifiers },
  { name: 'churn', width: 8, pauseMs: 0, work: churn },
  { name: 'subscriptions', width: 2, pauseMs: 1_000, work: subscriptions },
];
const wanted = process.env.KINDS?.split(',');
const attacks = kinds.filter(({ name }) => wanted?.includes(name) ?? true);

/** A session that is away, and messages for it. */
class Kept {
  readonly acknowledged: number[] = [];
  readonly #url: string;
  readonly #session = {
    clientId: 'away',
    protocolVersion: 5,
    clean: false,
    reconnectPeriod: 0,
    properties: { sessionExpiryInterval: 3_600, receiveMaximum: 100 },
  } as const;

  constructor(url: string) {
    this.#url = url;
  }

  async begin(): Promise<void> {
    const away = await connectAsync(this.#url, this.#session);
    await away.subscribeAsync('kept', { qos: 1 });
    await away.endAsync();
  }

  /** Returns how many were refused, or got no answer. */
  async publishUntil(time: number): Promise<number> {
    let refused = 0;
    let client: MqttClient | null = null;
    for (let number = 0; Date.now() < time; number++) {
      try {
        if (client === null) {
          client = await connectAsync(this.#url, { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 10_000 });
          client.on('error', () => {});
        }
        await client.publishAsync('kept', String(number), { qos: 1 });
        this.acknowledged.push(number);
      } catch {
        refused++;
        client?.end(true);
        client = null;
      }
      await delay(50);
    }
    client?.end(true);
    return refused;
  }

  isComplete(received: ReadonlySet<number>): boolean {
    return this.acknowledged.every((number) => received.has(number));
  }

  async received(): Promise<Set<number>> {
    const received = new Set<number>();
    const client = await connectAsync(this.#url, this.#session);
    client.on('message', (_topic, payload) => received.add(Number(payload.toString())));
    for (let [size, since] = [0, Date.now()]; !this.isComplete(received) && Date.now() - since < patienceMs; ) {
      await delay(100);
      if (received.size !== size) [size, since] = [received.size, Date.now()];
    }
    await client.endAsync(true);
    return received;
  }
}

export function memoryOf(megabytes: number): Fault {
  return async (scene) => {
    const group = memoryGroup(megabytes);
    if (group === null) return scene.fact('skipped: this needs the right to make a cgroup with a limit of memory');
    scene.atEnd(() => group.remove());
    await scene.start({ cgroupProcesses: group.processes });
    await attackAll(scene);
    scene.must(group.kills() === 0, 'the kernel has killed the broker');
  };
}

async function attackAll(scene: Scene): Promise<void> {
  const kept = new Kept(scene.url);
  await kept.begin();
  const figures = await watchFigures(scene.url);
  const before = await scene.traffic('20 healthy pairs, before', 'p2p -n 20 -r 50 -q 1 -u 1 -d 10');
  const during = scene.traffic('during the attacks', `p2p -n 20 -r 50 -q 1 -u 1 -d ${seconds + 5}`);
  await delay(5_000);
  const attack = new Attack(scene.url);
  const attackers = Promise.all(
    attacks.map(({ width, pauseMs, work }) => attack.repeat(width, pauseMs, () => work(attack))),
  );
  const refusals = kept.publishUntil(Date.now() + seconds * 1_000);
  const newcomers = await welcomed(scene.url, Date.now() + seconds * 1_000);
  const { lat_us } = await during;
  const refused = await refusals;
  attack.end();
  await attackers;
  for (const [kind, { opened, closed }] of attack.counts) scene.fact(`${kind}: ${opened} connections, ${closed} ended`);
  scene.fact(`p99 of the healthy: ${(lat_us.p99 / before.lat_us.p99).toFixed(1)} times that before`);
  scene.fact(`newcomers: ${newcomers}`);
  await scene.traffic('when the attackers have left', 'p2p -n 20 -r 50 -q 1 -u 1 -d 5');
  const since = performance.now();
  const received = await kept.received();
  const took = `${((performance.now() - since) / 1_000).toFixed(1)} s`;
  const lost = kept.acknowledged.filter((number) => !received.has(number)).length;
  scene.fact(
    `for a session that was away: ${kept.acknowledged.length} acknowledged, ${refused} not; ${lost} lost, read in ${took}`,
  );
  scene.must(lost === 0, `${lost} acknowledged messages are lost`);
  scene.must(kept.acknowledged.length > seconds, 'hardly anything was acknowledged');
  await delay(11_000);
  scene.fact(`the ledger: ${figures().join(', ')}`);
}

/** Clients that come one after the other meanwhile. */
async function welcomed(url: string, until: number): Promise<string> {
  const times: number[] = [];
  let refused = 0;
  while (Date.now() < until) {
    const since = performance.now();
    const client = await connectAsync(url, { reconnectPeriod: 0, connectTimeout: 10_000 }).catch(() => null);
    if (client === null) refused++;
    else times.push(performance.now() - since);
    client?.end(true);
    await delay(500);
  }
  const slowest = Math.max(...times);
  return `${times.length} came in, the slowest in ${slowest.toFixed(0)} ms; ${refused} were refused`;
}

/** What `$SYS` says of memory: the most of each, in megabytes. */
async function watchFigures(url: string): Promise<() => string[]> {
  const most = new Map<string, number>();
  const client = await connectAsync(url, { clientId: 'figures' });
  client.on('error', () => {});
  client.on('message', (topic, payload) => {
    const name = topic.slice('$SYS/broker/'.length);
    most.set(name, Math.max(most.get(name) ?? 0, Number(payload.toString())));
  });
  await client.subscribeAsync(['$SYS/broker/memory/#', '$SYS/broker/limits/memoryBytes/reached']);
  return () => {
    client.end(true);
    return [...most]
      .filter(([, value]) => value > 0)
      .map(([name, value]) => `${name} ${value > 100_000 ? `${(value / megabyte).toFixed(1)} MB` : value}`);
  };
}
