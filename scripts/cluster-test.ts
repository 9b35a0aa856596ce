/**
 * `npm run test:cluster`: nodes and nats-servers of a cluster are killed, held and stopped under load, and clients move
 * between the nodes. What was acknowledged must come, in order, and of QoS 2 once; and to one of those that share a
 * subscription, of which some come and go.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { NatsServers } from '../test/support/nats-server.ts';
import { judge } from './cluster/history.ts';
import { NodeProcess } from './cluster/node-process.ts';
import { fail, readOptions, wholeNumber } from './command-line.ts';
import { Client } from './crash/client.ts';
import { Ledger, type QoS, ReasonCode } from './crash/ledger.ts';
import { Random } from './crash/random.ts';

const help = `npm run test:cluster -- [options]   needs nats-server in the PATH, or its file in NATS_SERVER

  --seconds N    how long there is load (60)
  --nodes N      brokers (3)
  --servers N    nats-servers, 1 or 3 (3)
  --seed S       of what happens when (random)
  --rate N       messages a second, of all publishers (100)
`;
const { values } = readOptions(help, {
  seconds: { type: 'string', default: '60' },
  nodes: { type: 'string', default: '3' },
  servers: { type: 'string', default: '3' },
  seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
  rate: { type: 'string', default: '100' },
});
const whole = (name: keyof typeof values, least: number) => wholeNumber(name, values[name], least);
const [seconds, nodeCount, serverCount, seed, rate] = [
  ...[whole('seconds', 1), whole('nodes', 2), whole('servers', 1), whole('seed', 0), whole('rate', 1)],
] as [number, number, number, number, number];
if (serverCount !== 1 && serverCount !== 3) fail('--servers wants 1 or 3: a cluster of two cannot lose one');

const random = new Random(seed);
const tell = (line: string) => process.stdout.write(`${line}\n`);
const startedAt = Date.now();
const event = (what: string) => tell(`${((Date.now() - startedAt) / 1_000).toFixed(1).padStart(8)} s  ${what}`);
tell(`seed ${seed}`);

const folder = mkdtempSync(join(tmpdir(), 'sluice-cluster-'));
const servers = await NatsServers.start({ count: serverCount });
// The command runs where the project is.
const nodes = Array.from(
  { length: nodeCount },
  (_, i) => new NodeProcess(`node-${i}`, process.cwd(), folder, servers.urls),
);
const ledger = new Ledger();
// Nodes come and go all the time, and may say so; one that finds no servers has its clients try another one.
ledger.isStopping = true;
ledger.refusals = [...ledger.refusals, ReasonCode.serverBusy];
ledger.farewells = [...ledger.farewells, ReasonCode.serverBusy, ReasonCode.sessionTakenOver];
let isOver = false;
/** Nothing goes wrong any more. */
let isCalm = false;
const counts = { killed: 0, held: 0, stopped: 0, serversKilled: 0, moves: 0 };

const group = 'team';
const sharedFilter = `$share/${group}/t/#`;

/** A client, and a life in which it is at one node after the other. */
class Traveller {
  readonly client: Client;
  readonly qos: QoS;
  node: NodeProcess | null = null;
  readonly #random: Random;
  /** What it subscribes to whenever it connects: its session ends with its connection. */
  readonly #subscribesTo: string | null;

  constructor(
    clientId: string,
    qos: QoS,
    receives: boolean,
    from: Random,
    group: string | null = null,
    isClean = false,
  ) {
    const isV5 = from.isLucky(0.5);
    const record = receives ? ledger.session(clientId, qos, group) : null;
    this.#subscribesTo = isClean ? sharedFilter : null;
    this.client = new Client(
      {
        ...{ clientId, version: isV5 ? 5 : 4, isPersistent: !isClean, reusesPacketIds: from.isLucky(0.5) },
        answerDelayMs: from.pick([0, 0, 20, 200]),
      },
      ledger,
      record,
    );
    this.qos = qos;
    this.#random = from;
  }

  /** At any node that takes it. */
  async arrive(): Promise<void> {
    while (!isOver) {
      const open = nodes.filter(({ port, isHeld, hasEnded }) => port !== null && !isHeld && !hasEnded);
      if (open.length > 0) {
        this.node = this.#random.pick(open);
        if (await this.client.connect(this.node.port!)) return this.#subscribe();
      }
      await delay(this.#random.between(20, 300));
    }
  }

  async #subscribe(): Promise<void> {
    if (this.#subscribesTo !== null) await this.client.subscribe(this.#subscribesTo, this.qos);
  }

  async live(): Promise<void> {
    while (!isOver) {
      if (this.client.state === 'away') await this.arrive();
      await delay(this.#random.between(50, 500));
      // It hears nothing any more, as with a keep alive of some seconds.
      if (this.node?.isHeld === true) await this.client.abandon();
      else if (!isCalm && this.#random.isLucky(0.01)) {
        counts.moves++;
        await (this.#random.isLucky(0.5) ? this.client.leave() : this.client.abandon());
      }
    }
  }
}

async function publish({ client }: Traveller, from: Random): Promise<void> {
  while (!isOver) {
    await delay(from.between(0, (2_000 * publishers.length) / rate));
    if (isCalm || !client.canPublish) continue;
    const fields = { publisher: client.clientId, topic: `t/${client.clientId}`, retain: false, isEmpty: false };
    client.publish(ledger.send({ ...fields, qos: from.pick<QoS>([1, 2]), size: from.pick([20, 200, 5_000]) }));
  }
}

async function keepRunning(node: NodeProcess): Promise<void> {
  while (!isOver) {
    const { failure } = node;
    if (failure !== null) ledger.report('broker', failure);
    if (node.hasEnded) {
      await delay(random.between(0, 3_000));
      if (isOver) return;
      await node.start().catch((error: Error) => ledger.report('broker', error.message));
      event(`${node.name} serves`);
    }
    await delay(100);
  }
}

async function mishap(): Promise<void> {
  const node = random.pick(nodes.filter(({ port, isHeld }) => port !== null && !isHeld));
  switch (random.pick(['kill', 'kill', 'hold', 'stop', 'server', 'server and node'])) {
    case 'kill':
      counts.killed++;
      event(`${node.name} is killed`);
      return node.end('SIGKILL');
    case 'stop':
      counts.stopped++;
      event(`${node.name} is stopped by order`);
      return node.end('SIGTERM');
    case 'hold': {
      const ms = random.pick([300, 2_000, 8_000]);
      counts.held++;
      event(`${node.name} hangs for ${ms} ms`);
      node.hold();
      await delay(ms);
      return node.goOn();
    }
    case 'server and node':
      counts.killed++;
      event(`${node.name} is killed, and`);
      await Promise.all([node.end('SIGKILL'), killServer()]);
      return;
    default:
      return killServer();
  }
}

async function killServer(): Promise<void> {
  const index = random.between(0, serverCount - 1);
  counts.serversKilled++;
  event(`nats-server ${index} is killed`);
  await servers.killServer(index);
  await delay(random.between(0, 4_000));
  await servers.startServer(index);
}

async function until(isSo: () => boolean, secondsMost: number, what: string): Promise<void> {
  const end = Date.now() + secondsMost * 1_000;
  while (!isSo()) {
    if (Date.now() > end) return ledger.report('broker', `${what}: not within ${secondsMost} s`);
    await delay(100);
  }
}

await Promise.all(nodes.map((node) => node.start()));
event(`${nodeCount} nodes and ${serverCount} nats-servers serve`);
const receivers = Array.from(
  { length: 6 },
  (_, i) => new Traveller(`receiver-${i}`, i % 2 === 0 ? 2 : 1, true, random.fork()),
);
const publishers = Array.from({ length: 4 }, (_, i) => new Traveller(`publisher-${i}`, 2, false, random.fork()));
// QoS 2 that is under way ends with the session of its member. [MQTT5 4.8.2-5]
const members = Array.from(
  { length: 6 },
  (_, i) => new Traveller(`member-${i}`, i < 3 ? 2 : 1, true, random.fork(), group, i >= 4),
);
for (const each of members) {
  await each.arrive();
  if (!(await each.client.subscribe(sharedFilter, each.qos))) fail('a connection was lost before anything was killed');
}
for (const each of receivers) {
  await each.arrive();
  if (!(await each.client.subscribe('t/#', each.qos))) fail('a connection was lost before anything was killed');
}
const living = [
  ...[...receivers, ...members, ...publishers].map((each) => each.live()),
  ...publishers.map((each) => publish(each, random.fork())),
  ...nodes.map((each) => keepRunning(each)),
];

const end = Date.now() + seconds * 1_000;
while (Date.now() < end) {
  await delay(random.between(500, 8_000));
  await mishap();
}
isCalm = true;
const all = [...receivers, ...members, ...publishers];
await until(() => nodes.every(({ port, hasEnded }) => port !== null && !hasEnded), 60, 'all nodes serve');
await until(() => all.every(({ client }) => client.state === 'open'), 60, 'all clients are connected');
await until(() => publishers.every(({ client }) => client.unanswered === 0), 60, 'all messages are answered');
await until(
  () => Date.now() - ledger.lastArrivalMs > 3_000 || judge(ledger).every(({ kind }) => kind !== 'lost'),
  120,
  'nothing comes any more',
);
isOver = true;
await Promise.all(living);
await Promise.all(all.map(({ client }) => client.abandon()));

const violations = judge(ledger);
const acknowledged = ledger.messages.filter(({ acknowledgedAt }) => acknowledgedAt < Infinity).length;
const arrivals = ledger.sessions.reduce((sum, each) => sum + each.arrivals.length, 0);
const told = `${acknowledged} messages acknowledged, ${arrivals} arrivals at ${receivers.length} receivers`;
tell(`${told} and ${members.length} members of a group`);
tell(
  Object.entries(counts)
    .map(([what, count]) => `${what} ${count}`)
    .join(', '),
);
const kinds = new Map<string, number>();
for (const { kind } of violations) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
tell(violations.length === 0 ? 'no violation' : [...kinds].map(([kind, count]) => `${kind}: ${count}`).join(', '));
for (const { kind, what } of violations.slice(0, 20)) tell(`  ${kind}: ${what}`);
for (const node of nodes) await node.end('SIGTERM');
await servers.stop();
if (violations.length > 0) tell(`what the nodes said: ${nodes.map(({ logFile }) => logFile).join(', ')}`);
else rmSync(folder, { recursive: true, force: true });
process.exit(violations.length === 0 ? 0 : 1);
