/** Authentication as clients of a running broker meet it, over its reloads and their renewals. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { SignJWT } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import { type App, startApp } from '../../../../src/app.ts';
import { hashPassword } from '../../../../src/auth/authentication/password-hash.ts';
import { parseConfig } from '../../../../src/config/load.ts';
import type { ConfigInput } from '../../../../src/config/schema.ts';
import { type ConnectOptions, WireClient } from '../../../support/wire-client.ts';
import { ScramClient } from './scram-client.ts';
import { TestLog, testDirectory } from './support.ts';

const directory = testDirectory();
const secret = 'an HMAC secret of at least 32 bytes';
const secretFile = directory.write('secret', secret);
const log = new TestLog();

let app: App | null = null;
afterEach(async () => {
  await app?.close();
  app = null;
});

/** Another configuration can be put in the place of the present one before a reload. */
async function start(first: ConfigInput): Promise<{ next: ConfigInput }> {
  const file = { next: first };
  const read = () =>
    parseConfig({
      listeners: [{ kind: 'tcp', port: 0 }],
      store: { kind: 'memory' },
      penalties: { delayMs: 0 },
      ...file.next,
    });
  app = await startApp(read(), { log, reread: () => ({ config: read(), where: (path) => path.join('.') }) });
  return file;
}

const line = async (name: string, password: string, kind: 'sha512' | 'scram-sha-256' = 'sha512') =>
  `${name}:${await hashPassword(kind, Buffer.from(password))}\n`;

const port = () => app!.listeners[0]!.port;

async function codeOf(options: ConnectOptions): Promise<number> {
  const client = await WireClient.open(port(), 5);
  client.sendConnect(options);
  const { reasonCode } = await client.next('connack');
  return reasonCode!;
}

function token(claims: object, seconds = 60): Promise<string> {
  const exp = Math.floor(Date.now() / 1000) + seconds;
  return new SignJWT({ sub: 'ada', exp, ...claims }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));
}

describe('tokens', () => {
  const byMethod = (data: string) => ({
    properties: { authenticationMethod: 'jwt', authenticationData: Buffer.from(data) },
  });
  const renewal = (data: string) => ({ cmd: 'auth', reasonCode: 0x19, ...byMethod(data) });
  const jwt = { kind: 'jwt' as const, secretFile, clockToleranceSeconds: 0 };

  test('the connection ends when its token does', async () => {
    await start({ authentication: [jwt] });
    const client = await WireClient.connect(port(), { version: 5, username: 'x', password: await token({}, 2) });
    const older = await WireClient.connect(port(), { version: 4, username: 'x', password: await token({}, 2) });
    expect((await client.closed()).map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([['disconnect', 0x87]]);
    expect(await older.closed()).toEqual([]);
  });

  test('a client that renews it by AUTH stays, and one that does so as another user does not', async () => {
    await start({ authentication: [jwt] });
    const first = await token({}, 2);
    const [renewing, other] = await Promise.all([
      WireClient.connect(port(), { version: 5, ...byMethod(first) }),
      WireClient.connect(port(), { version: 5, ...byMethod(first) }),
    ]);
    const lasting = await WireClient.connect(port(), { version: 5, ...byMethod(first) });
    renewing.send(renewal(await token({}, 60)));
    expect(await renewing.next('auth')).toMatchObject({ reasonCode: 0, properties: { authenticationMethod: 'jwt' } });
    other.send(renewal(await token({ sub: 'eve' })));
    expect((await other.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x87]);
    // When the one that did not renew is gone, the one that did is still there.
    await lasting.closed();
    await renewing.nothingElse();
    renewing.send(renewal('no token'));
    expect((await renewing.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x87]);
  });

  test('one that stands in the place of the user name is told to nobody: not to the log, nor the audit log, nor in bans', async () => {
    const audit = { file: directory.path('audit') };
    const penalties = { delayMs: 0, failuresPerUser: 1 };
    await start({ authentication: [{ ...jwt, token: 'username', audience: 'others' }], audit, penalties });
    const made = await token({});
    for (let i = 0; i < 3; i++) expect(await codeOf({ username: made })).toBeGreaterThanOrEqual(0x86);
    await app!.close();
    app = null;
    const audited = readFileSync(audit.file, 'utf8');
    expect(audited).toContain('The token does not fit: aud');
    for (const part of made.split('.')) expect(audited + log.text).not.toContain(part);
  });

  test('nor if its client is refused before anybody has looked at it', async () => {
    const audit = { file: directory.path('audit of refusals') };
    const limits = { connectionsPerAddress: 1, exemptAddresses: [] };
    await start({ authentication: [{ ...jwt, token: 'username' }], audit, limits });
    const made = await token({});
    await WireClient.connect(port(), { username: made });
    expect(await codeOf({ username: made, clientId: 'second' })).toBe(0x97);
    await app!.close();
    app = null;
    const audited = readFileSync(audit.file, 'utf8');
    expect(audited).toMatch(/"refused","client":"second".*connectionsPerAddress/);
    for (const part of made.split('.')) expect(audited + log.text).not.toContain(part);
  });
});

describe('SCRAM', () => {
  const message = (data: string) => ({
    authenticationMethod: 'SCRAM-SHA-256',
    authenticationData: Buffer.from(data),
  });
  const dataOf = (packet: { properties?: { [name: string]: unknown } }) =>
    (packet.properties!.authenticationData as Buffer).toString();

  test('a client connects and authenticates anew, and both sides have shown what they know', async () => {
    const file = directory.write('scram', await line('ada', 'one', 'scram-sha-256'));
    await start({ authentication: [{ kind: 'scram-sha-256', file }] });
    const client = await WireClient.open(port(), 5);
    const first = new ScramClient('ada', 'one');
    client.sendConnect({ properties: message(first.first) });
    client.send({ cmd: 'auth', reasonCode: 0x18, properties: message(first.final(dataOf(await client.next('auth')))) });
    expect(dataOf(await client.next('connack'))).toBe(first.serverFinal);

    const second = new ScramClient('ada', 'one');
    client.send({ cmd: 'auth', reasonCode: 0x19, properties: message(second.first) });
    const final = second.final(dataOf(await client.next('auth')));
    client.send({ cmd: 'auth', reasonCode: 0x18, properties: message(final) });
    const end = await client.next('auth');
    expect([end.reasonCode, dataOf(end)]).toEqual([0, second.serverFinal]);
    await client.nothingElse();

    const third = new ScramClient('ada', 'wrong');
    client.send({ cmd: 'auth', reasonCode: 0x19, properties: message(third.first) });
    const wrong = third.final(dataOf(await client.next('auth')));
    client.send({ cmd: 'auth', reasonCode: 0x18, properties: message(wrong) });
    expect((await client.closed()).map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([['disconnect', 0x87]]);
  });
});

describe('reload', () => {
  const passwords = (file: string) => ({ authentication: [{ kind: 'password-file' as const, file }] });
  const ada = { username: 'ada', password: 'one' };

  test('other mechanisms take the place of the old ones; who is connected stays', async () => {
    const file = await start(passwords(directory.write('old', await line('ada', 'one'))));
    const client = await WireClient.connect(port(), { version: 5, ...ada });
    file.next = passwords(directory.write('new', await line('bob', 'two')));
    expect(await app!.reload()).toContain('authentication');
    expect(await codeOf(ada)).toBe(0x86);
    expect(await codeOf({ username: 'bob', password: 'two' })).toBe(0);
    await client.nothingElse();
  });

  test('a mistake is told with its place, and changes nothing', async () => {
    const file = await start(passwords(directory.write('kept', await line('ada', 'one'))));
    file.next = passwords(directory.path('none'));
    await expect(app!.reload()).rejects.toThrow(
      /^authentication\.0\.file: Cannot use the password file .*none: there is/,
    );
    expect(await codeOf(ada)).toBe(0);
  });

  test('a listener keeps to what the configuration says of it, wherever in the list it stands', async () => {
    const own = { kind: 'tcp' as const, port: 0, ...passwords(directory.write('own', await line('ada', 'one'))) };
    const open = { kind: 'ws' as const, port: 0, authentication: [], allowAnonymous: true };
    const file = await start({ listeners: [own, open] });
    file.next = { listeners: [open, own] };
    await app!.reload();
    expect(await codeOf({})).toBe(0x87);
    expect(await codeOf(ada)).toBe(0);
    file.next = { listeners: [open] };
    await expect(app!.reload()).rejects.toThrow(/^listeners: .* tcp listener on 127\.0\.0\.1:0 .*restart/);
    expect(await codeOf(ada)).toBe(0);
  });

  test('of two that overlap, the one that was asked for last counts', async () => {
    const file = await start(passwords(directory.write('at first', await line('ada', 'one'))));
    // It is read when somebody has written to it.
    const slow = directory.path('slow');
    execFileSync('mkfifo', [slow]);
    file.next = passwords(slow);
    const first = app!.reload();
    for (let i = 0; i < 100; i++) await setImmediate();
    file.next = passwords(directory.write('at last', await line('bob', 'two')));
    const second = app!.reload();
    for (let i = 0; i < 100; i++) await setImmediate();
    await writeFile(slow, await line('eve', 'three'));
    await Promise.all([first, second]);
    expect(await codeOf({ username: 'bob', password: 'two' })).toBe(0);
    expect(await codeOf({ username: 'eve', password: 'three' })).toBe(0x86);
  });

  test('it cannot begin while the broker runs, for those who are in were never asked; and it can end for nobody', async () => {
    const file = await start({});
    file.next = passwords(directory.write('begun', await line('ada', 'one')));
    await expect(app!.reload()).rejects.toThrow(
      /^Authentication cannot begin by a reload: .*never checked\. Restart the broker to have it$/,
    );
    expect(await codeOf({ username: 'whoever' })).toBe(0);
    await app!.close();
    const other = await start(file.next);
    other.next = {};
    await app!.reload();
    expect(await codeOf({})).toBe(0x87);
    expect(await codeOf(ada)).toBe(0x86);
  });
});

test('a name that objects have is a user as any other', async () => {
  const file = directory.write('objects', await line('__proto__', 'one'));
  await start({ authentication: [{ kind: 'password-file', file }] });
  expect(await codeOf({ username: '__proto__', password: 'one', clientId: '__proto__' })).toBe(0);
  for (const username of ['constructor', 'toString', 'hasOwnProperty']) {
    expect(await codeOf({ username, password: 'one' })).toBe(0x86);
  }
});

test('a storm of clients with wrong passwords is turned away beyond what may wait, and others come in again', async () => {
  const file = directory.write('storm', `ada:${await hashPassword('sha512-pbkdf2', Buffer.from('one'))}\n`);
  const limits = { hashesAtOnce: 1, hashesWaiting: 3 };
  await start({ authentication: [{ kind: 'password-file', file }], authenticationLimits: limits });
  const codes = await Promise.all(
    Array.from({ length: 20 }, (_, i) => codeOf({ username: `user ${i}`, password: `wrong ${i}` })),
  );
  expect(new Set(codes)).toEqual(new Set([0x86, 0x89]));
  expect(await codeOf({ username: 'ada', password: 'one' })).toBe(0);
});
