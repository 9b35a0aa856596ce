/**
 * `npm run dashboard:screens -- DIRECTORY [PAGE …]`: what the dashboard looks like. Starts a broker with the data of a
 * factory, lets it run for a minute, and takes a picture of each page in both themes, and of some as on a phone. To be
 * looked at one by one: alignment, contrast, what is cut off. The pictures in the README are three of them.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { type Browser, chromium } from 'playwright-core';
import { fail, readOptions } from './command-line.ts';
import { projectRoot } from './project-root.ts';

const main = join(projectRoot(), 'dist/program/main.js');
const help = 'npm run dashboard:screens -- DIRECTORY [PAGE …]   all pages without a name\n';
const { positionals } = readOptions(help, {}, true);
const [out = fail(help), ...wanted] = positionals;
const running: ChildProcess[] = [];
const clients: MqttClient[] = [];

const pages = {
  overview: '#/',
  clients: '#/clients',
  client: '#/clients/press-3-2',
  'client-away': '#/clients/report-writer?tab=queue',
  topics: '#/topics?below=factory/hall-1/',
  topic: '#/topics?below=factory/hall-1/line-1/oven/temperature/',
  explain: '#/happened?topic=factory/hall-2/orders&to=report-writer&qos=1',
  drops: '#/happened?tab=drops',
  unmatched: '#/happened?tab=unmatched',
  retained: '#/retained',
  'retained-message': '#/retained?topic=factory/hall-1/line-1/recipe',
  console: '#/console?topic=factory/hall-1/orders&filter=factory/%2B/orders',
  traces: '#/traces',
  alarms: '#/logs',
  log: '#/logs?tab=log',
  audit: '#/logs?tab=audit',
  pipelines: '#/pipelines',
  quarantine: '#/pipelines?tab=quarantine',
  quarantined: '#/pipelines?tab=quarantine&id=1',
  try: '#/pipelines?tab=try&topic=factory/hall-1/line-1/oven/raw',
  bridges: '#/bridges',
  bridge: '#/bridges/cloud',
  'bridge-create': '#/bridges?create=yes',
  access: '#/access?topic=factory/hall-1/orders&client=press-3-2',
  bans: '#/access?tab=bans',
  users: '#/access?tab=users',
  keys: '#/access?tab=keys',
  listeners: '#/listeners',
  certificates: '#/listeners?tab=certificates',
  connections: '#/listeners?tab=connections',
  configuration: '#/configuration',
} as const;

/** What is clicked before a picture is taken. */
const buttons = new Map([
  ['access', 'Ask'],
  ['try', 'Try it'],
  ['console', 'Subscribe'],
]);

const onPhone: readonly (keyof typeof pages)[] = ['overview', 'client', 'log', 'quarantine', 'bridge-create', 'access'];

const unknown = wanted.filter((name) => !Object.hasOwn(pages, name));
if (unknown.length > 0) fail(`There is no page ${unknown.join(', ')}, but ${Object.keys(pages).join(', ')}`);
const folder = mkdtempSync(join(tmpdir(), 'sluice-screens-'));

/** All, where none is named. */
const isWanted = (name: string) => wanted.length === 0 || wanted.includes(name);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Started {
  readonly port: number;
  readonly adminPort: number;
  readonly ask: (...argv: string[]) => string;
}

async function start(name: string, settings: object): Promise<Started> {
  const [port, adminPort] = [await freePort(), await freePort()];
  const file = join(folder, `${name}.yaml`);
  const { listeners = [], ...others } = settings as { listeners?: object[] };
  const config = {
    listeners: [{ kind: 'tcp', port }, ...listeners],
    admin: { listeners: [{ port: adminPort }] },
    store: { kind: 'level', directory: join(folder, name) },
    log: { file: join(folder, `${name}.log`) },
    audit: { file: join(folder, `${name}.audit`) },
    ...others,
  };
  writeFileSync(file, JSON.stringify(config, null, 2));
  const child = spawn(process.execPath, [main, 'start', '--config', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  running.push(child);
  await new Promise<void>((resolve, reject) => {
    let text = '';
    child.stdout!.on('data', (chunk: Buffer) => {
      text += chunk;
      if (text.includes('process ')) resolve();
    });
    child.once('exit', () => reject(new Error(`${name} did not start`)));
  });
  const ask = (...argv: string[]) =>
    execFileSync(process.execPath, [main, ...argv, '--config', file], { encoding: 'utf8' });
  return { port, adminPort, ask };
}

async function connect(port: number, clientId: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
    clientId,
    protocolVersion: 5,
    clean: false,
    properties: { sessionExpiryInterval: 86_400 },
    username: clientId.replace(/-.*/, ''),
    password: 'x',
    ...options,
  });
  clients.push(client);
  client.on('error', () => {});
  await new Promise<void>((resolve) => client.once('connect', () => resolve()));
  return client;
}

const between = (low: number, high: number) => low + Math.random() * (high - low);

async function factory(): Promise<Started> {
  const cloud = await start('cloud', { allowAnonymous: true });
  const certificates = join(folder, 'certificates');
  execFileSync(process.execPath, [main, 'cert', '--dir', certificates, '--days', '20'], { stdio: 'ignore' });
  const users = join(folder, 'users');
  writeFileSync(users, '');
  for (const user of ['press', 'oven', 'robot', 'report', 'scada', 'mes', 'gateway', 'ada', 'grace']) {
    execFileSync(process.execPath, [main, 'passwd', '-b', '-H', 'sha512', users, user, 'x'], { stdio: 'ignore' });
  }
  const plant = await start('plant', {
    listeners: [
      {
        kind: 'tls',
        port: await freePort(),
        tls: { certFile: join(certificates, 'server.crt'), keyFile: join(certificates, 'server.key') },
      },
    ],
    authentication: [{ kind: 'password-file', file: users }],
    authorization: {
      default: 'deny',
      rules: [
        { deny: 'publish', topics: ['factory/+/orders'], for: { username: 'press' } },
        { allow: 'all', topics: ['factory/#'] },
      ],
    },
    limits: { queueMessages: 500 },
    pipelines: [
      {
        name: 'oven-temperature',
        filter: 'factory/+/+/oven/raw',
        stages: [
          { decode: 'json' },
          { validate: { jsonSchema: { required: ['f'], properties: { f: { type: 'number' } } } } },
          { map: '{ "celsius": $round((f - 32) * 5 / 9, 1) }' },
          { encode: 'json' },
        ],
      },
    ],
    bridges: [
      {
        name: 'cloud',
        addresses: [`mqtt://127.0.0.1:${cloud.port}`],
        topics: [
          { filter: 'factory/+/+/+/temperature', direction: 'out', qos: 1, remotePrefix: 'plant-7/' },
          { filter: 'commands/#', direction: 'in', qos: 1, remotePrefix: 'plant-7/' },
        ],
      },
      {
        name: 'old-plant',
        addresses: ['mqtt://127.0.0.1:1'],
        topics: [{ filter: 'factory/+/orders', direction: 'out' }],
      },
    ],
  });
  const { port, ask } = plant;
  for (const [clientId, filter] of [
    ['scada-1', 'factory/#'],
    ['scada-2', 'factory/hall-1/#'],
    ['mes-1', 'factory/+/orders'],
    ['report-writer', 'factory/+/orders'],
  ] as const) {
    await (await connect(port, clientId)).subscribeAsync(filter, { qos: 1 });
  }
  await clients.at(-1)!.endAsync();
  for (let hall = 1; hall <= 3; hall++) {
    for (let line = 1; line <= 3; line++) {
      const base = `factory/hall-${hall}/line-${line}`;
      const recipe = JSON.stringify({ part: `P-${hall}${line}07`, force: 120 * line, speed: 0.8 });
      const press = await connect(port, `press-${hall}-${line}`);
      await press.publishAsync(`${base}/recipe`, recipe, { retain: true, qos: 1 });
      await press.subscribeAsync(`${base}/recipe`, { qos: 1 });
      const oven = await connect(port, `oven-${hall}-${line}`);
      const robot = await connect(port, `robot-${hall}-${line}`, line === 2 ? { protocolVersion: 4 } : {});
      setInterval(() => press.publish(`${base}/press/strokes`, `${Math.round(between(40, 60))}`), 400 * line);
      setInterval(() => {
        const celsius = Math.round(between(180, 220) * 10) / 10;
        oven.publish(`${base}/oven/temperature`, JSON.stringify({ celsius }), { qos: 1, retain: true });
        const isBroken = Math.random() < 0.05;
        oven.publish(`${base}/oven/raw`, isBroken ? '{"f":"hot"}' : JSON.stringify({ f: celsius * 1.8 + 32 }), {
          qos: 1,
        });
      }, 500 * line);
      setInterval(() => {
        robot.publish(
          `${base}/robot/position`,
          JSON.stringify({ x: between(0, 2), y: between(0, 2), z: between(0, 1) }),
        );
      }, 60 * line);
    }
  }
  const mes = await connect(port, 'mes-2');
  setInterval(() => {
    const hall = Math.ceil(between(0, 3));
    mes.publish(`factory/hall-${hall}/orders`, JSON.stringify({ order: Math.round(between(1e5, 9e5)) }), { qos: 1 });
  }, 50);
  const wrong = await connect(port, 'press-9-9');
  setInterval(() => wrong.publish('factory/hall-1/orders', 'x', { qos: 1 }), 3_000);
  const lost = await connect(port, 'gateway-old');
  setInterval(() => lost.publish('plant/hall-1/heartbeat', 'x', { qos: 1 }, () => {}), 2_000);
  ask('bans', 'create', '--address', '192.0.2.17', '--for', '1h', '--why', 'guessed passwords');
  ask('bans', 'create', '--client', 'robot-0-0', '--for', '1d', '--why', 'floods');
  ask('admin', 'key', 'create', '--role', 'viewer', 'grafana');
  ask('admin', 'key', 'create', '--role', 'operator', '--area', 'pipelines', '--for', '30d', 'replay job');
  const trace = ['trace', 'start', '--client', 'press-3-2', '--for', '1h', '--payloads'];
  const tracing = spawn(process.execPath, [main, ...trace, '--config', join(folder, 'plant.yaml')], {
    stdio: 'ignore',
  });
  running.push(tracing);
  return plant;
}

interface Asked {
  readonly token: string;
  /** Of a message in quarantine. */
  readonly quarantined: number;
}

/** Nothing is published meanwhile. */
function askFor({ ask }: Started): Asked {
  const { token } = JSON.parse(ask('admin', 'login-link', '--json')) as { token: string };
  const [first] = ask('quarantine', 'list', '--json', '--limit', '1')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: number });
  return { token, quarantined: first!.id };
}

async function take(browser: Browser, { adminPort }: Started, { token, quarantined }: Asked): Promise<void> {
  const url = `http://127.0.0.1:${adminPort}/dashboard/`;
  mkdirSync(out, { recursive: true });
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    locale: 'en-GB',
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  await page.goto(`${url}#token=${token}`);
  await page.getByRole('link', { name: 'Sluice' }).waitFor();
  const shot = async (name: string, place: string) => {
    // Else what was there before is taken for what is to come.
    await page.goto('about:blank');
    await page.goto(url + place);
    await page.getByRole('heading', { level: 1 }).waitFor();
    const button = buttons.get(name.replace(/-\w+$/, ''));
    if (button !== undefined) await page.getByRole('main').getByRole('button', { name: button, exact: true }).click();
    await page.locator('.loading').first().waitFor({ state: 'hidden' });
    // Charts and what comes live.
    await page.waitForTimeout(2_500);
    await page.screenshot({ path: join(out, `${name}.png`) });
  };
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    for (const [name, place] of Object.entries(pages)) {
      if (isWanted(name)) await shot(`${name}-${colorScheme}`, place.replace(/id=1$/, `id=${quarantined}`));
    }
  }
  await page.setViewportSize({ width: 390, height: 844 });
  for (const name of onPhone.filter(isWanted)) await shot(`${name}-phone`, pages[name]);
}

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
try {
  const plant = await factory();
  console.log('the factory works for a minute');
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  const asked = askFor(plant);
  await new Promise((resolve) => setTimeout(resolve, 60_000));
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  await take(browser, plant, asked);
  await browser.close();
  console.log(`pictures in ${out}`);
} finally {
  for (const client of clients) client.end(true);
  for (const child of running) child.kill();
  await Promise.all(running.map((child) => child.exitCode ?? new Promise((resolve) => child.once('exit', resolve))));
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
