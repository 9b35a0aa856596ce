/**
 * The worked example, `config/factory.yaml`, from end to end: the command as its users start it, MQTT.js as devices,
 * dashboards and cloud, and the commands that look after it.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { type EventEmitter, once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { decode, encode } from 'cbor-x';
import { connectAsync, connect as connectNow, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt';
import { unpack } from 'msgpackr';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { defaultPipelineLimits } from '../../src/contracts/pipeline-settings.ts';
import type { Format } from '../../src/pipeline/formats/format.ts';
import { formatFor } from '../../src/pipeline/formats/formats.ts';

const root = join(import.meta.dirname, '../..');
const main = join(root, 'dist/program/main.js');
const folder = mkdtempSync(join(tmpdir(), 'sluice-factory-'));
const config = join(folder, 'factory.yaml');
const data = join(folder, 'data');
let child: ChildProcess;
const urls: string[] = [];
const clients: MqttClient[] = [];

beforeAll(async () => {
  cpSync(join(root, 'config/factory.yaml'), config);
  cpSync(join(root, 'config/factory'), join(folder, 'factory'), { recursive: true });
  await start();
});

async function start(): Promise<void> {
  const args = [
    'start',
    '--config',
    config,
    '--port',
    '0',
    '--ws-port',
    '0',
    '--data-dir',
    data,
    '--log-level',
    'error',
  ];
  child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout! })) {
    const url = /listening on (\S+)/.exec(line)?.[1];
    if (url === undefined) break;
    urls.push(url);
  }
}

async function kill(): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  urls.length = 0;
}

afterAll(async () => {
  await Promise.all(clients.map((client) => client.endAsync(true)));
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
  rmSync(folder, { recursive: true });
});

async function connect(clientId: string, options: IClientOptions = {}, url = urls[0]!): Promise<MqttClient> {
  const client = await connectAsync(url, { clientId, protocolVersion: 5, reconnectPeriod: 0, ...options });
  clients.push(client);
  return client;
}

async function next(client: MqttClient): Promise<{ topic: string; payload: Buffer; packet: IPublishPacket }> {
  const [topic, payload, packet] = await once(client as unknown as EventEmitter, 'message');
  return { topic, payload, packet };
}

async function sluice(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...args]);
  return stdout;
}

test('each subscriber gets its own format', async () => {
  const [hall, office, laptop, cloud, archive] = await Promise.all([
    connect('dashboard-hall', { protocolVersion: 4 }, urls[1]!),
    connect('dashboard-office'),
    connect('laptop'),
    connect('c1', { username: 'cloud', password: 'x' }),
    connect('archive'),
  ]);
  const filter = 'factory/#';
  for (const each of [hall, office, cloud, archive]) await each.subscribeAsync(filter, { qos: 1 });
  await laptop.subscribeAsync(filter, { qos: 1, properties: { userProperties: { accept: 'application/json' } } });

  const thermometer = await connect('thermometer-7');
  const all = [hall, office, laptop, cloud, archive].map(next);
  await thermometer.publishAsync('factory/2/temperature', Buffer.from(encode({ f: 104 })), { qos: 1 });
  const [onHall, onOffice, onLaptop, inCloud, inArchive] = await Promise.all(all);
  const celsius = { celsius: 40, line: '2' };
  for (const each of [onHall, onOffice, onLaptop]) expect(JSON.parse(each!.payload.toString())).toEqual(celsius);
  expect(onLaptop!.packet.properties).toMatchObject({
    contentType: 'application/json',
    userProperties: { sensor: 'thermometer-7' },
  });
  expect(unpack(inCloud!.payload)).toEqual({ site: 'factory', line: '2', temperature: 40 });
  expect(decode(inArchive!.payload)).toEqual(celsius);

  // Vibration: raw bytes in, what a script made of them out; the cloud gets it as it is, since no rule of its own
  // matches.
  const sensor = await connect('vibration-1', { protocolVersion: 4 });
  const both = [hall, archive].map(next);
  await sensor.publishAsync('factory/2/vibration', Buffer.from('112a00e80318fc0000d007', 'hex'), { qos: 1 });
  for (const { payload } of await Promise.all(both)) {
    const expected = { alarm: true, range: 1, sensor: 42, rms: 1.225, peak: 2, line: '2' };
    expect(JSON.parse(payload.toString())).toEqual(expected);
  }
});

test('Sparkplug B stays itself for those who know it, and is JSON on a dashboard', async () => {
  const sparkplug = formatFor('sparkplug', defaultPipelineLimits, []) as Format;
  const payload = sparkplug.encode(
    { timestamp: 1_700_000_000_000, seq: 3, metrics: [{ name: 'speed', type: 'Int32', value: -7 }] },
    () => {},
  );
  const [host, dashboard] = await Promise.all([connect('scada'), connect('dashboard-line')]);
  for (const each of [host, dashboard]) await each.subscribeAsync('spBv1.0/factory/#', { qos: 1 });
  const node = await connect('edge-node');
  const both = [host, dashboard].map(next);
  const properties = { contentType: 'application/vnd.eclipse.sparkplug-b' };
  await node.publishAsync('spBv1.0/factory/NDATA/line-1', payload, { qos: 1, properties });
  const [onHost, onDashboard] = await Promise.all(both);
  expect(onHost!.payload).toEqual(payload);
  expect(JSON.parse(onDashboard!.payload.toString())).toMatchObject({
    seq: 3,
    metrics: [{ name: 'speed', type: 'Int32', value: -7 }],
  });
});

test('what does not fit waits in quarantine, and is replayed after the pipeline was mended', async () => {
  const archive = await connect('archive-2');
  await archive.subscribeAsync('factory/9/temperature', { qos: 1 });
  const thermometer = await connect('thermometer-9');
  await thermometer.publishAsync('factory/9/temperature', Buffer.from(encode({ kelvin: 300 })), { qos: 1 });

  const listed = await sluice('quarantine', 'list', '--data-dir', data);
  expect(listed).toContain('factory/9/temperature');
  expect(listed).toMatch(/temperature +2 validate +the value must have required property 'f'/);
  const id = /^(\d+) /m.exec(listed)![1]!;
  expect(await sluice('quarantine', 'show', id, '--data-dir', data)).toContain('6b656c76696e');
  await expect(sluice('quarantine', 'show', '999999', '--data-dir', data)).rejects.toMatchObject({
    stderr: 'There is no quarantined message 999999; see sluice quarantine list\n',
  });

  const text = readFileSync(config, 'utf8');
  writeFileSync(config, text.replace('jsonSchema: factory/temperature.schema.json', 'jsonSchema: nowhere.json'));
  await expect(sluice('reload', '--data-dir', data)).rejects.toMatchObject({
    stderr: expect.stringMatching(
      /factory\.yaml:\d+:\d+: pipelines\.1\.stages\.1\.validate\.jsonSchema: there is no file/,
    ),
  });
  const mended = text
    .replace(
      '- validate: { jsonSchema: factory/temperature.schema.json }',
      '- validate: { jsonSchema: { type: object } }',
    )
    .replace('- units: { f: { from: fahrenheit', '- units: { kelvin: { from: kelvin')
    .replace('- rename: { f: celsius }', '- rename: { kelvin: celsius }');
  writeFileSync(config, mended);
  expect(await sluice('reload', '--data-dir', data)).toMatch(/^5 pipelines.* reloaded/);
  const replayed = next(archive);
  expect(await sluice('quarantine', 'replay', id, '--data-dir', data)).toContain('1 published');
  expect(decode((await replayed).payload)).toMatchObject({ celsius: 26.85, line: '9' });
  expect(await sluice('quarantine', 'list', '--data-dir', data)).toBe('No messages in quarantine\n');
});

test('what was quarantined, and what waits for a dashboard, is there after the broker was killed', async () => {
  writeFileSync(config, readFileSync(join(root, 'config/factory.yaml')));
  await sluice('reload', '--data-dir', data);
  const asleep: IClientOptions = { protocolVersion: 4, clean: false };
  const dashboard = await connect('dashboard-asleep', asleep);
  await dashboard.subscribeAsync('factory/3/temperature', { qos: 1 });
  await dashboard.endAsync();
  const thermometer = await connect('thermometer-3');
  const publish = (value: object) => {
    return thermometer.publishAsync('factory/3/temperature', Buffer.from(encode(value)), { qos: 1 });
  };
  // Each is acknowledged before the broker is killed.
  await publish({ f: 104 });
  await publish({ kelvin: 313 });
  await kill();
  await start();

  expect(await sluice('quarantine', 'list', '--data-dir', data)).toMatch(
    /factory\/3\/temperature +\d+ +temperature +2 validate/,
  );
  // The message comes with CONNACK: whoever waits for it must be there before.
  const again = connectNow(urls[0]!, { clientId: 'dashboard-asleep', reconnectPeriod: 0, ...asleep });
  clients.push(again);
  const { payload } = await next(again);
  expect(JSON.parse(payload.toString())).toEqual({ celsius: 40, line: '3' });
  expect(await sluice('quarantine', 'drop', 'all', '--data-dir', data)).toBe('1 message dropped\n');
});

test('its own tests pass, and one that does not is told with its place', async () => {
  const original = join(root, 'config/factory.yaml');
  expect(await sluice('config', 'check', original)).toContain('its 6 tests pass');
  const wrong = join(folder, 'wrong.yaml');
  writeFileSync(wrong, readFileSync(original, 'utf8').replace('celsius: 40.28', 'celsius: 41'));
  await expect(sluice('config', 'check', wrong)).rejects.toMatchObject({
    stderr: expect.stringMatching(/wrong\.yaml:\d+:\d+: tests\.2: a dashboard reads it as JSON: payload: expected/),
  });
});

test('pipeline test shows every stage, and what comes out', async () => {
  const shown = await sluice(
    ...['pipeline', 'test', '--config', join(root, 'config/factory.yaml'), '--topic', 'factory/2/temperature'],
    ...['--payload-hex', 'a16166f95688', '--for', 'dashboard-1'],
  );
  expect(shown).toMatch(/temperature, stage 2 validate {2}\(\d+ µs\)/);
  expect(shown).toContain('{ celsius: 40.28 }');
  expect(shown).toContain('dashboards, stage 1 convert');
  expect(shown.trim().split('\n').at(-1)).toBe('{"celsius":40.28,"line":"2"}');
});
