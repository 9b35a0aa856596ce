/** `sluice init`: what it writes is a valid configuration, and nothing that was there is lost. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { templates } from '../../../src/cli/init-templates.ts';
import { run } from '../../../src/cli/run.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { FakeIo, sluice } from '../../support/fake-io.ts';

const parent = mkdtempSync(join(tmpdir(), 'sluice-init-'));
afterAll(() => rmSync(parent, { recursive: true }));

let file: string;
beforeEach(() => {
  file = join(mkdtempSync(join(parent, 'test-')), 'sluice.yaml');
});

describe('what it writes without asking is valid', () => {
  for (const place of Object.keys(templates)) {
    for (const webSocket of ['--websocket', '--no-websocket']) {
      test(`for ${place} ${webSocket}`, async () => {
        const { code, out, err } = await sluice('init', '--for', place, webSocket, '--out', file);

        expect({ code, err }).toEqual({ code: 0, err: '' });
        expect(out).toContain(`sluice start --config ${file}`);
        const kinds = loadConfig(file, {}).listeners.map(({ kind }) => kind);
        expect(kinds.some((kind) => kind === 'ws' || kind === 'wss')).toBe(webSocket === '--websocket');
      });
    }
  }
});

test('a broker for a house asks for passwords once the command that it names has made them', async () => {
  await sluice('init', '--for', 'home', '--user', 'ada', '--out', file);
  const passwords = join(file, '../passwords');
  await sluice('passwd', '-c', '-b', passwords, 'ada', 'secret');

  expect(await sluice('config', 'check', file)).toEqual({ code: 0, out: `${file} is valid\n`, err: '' });
});

test('a file that is there stays as it is', async () => {
  writeFileSync(file, 'mine');

  const { code, err } = await sluice('init', '--out', file);

  expect({ code, err }).toEqual({
    code: 1,
    err: `${file} is there already and stays as it is; give another --out FILE\n`,
  });
  expect(readFileSync(file, 'utf8')).toBe('mine');
});

test.each([
  [['--for', 'cloud'], '--for wants one of local, home, fleet, gateway, proxy, not "cloud"'],
  [['--for', 'proxy', '--proxy', 'web1'], '--proxy wants an address or network as 10.0.0.5 or fd00::/8, not "web1"'],
  [['mine.yaml'], 'Unexpected argument "mine.yaml"; see sluice init --help'],
])('called wrongly (%s), it writes nothing', async (argv, message) => {
  expect(await sluice('init', ...argv, '--out', file)).toEqual({ code: 2, out: '', err: `${message}\n` });
  expect(existsSync(file)).toBe(false);
});

test('at a terminal it asks five questions, and an empty answer is the usual one', async () => {
  const io = new FakeIo();
  Object.assign(io.stdin, { isTTY: true });
  const done = run(['init', '--out', file], io);
  for (const [question, answer] of [
    [/What is the broker for\?.*\[local\]/s, 'fleet'],
    [/over WebSocket/, 'yes'],
    [/Address to listen on \[0\.0\.0\.0\]/, '127.0.0.1'],
    [/Folder for the data \[\.\/data\]/, ''],
    [/Name under which devices find it/, 'mqtt.example'],
  ] as const) {
    await io.stderr.until(question);
    io.stdin.write(`${answer}\n`);
  }

  expect(await done).toBe(0);
  expect(io.stdout.text).toContain('devices connect to mqtts://mqtt.example:8883');
  expect(loadConfig(file, {}).listeners).toMatchObject([
    { kind: 'tls', host: '127.0.0.1', port: 8883 },
    { kind: 'wss', host: '127.0.0.1', port: 8084 },
  ]);
});
