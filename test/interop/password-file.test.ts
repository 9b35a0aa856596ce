/**
 * One password file on Sluice and on Debian's Mosquitto: the same clients are let in by both. Its lines are made by
 * Debian's mosquitto_passwd, by `sluice passwd`, and by hand, as people do.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createBroker, type SluiceBroker } from '../../src/index.ts';
import { sluice as runSluice } from '../support/fake-io.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { WireClient } from '../support/wire-client.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
const file = join(directory, 'passwords');
let mosquitto: Mosquitto;
let sluice: SluiceBroker;

const long = 'x'.repeat(200);
/** Name, password, and who makes the line. */
const users = [
  ['ada', 'one', 'mosquitto_passwd'],
  ['bob', 'two', 'mosquitto_passwd -H sha512'],
  ['with space', 'a b', 'mosquitto_passwd'],
  ['größe', 'maß', 'mosquitto_passwd'],
  ['__proto__', 'x', 'mosquitto_passwd'],
  ['long', long, 'mosquitto_passwd'],
  ['carol', 'three', 'sluice passwd -H sha512'],
  ['dave', 'four', 'sluice passwd -H sha512-pbkdf2'],
] as const;

/** `LINE`: what stands behind the name of ada or bob. */
const byHand = `
# a comment
#comment:BOB
plain:word
empty:
nocolon
:BOB
  around  :BOB\u0020\u0020
zero:$7$0$QUJD$QUJD
other:$9$QUJD$QUJD
short:$6$QUJD$QUJD
twice:BOB
twice:ADA
good then bad:BOB
good then bad:$6$x
crlf:BOB\r
last:BOB`;

beforeAll(async () => {
  if (!hasMosquitto) return;
  for (const [index, [name, password, maker]] of users.entries()) {
    const [command, ...options] = maker.split(' ');
    const argv = ['-b', ...(index === 0 ? ['-c'] : []), ...options.filter((each) => each !== 'passwd')];
    if (command === 'sluice')
      expect(await runSluice('passwd', ...argv, file, name, password)).toMatchObject({ code: 0 });
    else execFileSync(command!, [...argv, file, name, password], { stdio: 'ignore' });
  }
  const made = readFileSync(file, 'utf8');
  const lineOf = (name: string) => new RegExp(`^${name}:(.*)$`, 'm').exec(made)![1]!;
  appendFileSync(file, byHand.replaceAll('BOB', lineOf('bob')).replaceAll('ADA', lineOf('ada')));
  chmodSync(file, 0o600);
  mosquitto = await startMosquitto(directory, ['allow_anonymous false', `password_file ${file}`]);
  sluice = await createBroker({
    config: {
      listeners: [{ kind: 'tcp', port: 0 }],
      store: { kind: 'memory' },
      log: { level: 'silent' },
      authentication: [{ kind: 'password-file', file }],
    },
  });
});

afterAll(async () => {
  await sluice?.close();
  await mosquitto?.stop();
  rmSync(directory, { recursive: true });
});

type Version = 3 | 4 | 5;
type Client = readonly [name: string | undefined, password: string | undefined];

async function isLetIn(port: number, version: Version, [username, password]: Client): Promise<boolean> {
  const client = await WireClient.open(port, version);
  client.sendConnect({
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  });
  const { returnCode, reasonCode } = await client.next('connack');
  const code = version === 5 ? reasonCode : returnCode;
  if (code === 0) await client.disconnect();
  else await client.closed();
  return code === 0;
}

const byHandNames = ['comment', '#comment', 'plain', 'empty', 'nocolon', '', 'around', '  around  ', 'zero', 'other'];
const moreNames = ['short', 'twice', 'good then bad', 'crlf', 'last', 'nobody', 'constructor', 'ADA', 'ada '];
const clients: Client[] = [
  ...users.flatMap(([name, password]) =>
    [password, `${password}x`, password.slice(0, -1), '', undefined].map((each) => [name, each] as const),
  ),
  ...[...byHandNames, ...moreNames].flatMap((name) =>
    ['one', 'two', 'word', '', undefined].map((password) => [name, password] as const),
  ),
  [undefined, undefined],
];

describe.runIf(hasMosquitto)('a password file', () => {
  test.each([3, 4, 5] as const)('lets in the same clients on both, version %i', async (version) => {
    const decided: Record<'sluice' | 'mosquitto', string[]> = { sluice: [], mosquitto: [] };
    for (const client of clients) {
      const name = JSON.stringify(client);
      if (await isLetIn(sluice.listeners[0]!.port, version, client)) decided.sluice.push(name);
      if (await isLetIn(mosquitto.port, version, client)) decided.mosquitto.push(name);
    }
    expect(decided.sluice).toEqual(decided.mosquitto);
    for (const [name, password] of users) expect(decided.sluice).toContain(JSON.stringify([name, password]));
  });

  test('it is not the case that both refuse or accept everybody', async () => {
    const port = sluice.listeners[0]!.port;
    expect(await isLetIn(port, 5, ['twice', 'one'])).toBe(true);
    expect(await isLetIn(port, 5, ['twice', 'two'])).toBe(false);
    expect(await isLetIn(port, 5, ['good then bad', 'two'])).toBe(true);
    expect(await isLetIn(port, 5, ['plain', 'word'])).toBe(false);
  });
});
