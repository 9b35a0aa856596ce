/** The socket on which a running broker takes commands, and what becomes of requests that are none. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Commands } from '../../../src/admin/commands.ts';
import { callControl, serveControl } from '../../../src/admin/control.ts';
import type { AuditEvent } from '../../../src/contracts/audit.ts';
import { type CommandHandlers, type CommandName, commands, RequestError } from '../../../src/contracts/commands.ts';

let directory = '';
let close = () => {};
let audited: AuditEvent[] = [];
let handlers: { -readonly [Name in CommandName]?: CommandHandlers[Name] } = {};
const path = () => join(directory, 'control.sock');

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-control-'));
  audited = [];
  handlers = {};
  const unexpected = async (): Promise<never> => {
    throw new Error('not asked in this test');
  };
  const all = Object.fromEntries(
    Object.keys(commands).map((name) => [
      name,
      (...asked: [never]) => (handlers[name as CommandName] ?? unexpected)(...asked),
    ]),
  ) as unknown as CommandHandlers;
  const audit = { wants: () => true, record: (event: AuditEvent) => void audited.push(event) };
  close = await serveControl(path(), new Commands(all, audit));
});
afterEach(() => {
  close();
  rmSync(directory, { recursive: true });
});

async function send(text: string): Promise<Socket> {
  const socket = connect(path());
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

/** What is answered to one line. */
async function ask(text: string): Promise<{ answer?: unknown; error?: string }> {
  const socket = await send(text);
  const [line] = (await once(createInterface({ input: socket }), 'line')) as [string];
  return JSON.parse(line);
}

test('one that asks and is gone before its answer harms nobody', async () => {
  let asked = () => {};
  const isAsked = new Promise<void>((resolve) => (asked = resolve));
  let answer = (_text: string) => {};
  handlers.reload = () => {
    asked();
    return new Promise((resolve) => (answer = (summary) => resolve({ summary })));
  };
  handlers['bans list'] = async () => ({ bans: [] });

  const gone = await send('{"command":"reload"}\n');
  await isAsked;
  gone.destroy();
  await once(gone, 'close');
  answer('x'.repeat(1_000_000));

  // An error that nobody takes would have ended this process.
  expect(await ask('{"command":"bans list"}\n')).toEqual({ answer: { bans: [] } });
});

describe('a request that is none is refused with what is wrong, and is in the audit log', () => {
  test.each([
    ['no JSON', 'no JSON', /^A request is a line of JSON: /],
    ['a list', '[]', /^A request is an object with "command"/],
    ['null', 'null', /^A request is an object with "command"/],
    ['a number for a name', '{"command":7}', /^A request is an object with "command"/],
    ['a name that is nearly one', '{"command":"ban list"}', /no command "ban list"; did you mean "bans list"\?$/],
    ['a name that every object has', '{"command":"__proto__"}', /^The broker knows no command "__proto__"$/],
    ['no object', '{"command":"reload","request":"now"}', /^reload: expected object, found "now"$/],
    ['a key too many', '{"command":"reload","request":{"at":1}}', /^reload: at: there is no such key$/],
    ['a key too few', '{"command":"backup"}', /^backup: directory: expected string, it is missing$/],
    [
      'a number too small',
      '{"command":"quarantine show","request":{"id":0}}',
      /^quarantine show: id: expected at least 1, found 0$/,
    ],
    [
      'neither of two kinds',
      '{"command":"quarantine drop","request":{"ids":"some"}}',
      /^quarantine drop: ids: expected numbers of messages, or all, found "some"$/,
    ],
    [
      'two mistakes',
      '{"command":"sessions","request":{"limit":1e9,"cursor":5}}',
      /^sessions: cursor: expected string, found 5\nsessions: limit: expected at most 1000, found 1000000000$/,
    ],
    ['a line without end', null, /^A request takes 1048576 bytes at most$/],
  ])('%s', async (_, line, error) => {
    const text = line === null ? 'x'.repeat(2_000_000) : `${line}\n`;
    expect((await ask(text)).error).toMatch(error);
    expect(audited).toEqual([expect.objectContaining({ event: 'command', outcome: 'failed' })]);
    expect(audited[0]!.reason).toMatch(error);
  });
});

test('whatever is asked is done, or refused as a wrong request', async () => {
  const asked: string[] = [];
  const names = Object.keys(commands) as CommandName[];
  const note = (name: CommandName) => async () => void asked.push(name);
  const own = new Commands(Object.fromEntries(names.map((name) => [name, note(name)])) as never, null);
  const command = fc.oneof(fc.constantFrom(...names), fc.jsonValue());
  const keys = fc.constantFrom(
    'limit',
    'cursor',
    'id',
    'ids',
    'address',
    'directory',
    'after',
    'clientId',
    '__proto__',
  );
  const request = fc.oneof(
    fc.jsonValue(),
    fc.dictionary(keys, fc.oneof(fc.jsonValue(), fc.constant('all'), fc.nat()), { maxKeys: 1 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.record({ command, request }), fc.jsonValue()), async (received) => {
      await own.receive(received).catch((error: unknown) => expect(error).toBeInstanceOf(RequestError));
    }),
    { numRuns: 3_000 },
  );
  expect(new Set(asked).size).toBeGreaterThan(5);
});

test('what a request leaves out has its default', async () => {
  const asked: object[] = [];
  handlers.sessions = async (request) => {
    asked.push(request);
    return { items: [], cursor: null };
  };
  expect(await callControl(directory, 'sessions', { limit: 5 })).toEqual({ items: [], cursor: null });
  expect(asked).toEqual([{ cursor: null, limit: 5 }]);
  expect(audited).toEqual([{ event: 'command', command: 'sessions', request: '{"limit":5}', outcome: 'done' }]);
});

test('a command that does not work is answered in its own words, and is in the audit log', async () => {
  handlers.backup = async () => {
    throw new Error('the disk is full');
  };
  await expect(callControl(directory, 'backup', { directory: '/x' })).rejects.toThrow('the disk is full');
  expect(audited).toMatchObject([{ command: 'backup', outcome: 'failed', reason: 'the disk is full' }]);
});

test('an answer of another version is told from one that can be used', async () => {
  handlers['bans clear'] = async () => ({ cleared: 1 }) as never;
  const asked = callControl(directory, 'bans clear', { address: null });
  await expect(asked).rejects.toThrow('another version of Sluice');
});

test('the program is told by a RequestError that it asks wrongly', async () => {
  const own = new Commands({} as CommandHandlers, null);
  await expect(own.run('bans clear', { address: 'nowhere' })).rejects.toThrow(RequestError);
});
