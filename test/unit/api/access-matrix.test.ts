/**
 * Who may give which command: every command × role × area × way in. What is expected is worked out here from the
 * declarations alone, so a command that is added is covered, and a mistake in `mayCall` is seen.
 */
import { Agent } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CommandName, commands } from '../../../src/contracts/commands.ts';
import { CommandFailure, RequestError } from '../../../src/contracts/failures.ts';
import { splitRoute } from '../../../src/contracts/http.ts';
import { sessionCookie } from '../../../src/contracts/login.ts';
import { type Area, areas, type Caller, program, type Role, roles } from '../../../src/contracts/roles.ts';
import { answerToHandshake } from '../../support/socket-client.ts';
import { TestApi } from './api-client.ts';

let api: TestApi;
const agent = new Agent({ keepAlive: true });
const names = Object.keys(commands) as CommandName[];

beforeAll(async () => {
  api = await TestApi.open();
  for (const name of names) {
    api.handlers[name] = (() => {
      throw new CommandFailure('conflict', 'reached');
    }) as never;
  }
});
afterAll(async () => {
  agent.destroy();
  await api.close();
});

/** As the guide has it: what a key of the role on the left may do. */
const mayDo: Readonly<Record<Role, readonly Role[]>> = {
  viewer: ['viewer'],
  publisher: ['publisher'],
  operator: ['viewer', 'publisher', 'operator'],
  admin: ['viewer', 'publisher', 'operator', 'admin'],
};

/** Whoever may is told what is wrong with the request, or gets to the handler; both are neither 401 nor 403. */
async function statusOf(name: CommandName, key: string | undefined, isOnSocket = false): Promise<number> {
  const { method, path } = splitRoute(commands[name].route);
  const filled = path.replaceAll(/\{\w+\}/g, '1');
  return (await api.ask(method, `/api/v1${filled}`, { key, agent }, isOnSocket)).status;
}

/** The same by the cookie of a session, with its token. */
async function statusByCookie(name: CommandName, role: Role, about: readonly Area[]): Promise<number> {
  const who = { name: `user ${role}`, role, areas: about, username: role };
  const { cookie, session } = api.sessions.create(who, api.now);
  const { method, path } = splitRoute(commands[name].route);
  const headers = { Cookie: `${sessionCookie}=${cookie}`, 'X-CSRF-Token': session.csrfToken };
  return (await api.ask(method, `/api/v1${path.replaceAll(/\{\w+\}/g, '1')}`, { headers, agent })).status;
}

/** What a request with too little in it, or one that the handler refuses, is answered. */
const reached = [400, 409];

describe.each(roles)('a key, or the session of a user, of the role %s', (role) => {
  test.each(areas)('for the area %s may give exactly the commands that say so', async (area) => {
    const key = await api.keyFor(role, [area]);
    for (const name of names) {
      const { role: needed, area: about } = commands[name];
      for (const status of [await statusOf(name, key), await statusByCookie(name, role, [area])]) {
        if (mayDo[role].includes(needed) && about === area) expect(reached, `${name}: ${status}`).toContain(status);
        else expect(status, name).toBe(403);
      }
    }
  });

  test('for all areas may give what its role allows', async () => {
    const key = await api.keyFor(role, [...areas]);
    for (const name of names) {
      for (const status of [await statusOf(name, key), await statusByCookie(name, role, areas)]) {
        if (mayDo[role].includes(commands[name].role)) expect(reached, `${name}: ${status}`).toContain(status);
        else expect(status, name).toBe(403);
      }
    }
  });
});

test('without anything to show, no command is given', async () => {
  for (const name of names) expect(await statusOf(name, undefined), name).toBe(401);
});

test('on the socket every command is given', async () => {
  for (const name of names) expect(reached, name).toContain(await statusOf(name, undefined, true));
});

/** Null: it got to the handler, or its request was looked at. */
async function refusedAs(name: CommandName, call: () => unknown): Promise<string | null> {
  try {
    await call();
  } catch (error) {
    if (error instanceof RequestError) return null;
    if (error instanceof CommandFailure) return error.kind === 'conflict' ? null : error.kind;
    throw error;
  }
  throw new Error(`${name} was not refused by its handler`);
}

/** The way of the library, with whoever gives the command. */
function give(name: CommandName, caller: Caller): Promise<string | null> {
  const isStream = 'isStream' in commands[name];
  const { signal } = new AbortController();
  return refusedAs(name, () =>
    isStream ? api.commands.stream(name, {}, caller, signal) : api.commands.receive(name, {}, caller),
  );
}

test('the program itself gives every command', async () => {
  for (const name of names) expect(await give(name, program), name).toBe(null);
});

test('what a command needs is asked where it is run, whatever way it came', async () => {
  for (const role of roles) {
    for (const area of areas) {
      const caller = { name: 'anybody', from: null, role, areas: [area], username: null };
      for (const name of names) {
        const { role: needed, area: about } = commands[name];
        const isAllowed = mayDo[role].includes(needed) && about === area;
        expect(await give(name, caller), `${name} by ${role} for ${area}`).toBe(isAllowed ? null : 'forbidden');
      }
    }
  }
});

describe.each(roles)('a WebSocket with a key of the role %s', (role) => {
  const streams = names.filter((name) => 'isStream' in commands[name]);

  test.each(areas)('for the area %s is one of exactly the streams that say so', async (area) => {
    const headers = { Authorization: `Bearer ${await api.keyFor(role, [area])}` };
    for (const name of streams) {
      const { role: needed, area: about, route } = commands[name];
      const path = splitRoute(route).path.replaceAll(/\{\w+\}/g, '1');
      const { status } = await answerToHandshake(`${api.url}/api/v1${path}`, headers);
      if (mayDo[role].includes(needed) && about === area) expect(reached, `${name}: ${status}`).toContain(status);
      else expect(status, name).toBe(403);
    }
  });
});

test('what is forbidden is in the audit log with who and from where, and what is done as well', async () => {
  api.audited.length = 0;
  const key = await api.keyFor('viewer', ['clients']);
  await statusOf('reload', key);
  expect(api.audited).toMatchObject([{ command: 'reload', by: 'key viewer', outcome: 'failed' }]);
  for (const name of names) {
    api.audited.length = 0;
    await statusOf(name, await api.keyFor('admin', [...areas]));
    const declaration = commands[name];
    const isChange = !declaration.route.startsWith('GET ') && !('isTraffic' in declaration);
    const isAudited = isChange || 'isStream' in declaration;
    const from = expect.stringMatching(/^127\.0\.0\.1:\d+$/);
    expect(api.audited, name).toEqual(
      isAudited ? [expect.objectContaining({ event: 'command', command: name, by: 'key admin', from })] : [],
    );
  }
});
