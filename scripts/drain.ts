/**
 * `npm run bench:drain`: an update as the manual describes it, of a broker with a fleet: drain, stop, start. How long
 * each client was away, and whether a message was lost or a will published. docs/guides/upgrade.md has the figures.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { LoadClient } from './bench/load/client.ts';
import { fail, readOptions } from './command-line.ts';
import { type FleetClient, fleetOf, willTopics } from './drain/fleet.ts';
import { FleetPublisher } from './drain/publisher.ts';
import { freePort } from './ports.ts';
import { projectRoot } from './project-root.ts';
import { startSluice } from './start-sluice.ts';

const help = `npm run bench:drain -- [options]

  --clients N       every other one of MQTT 5, the others of 3.1.1 (10000)
  --per-second N    clients that the drain sends away in a second; 0: the broker is stopped without one (500)
  --grace N         wills.restartGraceSeconds (60)
  --rate N          messages a second to all of them together, QoS 1 (500)
`;
const { values } = readOptions(help, {
  clients: { type: 'string', default: '10000' },
  'per-second': { type: 'string', default: '500' },
  rate: { type: 'string', default: '500' },
  grace: { type: 'string', default: '60' },
});
const clients = Number(values.clients);
const perSecond = Number(values['per-second']);
const rate = Number(values.rate);
const graceSeconds = Number(values.grace);
if (!(Number.isInteger(clients) && clients > 0 && perSecond >= 0 && rate > 0 && graceSeconds >= 0))
  fail(`Numbers, please\n\n${help.trimEnd()}`);

const pollMs = 100;
const endMsMax = 300_000;
/** What is on its way when all clients are back has arrived then. */
const settleMs = 3_000;

const folder = mkdtempSync(join(tmpdir(), 'sluice-drain-'));
const config = join(folder, 'sluice.yaml');
const port = await freePort();
const url = new URL(`mqtt://127.0.0.1:${port}`);
writeFileSync(
  config,
  [
    `listeners: [{ kind: tcp, port: ${port} }]`,
    `store: { kind: level, directory: ${join(folder, 'data')} }`,
    `wills: { restartGraceSeconds: ${graceSeconds} }`,
  ].join('\n'),
);

const start = () => startSluice(config, port, join(folder, 'log'));

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let left = endMsMax / pollMs; !condition(); left--) {
    if (left <= 0) throw new Error(`Waited in vain until ${what}`);
    await delay(pollMs);
  }
}

/** Counts what is published of the fleet's wills, over the restart too. */
async function watchWills(count: () => void): Promise<void> {
  const watch = async (isFirst: boolean) => {
    const options = { url, version: 4, clientId: 'watcher', isPersistent: true } as const;
    const client = await LoadClient.connect(options, { onMessage: count });
    if (isFirst) await client.subscribe([willTopics], 1);
    return client;
  };
  let client: LoadClient | null = await watch(true);
  void (async () => {
    for (;;) {
      await client?.failed().catch(() => {});
      await delay(pollMs);
      client = await watch(false).catch(() => null);
    }
  })();
}

const sluice = (...argv: string[]) =>
  promisify(execFile)(process.execPath, [join(projectRoot(), 'dist/program/main.js'), ...argv, '--config', config]);

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
const total = (fleet: readonly FleetClient[], of: (client: FleetClient) => number) =>
  fleet.reduce((sum, client) => sum + of(client), 0);

function report(fleet: readonly FleetClient[], publisher: FleetPublisher, wills: number): boolean {
  const sent = publisher.sent.reduce((sum, count) => sum + count, 0);
  const lost = sent - total(fleet, ({ received }) => received);
  const away = fleet.flatMap((client) => client.away).sort((a, b) => a - b);
  const at = (part: number) => seconds(away[Math.min(away.length - 1, Math.floor(part * away.length))] ?? 0);
  const sessionsLost = total(fleet, (client) => client.sessionsLost);
  console.log(`away           p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)}, ${away.length} times`);
  console.log(`refused        ${total(fleet, ({ refused }) => refused)} attempts to come back`);
  console.log(`messages       ${sent} sent, ${publisher.acknowledged} acknowledged, ${lost} lost`);
  console.log(`came again     ${total(fleet, ({ again }) => again)} (QoS 1)`);
  console.log(`sessions lost  ${sessionsLost}`);
  console.log(`wills          ${wills}`);
  return lost === 0 && wills === 0 && sessionsLost === 0;
}

const load = loadavg()[0]!.toFixed(1);
console.log(
  `${clients} clients, ${rate} messages/s, grace ${graceSeconds} s; ${cpus().length} processors, load ${load} before`,
);
let broker = await start();
let wills = 0;
await watchWills(() => wills++);
const fleet = await fleetOf(clients, url);
const publisher = new FleetPublisher(url, clients, rate);
await publisher.begin();
await until('the first messages are acknowledged', () => publisher.acknowledged >= rate);

const begun = performance.now();
if (perSecond > 0) {
  await sluice('drain', '--per-second', String(perSecond));
  await until('all clients are sent away', () => fleet.every(({ isConnected }) => !isConnected));
  console.log(`drained in     ${seconds(performance.now() - begun)}`);
}
const stopping = performance.now();
broker.kill('SIGTERM');
await once(broker, 'exit');
const stopped = performance.now();
broker = await start();
console.log(`stopped in     ${seconds(stopped - stopping)}, started in ${seconds(performance.now() - stopped)}`);
await until('all clients are back', () => fleet.every(({ isConnected, away }) => isConnected && away.length > 0));
await delay(settleMs);
publisher.stop();
await until('everything is acknowledged', () => publisher.unacknowledged === 0);
const isAllThere = (client: FleetClient) => client.received + client.lost === publisher.sent[client.number];
await until('everything has arrived', () => fleet.every(isAllThere)).catch(() => {});
if (!report(fleet, publisher, wills)) process.exitCode = 1;
for (const client of fleet) client.end();
broker.kill('SIGTERM');
await once(broker, 'exit');
rmSync(folder, { recursive: true });
process.exit();
