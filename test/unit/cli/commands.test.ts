/**
 * Commands to running brokers: where they arrive, that each is in the audit log, and what is said when the broker dies
 * meanwhile.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { type App, startApp } from '../../../src/app.ts';
import { parseConfig } from '../../../src/config/load.ts';
import { program } from '../../../src/contracts/roles.ts';
import type { ConfigInput } from '../../../src/index.ts';
import { sluice } from '../../support/fake-io.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-commands-'));
afterAll(() => rmSync(folder, { recursive: true }));
let lastCase = 0;
const freshDirectory = () => join(folder, `case-${++lastCase}`);

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const quiet: ConfigInput = { listeners: [{ kind: 'tcp', port: 0 }], log: { level: 'silent' } };

async function inMemory(directory: string, log?: { warn: (fields: object, message: string) => void }): Promise<App> {
  const config = parseConfig({ ...quiet, store: { kind: 'memory' } });
  const options = log === undefined ? {} : { log: { debug() {}, info() {}, error() {}, ...log } };
  const app = await startApp(config, { commandsFor: directory, ...options });
  closing.push(() => app.close());
  return app;
}

describe('a broker that keeps its data in memory', () => {
  test('takes commands by the data directory that it would have, which it does not make', async () => {
    const directory = freshDirectory();
    const app = await inMemory(directory);

    expect(await sluice('bans', 'list', '--data-dir', directory)).toMatchObject({ code: 0, out: 'No bans\n' });
    const quarantine = await sluice('quarantine', 'list', '--data-dir', directory);
    expect(quarantine).toMatchObject({ code: 0, out: 'No messages in quarantine\n' });
    const backup = await sluice('backup', join(folder, 'copy'), '--data-dir', directory);
    expect(backup).toMatchObject({ code: 1, err: expect.stringMatching(/keeps no data on a disk/) });
    expect(existsSync(directory)).toBe(false);

    await app.close();
    const after = await sluice('bans', 'list', '--data-dir', directory);
    expect(after).toMatchObject({ code: 1, err: expect.stringMatching(/^No broker is running on /) });
  });

  test('leaves them to another one that was there before, and says so', async () => {
    const directory = freshDirectory();
    const first = await inMemory(directory);
    const warnings: object[] = [];
    const second = await inMemory(directory, { warn: (fields) => void warnings.push(fields) });
    expect(warnings).toEqual([{ cause: expect.stringMatching(/^another broker takes the commands/) }]);

    await second.close();
    expect((await sluice('bans', 'list', '--data-dir', directory)).code).toBe(0);
    await first.close();
  });
});

test('every command that changes something is in the audit log, whatever became of it', async () => {
  const directory = freshDirectory();
  const file = join(folder, `audit-${lastCase}.log`);
  const app = await startApp(parseConfig({ ...quiet, store: { directory }, audit: { file } }));
  const target = join(folder, `copy-${lastCase}`);
  expect((await sluice('backup', target, '--data-dir', directory)).code).toBe(0);
  expect((await sluice('backup', target, '--data-dir', directory)).code).toBe(1);
  await sluice('bans', 'list', '--data-dir', directory);
  await expect((await app.commands()).receive('no such thing', {}, program)).rejects.toThrow(/knows no command/);
  await app.close();
  const events = readFileSync(file, 'utf8').trimEnd().split('\n');
  const commands = events.map((line) => JSON.parse(line)).filter(({ event }) => event === 'command');
  expect(commands.map(({ command, outcome }) => [command, outcome])).toEqual([
    ['backup', 'done'],
    ['backup', 'failed'],
    ['no such thing', 'failed'],
  ]);
});

test.each([['backup', 'copy'], ['reload'], ['bans', 'list'], ['quarantine', 'list'], ['clients']])(
  'a broker that dies meanwhile is told, with exit code 1: sluice %s',
  async (...argv) => {
    const directory = mkdtempSync(join(folder, 'dying-'));
    const dying = createServer((socket) => socket.once('data', () => socket.destroy()));
    await new Promise<void>((resolve) => dying.listen(join(directory, 'control.sock'), resolve));
    closing.push(() => dying.close());
    const { code, err } = await sluice(...argv, '--data-dir', directory);
    expect(code).toBe(1);
    expect(err).toMatch(/^The broker ended before it answered/);
  },
);

test.each(['constructor', '__proto__', 'toString'])('"%s" is no command', async (command) => {
  const app = await inMemory(freshDirectory());
  await expect((await app.commands()).receive(command, {}, program)).rejects.toThrow('knows no command');
});
