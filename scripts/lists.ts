/**
 * `npm run bench:lists`: what pages of lists and a scrape cost where there is very much: 500,000 sessions, 2,000,000
 * subscriptions, 1,000,000 messages that wait and 100,000 retained ones.
 *
 * Broker and HTTP API are in this process, and a thread of it asks. Told are the milliseconds until the answer is
 * there, those of processor time that the broker's thread took for it, and the longest round of its event loop
 * meanwhile, with and without those in which V8 collected garbage. Judged is processor time: what else the machine
 * does is not the broker's fault.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { generate, type Packet } from 'mqtt-packet';
import { startApp } from '../src/app.ts';
import { parseConfig } from '../src/config/load.ts';
import type { ByteStream } from '../src/contracts/transport.ts';
import { fail, readOptions } from './command-line.ts';
import { Rounds } from './rounds.ts';

const help = `npm run bench:lists -- [options]   ends with 1 if a page takes more than 20 ms of processor
                                   time, or a round more than 5 ms

  --memory      keep all of it in memory; default: on disk
  --part P      of the sessions, subscriptions and messages, this part (1)
  --times N     each page is asked for so many times (7)
  --only TEXT   only the pages whose address has this
`;
const { values } = readOptions(help, {
  memory: { type: 'boolean', default: false },
  part: { type: 'string', default: '1' },
  times: { type: 'string', default: '7' },
  only: { type: 'string', default: '' },
});
const [part, times] = [Number(values.part), Number(values.times)];
if (!(part > 0) || !(times >= 1)) fail(`--part and --times want numbers above 0\n\n${help.trimEnd()}`);
const some = (count: number) => Math.ceil(count * part);
const counts = { sessions: some(500_000), connected: some(1_000), retained: some(100_000), messagesPerSession: 2 };
const [pageMsMax, roundMsMax] = [20, 5];

const folder = mkdtempSync(join(tmpdir(), 'sluice-lists-'));
const app = await startApp(
  parseConfig({
    listeners: [{ kind: 'tcp', port: 0 }],
    admin: { listeners: [{ port: 0 }], requestsPerSecondPerAddress: 0, requestsPerSecondPerCaller: 0 },
    store: values.memory ? { kind: 'memory' } : { kind: 'level', directory: join(folder, 'data') },
    limits: { memoryBytes: 0 },
    log: { level: 'silent' },
  }),
);
const { broker } = app;

/** A client without a network, whose packets are all there at once. */
class Client {
  static open = 0;
  /** Bytes that it was sent. */
  received = 0;
  readonly #receiver;
  /** What it has sent and the broker does not read yet. */
  readonly #unread: Buffer[] = [];
  #isPaused = false;

  constructor(address: string) {
    Client.open++;
    const close = () => this.close();
    const stream: ByteStream = {
      ...{ kind: 'tcp', remoteAddress: address, certificate: null, pendingBytes: 0 },
      write: ({ length }: Uint8Array) => void (this.received += length),
      ...{ pause: () => void (this.#isPaused = true), resume: () => this.#resume() },
      ...{ end: close, destroy: close },
    };
    this.#receiver = broker.accept(stream, 'mqtt://127.0.0.1:1883')!;
  }

  #isClosed = false;
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    Client.open--;
    this.#receiver.onClose(null);
  }

  send(...packets: readonly Packet[]): void {
    this.#unread.push(...packets.map((packet) => generate(packet, { protocolVersion: 4 })));
    this.#feed();
  }

  #resume(): void {
    this.#isPaused = false;
    this.#feed();
  }

  #feed(): void {
    while (!this.#isPaused && this.#unread.length > 0) {
      const bytes = Buffer.concat(this.#unread.splice(0));
      this.#receiver.onBytes(bytes, 0, bytes.length);
    }
  }
}

const connect = (clientId: string, username: string): Packet =>
  ({
    ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId, clean: false },
    ...{ keepalive: 0, username },
  }) as Packet;
const subscribe = (...topics: readonly string[]): Packet =>
  ({ cmd: 'subscribe', messageId: 1, subscriptions: topics.map((topic) => ({ topic, qos: 1 })) }) as Packet;

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(1);
}

async function fill(): Promise<void> {
  const { sessions, connected, retained, messagesPerSession } = counts;
  for (let i = 0; i < sessions; i++) {
    const client = new Client(`10.${i % 200}.${(i >> 8) & 255}.${i & 255}:50000`);
    const filters = [`device/${i}/#`, `site/${i % 1_000}/+/state`, `all/${i % 10}`, 'everybody'];
    client.send(connect(`site-${i % 1_000}/device-${i}`, `user-${i % 5_000}`), subscribe(...filters));
    if (i >= connected) client.send({ cmd: 'disconnect' } as Packet);
    if (i % 500 === 0) await until(() => Client.open < connected + 5_000);
  }
  await until(() => Client.open <= connected);
  const publisher = new Client('10.0.0.1:50000');
  publisher.send(connect('publisher', 'publisher'));
  await until(() => publisher.received > 0);
  const begun = publisher.received;
  let sent = 0;
  const publish = async (topic: string, retain: boolean) => {
    const messageId = (sent % 60_000) + 1;
    publisher.send({
      cmd: 'publish',
      topic,
      payload: Buffer.alloc(40),
      qos: 1,
      dup: false,
      retain,
      messageId,
    } as Packet);
    sent++;
    // Each PUBACK has four bytes.
    if (sent % 200 === 0) await until(() => (publisher.received - begun) / 4 > sent - 4_000);
  };
  for (let n = 0; n < messagesPerSession; n++) {
    for (let i = 0; i < sessions; i++) await publish(`device/${i}/value`, false);
  }
  for (let i = 0; i < retained; i++) await publish(`state/${i % 1_000}/${i}`, true);
  await until(() => (publisher.received - begun) / 4 >= sent);
  for (let i = 0; i < 20_000; i++) await publish(`nobody/${i % 5_000}`, false);
}

/** Asks over HTTP, in a thread of its own. */
const asking = `
  const { parentPort, workerData: { url, key } } = require('node:worker_threads');
  const { Agent, get } = require('node:http');
  const agent = new Agent({ keepAlive: true });
  parentPort.on('message', (path) => {
    const begun = performance.now();
    get(new URL(path, url), { agent, headers: { Authorization: 'Bearer ' + key } }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const ms = performance.now() - begun;
        const cursor = /"cursor":"([^"]+)"/.exec(text)?.[1] ?? null;
        parentPort.postMessage({ ms, status: response.statusCode, bytes: text.length, cursor });
      });
    });
  });
`;

interface Answer {
  readonly ms: number;
  readonly status: number;
  readonly bytes: number;
  readonly cursor: string | null;
}

const tell = (line: string) => process.stdout.write(`${line}\n`);
process.stderr.write(`filling: ${counts.sessions} sessions …\n`);
const filledAt = performance.now();
await fill();
const rss = () => `${Math.round(process.memoryUsage().rss / 1_048_576)} MB`;
process.stderr.write(`filled in ${Math.round((performance.now() - filledAt) / 1_000)} s; RSS ${rss()}\n`);

const { key } = await (await app.commands()).run('keys create', { name: 'bench', role: 'admin' });
const { url } = app.adminListeners[0]!;
const worker = new Worker(asking, { eval: true, workerData: { url, key } });
const ask = (path: string) =>
  new Promise<Answer>((resolve) => {
    worker.once('message', resolve);
    worker.postMessage(path);
  });

const api = '/api/v1';
const middle = some(250_000);
const last = counts.sessions - 1;
const client = encodeURIComponent(`site-${last % 1_000}/device-${last}`);
const pages: readonly string[] = [
  '/metrics',
  `${api}/broker`,
  `${api}/clients`,
  `${api}/clients?limit=1000`,
  `${api}/clients?clientId=${client}`,
  `${api}/clients?clientIdPrefix=site-7/`,
  `${api}/clients?clientIdPrefix=nobody`,
  `${api}/clients?clientIdContains=device-${middle}`,
  `${api}/clients?clientIdContains=nobody`,
  `${api}/clients?username=user-77`,
  `${api}/clients?username=nobody`,
  `${api}/clients?address=10.7.0.0/16`,
  `${api}/clients?address=192.0.2.1`,
  `${api}/clients?connected=true`,
  `${api}/clients?connected=false&limit=1000`,
  `${api}/clients?protocolVersion=5`,
  `${api}/connections`,
  `${api}/connections?username=nobody`,
  `${api}/subscriptions`,
  `${api}/subscriptions?limit=1000`,
  `${api}/subscriptions?clientId=${client}`,
  `${api}/subscriptions?topicFilter=everybody&limit=1000`,
  `${api}/subscriptions?topicFilter=nobody`,
  `${api}/topics/subscribers?topic=everybody&limit=1000`,
  `${api}/topics/subscribers?topic=device/${middle}/value`,
  `${api}/topics/subscribers?topic=site/77/x/state`,
  `${api}/topics/subscribers?topic=nobody`,
  `${api}/retained?limit=1000`,
  `${api}/retained?topicFilter=${encodeURIComponent('state/77/#')}`,
  `${api}/retained?topicFilter=${encodeURIComponent('+/+/77')}`,
  `${api}/retained?topicFilter=${encodeURIComponent('+/+/nobody')}`,
  `${api}/clients/${client}`,
  `${api}/clients/${client}/queue`,
  `${api}/clients/${client}/inflight`,
  `${api}/drops?limit=1000`,
  `${api}/drops/unmatched?limit=1000`,
  `${api}/slow-clients`,
  `${api}/bans`,
  `${api}/explain?topic=everybody`,
  `${api}/explain?topic=device/${middle}/value&to=${client}`,
];

/** No page: it counts everybody who gets the topic, in as many rounds as that takes. */
const countsAll = `${api}/explain?topic=everybody`;
const rounds = new Rounds();
let tooLong = 0;
tell('| page | answer, ms: median | most | processor, ms: median | most | longest round, ms | without collections |');
tell('|---|--:|--:|--:|--:|--:|--:|');
const median = (some: readonly number[]) => some.toSorted((a, b) => a - b)[some.length >> 1]!;
for (const page of pages.filter((each) => each.includes(values.only))) {
  const [all, cpu, longest, without] = [[], [], [], []] as [number[], number[], number[], number[]];
  let path = page;
  // The first one loads code.
  await ask(path);
  for (let i = 0; i < times; i++) {
    await delay(50);
    rounds.take();
    const { ms, status, cursor } = await ask(path);
    if (status !== 200) throw new Error(`${path} is answered with ${status}`);
    all.push(ms);
    await delay(5);
    const round = rounds.take();
    longest.push(round.all);
    without.push(round.without);
    cpu.push(round.busy);
    path = cursor === null ? page : `${page}${page.includes('?') ? '&' : '?'}cursor=${cursor}`;
  }
  const isPage = !page.startsWith(countsAll);
  if ((isPage && median(cpu) > pageMsMax) || Math.max(...without) > roundMsMax) tooLong++;
  const figures = [
    median(all),
    Math.max(...all),
    median(cpu),
    Math.max(...cpu),
    Math.max(...longest),
    Math.max(...without),
  ];
  tell(`| \`${page.replace(api, '')}\` | ${figures.map((figure) => figure.toFixed(1)).join(' | ')} |`);
}
rounds.end();
tell(`${tooLong} of ${pages.length} pages are too long; RSS ${rss()}`);
rmSync(folder, { recursive: true, force: true });
process.exit(tooLong === 0 ? 0 : 1);
