/** What `sluice cert` makes, with a broker that uses it and other people's clients. */
import { spawn, spawnSync } from 'node:child_process';
import { type EventEmitter, once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createBroker, type SluiceBroker } from '../../src/index.ts';
import { sluice } from '../support/fake-io.ts';
import { unique } from '../support/wire-client.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-certs-'));
const file = (name: string) => join(directory, name);
let broker: SluiceBroker;
const seen: (string | null)[] = [];
beforeAll(async () => {
  expect((await sluice('cert', '--dir', directory, '--client', 'device')).code).toBe(0);
  const tls = { certFile: file('server.crt'), keyFile: file('server.key') };
  const asking = { ...tls, caFile: file('ca.crt') };
  broker = await createBroker({
    config: {
      listeners: [
        { kind: 'tls', port: 0, tls },
        { kind: 'wss', port: 0, tls },
        { kind: 'tls', port: 0, tls: { ...asking, clientCertificate: 'required' } },
        { kind: 'wss', port: 0, tls: { ...asking, clientCertificate: 'optional' } },
      ],
      store: { kind: 'memory' },
      log: { level: 'silent' },
    },
    hooks: {
      authenticate: ({ certificate }) => {
        seen.push(certificate?.commonName ?? null);
        return { outcome: 'accept' };
      },
    },
  });
});
afterAll(async () => {
  await broker.close();
  rmSync(directory, { recursive: true });
});

const authority = () => readFileSync(file('ca.crt'));
const own = () => ({ cert: readFileSync(file('device.crt')), key: readFileSync(file('device.key')) });
const urlOf = (index: number) => broker.listeners[index]!.url.replace('127.0.0.1', 'localhost');

test.each([
  ['mqtts', 0, false],
  ['wss', 1, false],
  ['mqtts with a client certificate', 2, true],
  ['wss with a client certificate', 3, true],
  ['wss without the client certificate that it may have', 3, false],
] as const)('MQTT.js over %s', async (_title, index, isKnown) => {
  const client = await connectAsync(urlOf(index), { ca: authority(), reconnectPeriod: 0, ...(isKnown ? own() : {}) });
  expect(seen.at(-1)).toBe(isKnown ? 'device' : null);
  const topic = unique('js');
  await client.subscribeAsync(topic);
  const message = once(client as unknown as EventEmitter, 'message');
  await client.publishAsync(topic, 'over TLS', { qos: 1 });
  expect(String((await message)[1])).toBe('over TLS');
  await client.endAsync();
});

test('a client that does not know the authority does not connect', async () => {
  await expect(connectAsync(urlOf(0), { reconnectPeriod: 0 })).rejects.toMatchObject({
    code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  });
});

test('sluice pub shows its certificate', async () => {
  const argv = ['--cafile', file('ca.crt'), '-h', 'localhost', '-p', String(broker.listeners[2]!.port)];
  const files = ['--cert', file('device.crt'), '--key', file('device.key')];
  expect(await sluice('pub', ...argv, ...files, '-t', 'a', '-m', 'b', '-q', '1')).toMatchObject({ code: 0, err: '' });
  expect(seen.at(-1)).toBe('device');
  expect((await sluice('pub', ...argv, '-t', 'a', '-m', 'b', '-q', '1')).code).toBe(1);
});

describe.runIf(spawnSync('mosquitto_pub', ['--help']).error === undefined)('mosquitto_pub', () => {
  async function published(index: number, ...argv: string[]): Promise<unknown> {
    const target = ['-h', 'localhost', '-p', String(broker.listeners[index]!.port), '-t', 'a', '-m', 'b', '-q', '1'];
    const [code] = await once(spawn('mosquitto_pub', [...target, ...argv], { stdio: 'ignore' }), 'close');
    return code;
  }

  test('trusts the authority by --cafile', async () => {
    expect(await published(0, '--cafile', file('ca.crt'))).toBe(0);
    expect(await published(0, '--cafile', file('ca.crt'), '--tls-alpn', 'mqtt')).toBe(0);
    expect(await published(0, '--capath', '/etc/ssl/certs')).not.toBe(0);
  });

  test('shows its certificate by --cert and --key', async () => {
    const files = ['--cert', file('device.crt'), '--key', file('device.key')];
    expect(await published(2, '--cafile', file('ca.crt'), ...files)).toBe(0);
    expect(seen.at(-1)).toBe('device');
    expect(await published(2, '--cafile', file('ca.crt'))).not.toBe(0);
  });
});
