/**
 * `npm run bench -- bridge`: what goes over a bridge of Sluice and over one of Mosquitto, to the same peer, a Mosquitto
 * that keeps nothing. They take turns, so that what else the machine does meets them all.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { endsWithUs } from '../child-processes.ts';
import { BadLink } from '../crash/bridge/bad-link.ts';
import { projectRoot } from '../project-root.ts';
import { type BrokerName, pinned, pinning, type RunningBroker, startBroker, versionOf } from './brokers.ts';
import { LoadClient } from './load/client.ts';
import { Publisher } from './load/publisher.ts';
import { processUsage } from './process-usage.ts';
import { median, type RunOutput } from './results.ts';

export interface BridgeBenchOptions {
  readonly runs: number;
  readonly seconds: number;
  /** Messages that wait while the peer is away. */
  readonly queued: number;
}

interface Drain {
  /** Messages a second, from when the peer can be reached again. */
  readonly rate: number;
  readonly cpuMicroseconds: number;
  /** Of the broker, resident, with all of them waiting, and how much of it came with them. */
  readonly megabytes: number;
  readonly megabytesMore: number;
}

interface Bridging {
  readonly title: string;
  readonly broker: BrokerName;
  readonly isDurable: boolean;
  /** Of its topics, so that messages go through a lane: see docs/internals/bridge.md. */
  readonly hasPriorities?: boolean;
}

const bridging: readonly Bridging[] = [
  { title: 'Sluice, on disk', broker: 'sluice', isDurable: true },
  { title: 'Sluice, on disk, with priorities', broker: 'sluice', isDurable: true, hasPriorities: true },
  { title: 'Sluice, in memory', broker: 'sluice', isDurable: false },
  { title: 'Mosquitto, persistence', broker: 'mosquitto', isDurable: true },
];

const loads = [
  { title: '20 publishers, 20 in flight each', args: ['p2p', '-n', '20', '-w', '20', '-q', '1'] },
  { title: 'one message under way', args: ['p2p', '-n', '1', '-w', '1', '-q', '1'] },
] as const;

/** Nothing drains slower than that. */
const drainMsMax = (messages: number) => 30_000 + messages;
const connectMsMax = 20_000;

function settingsOf({ broker, hasPriorities = false }: Bridging, port: number): string {
  if (broker === 'mosquitto') {
    // By 5.0 it would say Receive Maximum 0, of `max_inflight_messages 0`, which its peer refuses.
    return [
      ...['connection up', `address 127.0.0.1:${port}`, 'topic # out 1', 'bridge_protocol_version mqttv311'],
      ...['cleansession false', 'notifications false', 'restart_timeout 1', 'remote_clientid mosquitto-bridge'],
    ].join('\n');
  }
  const bridge = {
    ...{ name: 'up', addresses: [`mqtt://127.0.0.1:${port}`], maxInflight: 1_000 },
    topics: [...(hasPriorities ? [{ filter: 'alarm/#', qos: 1, priority: 9 }] : []), { filter: '#', qos: 1 }],
    reconnect: { minimumMs: 1_000, maximumMs: 1_000 },
  };
  // Mosquitto has no limit either.
  return `bridges: [${JSON.stringify(bridge)}]\nlimits: { queueMessages: 10000000, queueBytes: 10000000000 }`;
}

const urlOf = (broker: RunningBroker) => broker.urls.get('mqtt')!;

class Contestant {
  readonly title: string;
  readonly broker: RunningBroker;
  readonly link: BadLink;
  readonly #peer: RunningBroker;

  constructor(title: string, broker: RunningBroker, link: BadLink, peer: RunningBroker) {
    this.title = title;
    this.broker = broker;
    this.link = link;
    this.#peer = peer;
  }

  async load(args: readonly string[], seconds: number): Promise<RunOutput> {
    return runGenerator([...args, '-p', String(this.broker.pid), '-d', String(seconds)], this.broker, this.#peer);
  }

  async drain(queued: number): Promise<Drain> {
    let received = 0;
    const topic = `backlog/${this.broker.pid}/${Date.now()}`;
    const [url, to] = [new URL(urlOf(this.broker)), new URL(urlOf(this.#peer))];
    const subscriber = await LoadClient.connect(
      { url: to, version: 4, clientId: topic },
      { onMessage: () => received++ },
    );
    await subscriber.subscribe([topic], 0);
    this.link.isClosed = true;
    this.link.cut(0);
    const empty = megabytesOf(this.broker);
    await this.#publishBacklog(url, topic, queued);
    const megabytes = megabytesOf(this.broker);
    this.link.isClosed = false;
    while (received === 0) await delay(5);
    const [since, before] = [performance.now(), processUsage(this.broker.pid)?.cpuSeconds ?? 0];
    const first = received;
    while (received < queued && performance.now() - since < drainMsMax(queued)) await delay(2);
    const seconds = (performance.now() - since) / 1_000;
    const cpu = (processUsage(this.broker.pid)?.cpuSeconds ?? 0) - before;
    subscriber.close();
    if (received < queued) throw new Error(`${this.title}: ${queued - received} of a backlog are lost`);
    return {
      rate: (received - first) / seconds,
      cpuMicroseconds: (cpu * 1e6) / (received - first),
      megabytes,
      megabytesMore: megabytes - empty,
    };
  }

  async #publishBacklog(url: URL, topic: string, queued: number): Promise<void> {
    const publisher = new Publisher({
      ...{ index: 0, topics: [topic], payloadBytes: 64, qos: 1, version: 4, copies: 1 },
      ...{ unacknowledgedMax: 100, undeliveredMax: Number.POSITIVE_INFINITY },
    });
    const fill = () => {
      if (publisher.client === null) return;
      const room = Math.min(100 - (publisher.sent - publisher.acknowledged), queued - publisher.sent);
      publisher.send(room, 0);
    };
    const onDone = (packetId: number) => void publisher.acknowledge(packetId);
    publisher.client = await LoadClient.connect({ url, version: 4, clientId: `${topic}/p` }, { onDone, onTurn: fill });
    fill();
    while (publisher.acknowledged < queued) await delay(5);
    publisher.client.close();
  }

  async untilConnected(): Promise<void> {
    let isThrough = false;
    const topic = `probe/${this.broker.pid}`;
    const onMessage = () => {
      isThrough = true;
    };
    const to = new URL(urlOf(this.#peer));
    const subscriber = await LoadClient.connect({ url: to, version: 4, clientId: topic }, { onMessage });
    await subscriber.subscribe([topic], 0);
    const probe = { index: 0, topics: [topic], payloadBytes: 64, qos: 1, version: 4, copies: 1 } as const;
    const publisher = new Publisher({ ...probe, unacknowledgedMax: 1, undeliveredMax: 1 });
    publisher.client = await LoadClient.connect({
      ...{ url: new URL(urlOf(this.broker)), version: 4, clientId: `${topic}/p` },
    });
    const deadline = Date.now() + connectMsMax;
    for (; !isThrough && Date.now() < deadline; await delay(50)) publisher.send(1, 0);
    for (const client of [subscriber, publisher.client]) client.close();
    if (!isThrough) throw new Error(`${this.title}: the bridge does not connect`);
  }
}

const megabytesOf = ({ pid }: RunningBroker) => (processUsage(pid)?.rssKilobytes ?? 0) / 1_024;

async function runGenerator(args: readonly string[], from: RunningBroker, to: RunningBroker): Promise<RunOutput> {
  const generator = join(projectRoot(), 'scripts/dist/bench/generator.js');
  const [file, all] = pinned(1, process.execPath, [generator, ...args, '--url', urlOf(from), '--to', urlOf(to)]);
  const child = endsWithUs(spawn(file, all, { stdio: ['ignore', 'pipe', 'inherit'] }));
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the generator failed (${code})`);
  return JSON.parse(output) as RunOutput;
}

const numberOf = (output: RunOutput, field: string) => Number(output[field]);
const cpuOf = (output: RunOutput) =>
  (numberOf(output, 'cpu_s') * 1e6) / Math.max(1, numberOf(output, 'out_rate') * numberOf(output, 'secs'));
const quantileOf = (output: RunOutput, name: 'p50' | 'p99') =>
  (output.lat_us as Readonly<Record<string, number>>)[name]! / 1_000;

function rowOf(title: string, outputs: readonly RunOutput[]): string {
  const middle = (read: (output: RunOutput) => number, digits: number) => median(outputs.map(read)).toFixed(digits);
  const lost = outputs.reduce((sum, output) => sum + numberOf(output, 'lost'), 0);
  const rates = outputs.map((output) => numberOf(output, 'out_rate'));
  const range = `${Math.min(...rates)}–${Math.max(...rates)}`;
  const cpu = middle(cpuOf, 1);
  const [p50, p99] = [middle((each) => quantileOf(each, 'p50'), 2), middle((each) => quantileOf(each, 'p99'), 2)];
  return `| ${title} | ${middle((each) => numberOf(each, 'out_rate'), 0)} | ${range} | ${cpu} | ${p50} | ${p99} | ${lost} |`;
}

export async function benchBridges({ runs, seconds, queued }: BridgeBenchOptions): Promise<void> {
  const version = versionOf('mosquitto');
  if (version === null) throw new Error('bench -- bridge needs mosquitto as the peer, which is not installed');
  process.stdout.write(
    `Sluice ${versionOf('sluice')}, Mosquitto ${version}; Node.js ${process.version}; ${pinning}\n\n`,
  );
  await withBridges(false, async (contestants, peer) => {
    for (const { title, args } of loads) {
      const own = contestants.map((): RunOutput[] => []);
      const direct: RunOutput[] = [];
      for (let run = 0; run < runs; run++) {
        direct.push(await runGenerator([...args, '-p', String(peer.pid), '-d', String(seconds)], peer, peer));
        for (const [index, each] of contestants.entries()) own[index]!.push(await each.load(args, seconds));
      }
      const head = [`| ${title} | messages/s | lowest–highest | CPU µs | p50 ms | p99 ms | lost |`];
      const rows = contestants.map((each, index) => rowOf(each.title, own[index]!));
      process.stdout.write(
        `${[...head, '|---|--:|--:|--:|--:|--:|--:|', ...rows, rowOf('no bridge', direct)].join('\n')}\n\n`,
      );
    }
  });
  await withBridges(true, async (contestants) => {
    const drains = contestants.map((): Drain[] => []);
    for (let run = 0; run < runs; run++) {
      for (const [index, each] of contestants.entries()) drains[index]!.push(await each.drain(queued));
    }
    const head = [
      `| ${queued} messages that wait | drained/s | CPU µs | RSS MB with them | more MB |`,
      '|---|--:|--:|--:|--:|',
    ];
    const rows = contestants.map(({ title }, index) => {
      const middle = (of: keyof Drain, digits = 0) => median(drains[index]!.map((each) => each[of])).toFixed(digits);
      const memory = `${middle('megabytes')} | ${middle('megabytesMore')}`;
      return `| ${title} | ${middle('rate')} | ${middle('cpuMicroseconds', 1)} | ${memory} |`;
    });
    process.stdout.write(`${[...head, ...rows].join('\n')}\n`);
  });
}

/** `areCut`: their peer can be put out of reach, for which their messages take a way through this process. */
async function withBridges(
  areCut: boolean,
  measure: (contestants: readonly Contestant[], peer: RunningBroker) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const contestants: Contestant[] = [];
  // On the generator's core: what a bridge has to do is alone on its own.
  const peer = await startBroker('mosquitto', join(folder, 'peer'), { isDurable: false, core: 1 });
  const port = Number(new URL(urlOf(peer)).port);
  try {
    for (const [index, each] of bridging.entries()) {
      const link = await BadLink.open();
      link.target = port;
      const { broker: name, isDurable } = each;
      const settings = settingsOf(each, areCut ? link.port : port);
      const broker = await startBroker(name, join(folder, String(index)), { isDurable, settings });
      contestants.push(new Contestant(each.title, broker, link, peer));
    }
    for (const each of contestants) await each.untilConnected();
    await measure(contestants, peer);
  } finally {
    for (const each of contestants) {
      await each.broker.stop();
      await each.link.close();
    }
    await peer.stop();
    rmSync(folder, { recursive: true });
  }
}
