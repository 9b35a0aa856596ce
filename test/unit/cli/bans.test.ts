/** `sluice bans` on a running broker. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type App, startApp } from '../../../src/app.ts';
import { parseConfig } from '../../../src/config/load.ts';
import type { Hooks } from '../../../src/contracts/hooks.ts';
import { program } from '../../../src/contracts/roles.ts';
import { WireClient } from '../../support/wire-client.ts';
import { sluice } from './fake-io.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-bans-'));
let app: App;

beforeAll(async () => {
  const config = parseConfig({
    listeners: [{ kind: 'tcp', port: 0 }],
    store: { directory },
    log: { level: 'silent' },
    limits: { exemptAddresses: [] },
    penalties: { failuresPerUser: 1, delayMs: 0 },
  });
  const hooks: Hooks = { authenticate: () => ({ outcome: 'refuse', reasonCode: 0x86 }) };
  app = await startApp(config, { hooks });
});
afterAll(async () => {
  await app.close();
  rmSync(directory, { recursive: true });
});

async function bans(...argv: string[]): Promise<string> {
  const { code, out, err } = await sluice('bans', ...argv, '--data-dir', directory);
  return `${code} ${out}${err}`;
}

async function codeFor(username: string): Promise<number | undefined> {
  const client = await WireClient.open(app.listeners[0]!.port, 5);
  client.sendConnect({ username });
  return (await client.next('connack')).reasonCode;
}

test('lists who is shut out, with names that cannot speak to the terminal, and lets them in again', async () => {
  expect(await bans('list')).toBe('0 Nobody is banned\n');
  await codeFor('bob\u001b[2J');
  await codeFor('alice');
  expect(await codeFor('alice')).toBe(0x8a);
  const listed = await bans('list');
  expect(listed).toMatch(/^0 address +user +client +until +why\n/);
  expect(listed).toMatch(/\n127\.0\.0\.1 +bob\\u001b\[2J +- +20\S+Z +authentication failed too often\n127.*alice/);
  expect(JSON.parse((await bans('list', '--json')).slice(2).split('\n')[1]!)).toMatchObject({ user: 'alice' });
  expect(await bans('clear', '192.0.2.1')).toBe('0 0 let in again\n');
  expect(await bans('clear', '127.0.0.1')).toBe('0 2 let in again\n');
  expect(await codeFor('alice')).toBe(0x86);
  expect(await bans('clear', 'all')).toBe('0 1 let in again\n');
  expect(await bans('clear', '10.0.0.300')).toBe(
    '2 bans clear: address: expected an address, as bans list gives it, or all, found "10.0.0.300"\n',
  );
  expect(await bans('clear')).toBe('2 sluice bans clear ADDRESS: ADDRESS is missing\n');
  expect(await bans('clears')).toMatch(
    /^2 There is no sluice bans clears. Did you mean clear\? It takes: list, create, clear;/,
  );
});

test.each(['constructor', '__proto__', 'toString'])('"%s" is no command', async (command) => {
  await expect(app.commands.receive(command, {}, program)).rejects.toThrow('knows no command');
});
