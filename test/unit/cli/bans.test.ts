/** `sluice bans` on a running broker. */
import { expect, test } from 'vitest';
import type { Hooks } from '../../../src/contracts/hooks.ts';
import { cliBroker } from '../../support/cli-broker.ts';
import { WireClient } from '../../support/wire-client.ts';

const hooks: Hooks = { authenticate: () => ({ outcome: 'refuse', reasonCode: 0x86 }) };
const limits = { exemptAddresses: [] };
const broker = cliBroker({ limits, penalties: { failuresPerUser: 1, delayMs: 0 } }, hooks);
const bans = (...argv: string[]) => broker.ask('bans', ...argv);

async function codeFor(username: string): Promise<number | undefined> {
  const client = await WireClient.open(broker.port, 5);
  client.sendConnect({ username });
  return (await client.next('connack')).reasonCode;
}

test('lists who is shut out, with names that cannot speak to the terminal, and lets them in again', async () => {
  expect(await bans('list')).toBe('0 No bans\n');
  await codeFor('bob\u001b[2J');
  await codeFor('alice');
  expect(await codeFor('alice')).toBe(0x8a);
  const listed = await bans('list');
  expect(listed).toMatch(/^0 address +user +client +until +why\n/);
  expect(listed).toMatch(/\n127\.0\.0\.1 +bob\\u001b\[2J +- +20\S+Z +authentication failed too often\n127.*alice/);
  expect(JSON.parse((await bans('list', '--json')).slice(2).split('\n')[1]!)).toMatchObject({ user: 'alice' });
  expect(await bans('clear', '192.0.2.1')).toBe('0 0 bans lifted\n');
  expect(await bans('clear', '127.0.0.1')).toBe('0 2 bans lifted\n');
  expect(await codeFor('alice')).toBe(0x86);
  expect(await bans('clear', 'all')).toBe('0 1 ban lifted\n');
  expect(await bans('clear', '10.0.0.300')).toBe(
    '2 ADDRESS: expected an address, as bans list gives it, or all, found "10.0.0.300"\n',
  );
  expect(await bans('clear')).toBe('1 Which bans? Name an address, a user or a client, or say all\n');
  expect(await bans('clears')).toMatch(
    /^2 There is no sluice bans clears. Did you mean clear\? It takes: list, create, clear;/,
  );
});

test('lifts bans of one client or user, wherever it is', async () => {
  for (const client of ['-x', 'y']) expect(await bans('create', '--client', client, '--for', '1h')).toMatch(/^0 /);
  expect(await bans('clear', '--client', '-x')).toBe('0 1 ban lifted\n');
  expect(await bans('list')).toMatch(/\n- +- +y +\S+ +banned by an operator\n$/);
  expect(await bans('clear', '--client=y')).toBe('0 1 ban lifted\n');
});
