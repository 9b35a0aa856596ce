/** What is said where no broker answers, or something else: what is there, and what to do. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type App, startApp } from '../../../src/app.ts';
import { parseConfig } from '../../../src/config/load.ts';
import { sluice } from '../../support/fake-io.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-reaching-'));
const certs = join(folder, 'certs');
let app: App;
let ports: { mqtt: number; ws: number; mqtts: number; mutual: number; http: number; https: number };

beforeAll(async () => {
  expect(await sluice('cert', '--dir', certs, '--client', 'a')).toMatchObject({ code: 0 });
  const tls = { certFile: join(certs, 'server.crt'), keyFile: join(certs, 'server.key') };
  const mutual = { ...tls, caFile: join(certs, 'ca.crt'), clientCertificate: 'required' as const };
  const config = parseConfig({
    listeners: [
      { kind: 'tcp', port: 0 },
      { kind: 'ws', port: 0 },
      { kind: 'tls', port: 0, tls },
      { kind: 'tls', port: 0, tls: mutual },
    ],
    admin: { listeners: [{ port: 0 }, { port: 0, tls }] },
    store: { directory: join(folder, 'data') },
    log: { level: 'silent' },
  });
  app = await startApp(config);
  const [mqtt, ws, mqtts, mutualPort] = app.listeners.map(({ port }) => port);
  const [http, https] = app.adminListeners.map(({ url }) => Number(new URL(url).port));
  ports = { mqtt: mqtt!, ws: ws!, mqtts: mqtts!, mutual: mutualPort!, http: http!, https: https! };
});
afterAll(async () => {
  await app.close();
  rmSync(folder, { recursive: true });
});

const closing: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function told(...argv: string[]): Promise<string> {
  const { code, out, err } = await sluice(...argv);
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(err.trimEnd().split('\n')).toHaveLength(1);
  return err;
}

describe('at a --url', () => {
  const status = (scheme: string, port: number, ...more: string[]) =>
    told('status', '--url', `${scheme}://127.0.0.1:${port}`, ...more);

  test('the port of MQTT', async () => {
    expect(await status('http', ports.mqtt)).toMatch(
      /^Cannot reach http:\S+: what is there hung up.*is that the address of the HTTP API\? .*18083.*1883 is the port of MQTT/,
    );
  });

  test('the port of WebSocket', async () => {
    expect(await status('http', ports.ws)).toMatch(/^What answers at http:\S+ is no Sluice broker: .* status 426\n$/);
  });

  test('https to a port without TLS, and the reverse', async () => {
    expect(await status('https', ports.http)).toMatch(/: no TLS is spoken there; write http:\/\//);
    expect(await status('http', ports.https)).toMatch(/: TLS is spoken there; write https:\/\/\n$/);
  });

  test('a certificate that nobody here trusts', async () => {
    expect(await status('https', ports.https)).toMatch(
      /its certificate is of an authority that is not trusted here; name it with --cafile/,
    );
    const cafile = join(certs, 'ca.crt');
    expect(await status('https', ports.https, '--cafile', cafile)).toMatch(
      /^The request has no key\. Give one by .*SLUICE_KEY/,
    );
  });

  test('a wrong key, or none', async () => {
    expect(await status('http', ports.http)).toMatch(
      /^The request has no key\. Give one by .*SLUICE_KEY; sluice admin key create makes one\n$/,
    );
    expect(await status('http', ports.http, '--key', 'sluice_x')).toMatch(
      /^The key is not known, or has expired\. Look whether it is whole, and in sluice admin key list/,
    );
  });

  test('nothing, or no such host', async () => {
    expect(await status('http', 1)).toMatch(
      /: nothing listens there; is the broker running, and does it say "HTTP API on"/,
    );
    expect(await told('status', '--url', 'http://no.such.host.invalid')).toMatch(
      /: there is no such host; check its name/,
    );
  });

  test('a file of an authority that is not there', async () => {
    expect(await told('status', '--url', 'https://x', '--cafile', join(folder, 'no'))).toMatch(
      /^Cannot read --cafile \S+: there is no such file\n$/,
    );
  });
});

describe('on a data directory', () => {
  test('that is not there, or nobody uses', async () => {
    expect(await told('status', '--data-dir', join(folder, 'none'))).toMatch(
      /^No broker is running on \S+none \(there is no such directory\); is it the data directory of the broker/,
    );
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    expect(await told('status', '--data-dir', empty)).toMatch(/\(there is no control\.sock in it\)/);
  });

  test('whose broker has ended', async () => {
    const left = join(folder, 'left');
    mkdirSync(left);
    writeFileSync(join(left, 'control.sock'), '');
    expect(await told('status', '--data-dir', left)).toMatch(/\(its control\.sock is that of one that has ended\)/);
  });

  test('that was guessed: it says how to name another one', async () => {
    const { err } = await sluice('clients');
    expect(err).toMatch(
      /^No broker is running on \/\S+\/data \(.*\); start one \(sluice start\), or say where it is: --data-dir DIR, --config FILE or --url URL\n$/,
    );
  });
});

describe('sluice pub', () => {
  const pub = (...argv: string[]) => told('pub', '-t', 'a', '-m', 'b', ...argv);
  const at = (port: number) => ['-p', String(port)];
  const ca = () => ['--cafile', join(certs, 'ca.crt')];
  const own = (key: string) => ['--cert', join(certs, 'a.crt'), '--key', join(certs, key)];

  test('TLS to a port without it, and the reverse', async () => {
    expect(await pub(...at(ports.mqtt), ...ca())).toMatch(
      /: what is there hung up before TLS began; does it speak TLS, or is it for mqtt:\/\/\?|no TLS is spoken there/,
    );
    expect(await pub(...at(ports.mqtts))).toMatch(
      /: TLS is spoken there; write mqtts:\/\/, or name its authority with --cafile\n$/,
    );
  });

  test('to the port of the HTTP API', async () => {
    expect(await pub(...at(ports.http))).toMatch(/: what answers there does not speak MQTT \(/);
  });

  test('to the port of WebSocket, or over WebSocket to that of MQTT', async () => {
    expect(await pub(...at(ports.ws))).toMatch(/: what (is|answers) there /);
    expect(await pub('--url', `ws://127.0.0.1:${ports.mqtt}/mqtt`)).toMatch(
      /: what is there hung up; is the path right\?/,
    );
  });

  test('without the certificate that the broker wants, or with another one', async () => {
    expect(await pub(...at(ports.mutual), ...ca())).toMatch(
      /: it wants a certificate of the client; give --cert FILE and --key FILE\n$/,
    );
    await sluice('cert', '--dir', join(folder, 'other'), '--client', 'b');
    const other = ['--cert', join(folder, 'other', 'b.crt'), '--key', join(folder, 'other', 'b.key')];
    expect(await pub(...at(ports.mutual), ...ca(), ...other)).toMatch(
      /: (it hung up; does it trust the authority of this --cert\?|it does not accept the certificate)/,
    );
  });

  test('to a name that the certificate does not have', async () => {
    expect(await pub('-h', '127.0.0.2', ...at(ports.mqtts), ...ca())).toMatch(
      /nothing listens there|its certificate is for other names/,
    );
  });

  test('with files that are none of TLS', async () => {
    const junk = join(folder, 'junk.pem');
    writeFileSync(junk, 'junk');
    expect(await pub('--cafile', junk)).toMatch(
      /^--cafile wants a certificate in PEM, and \S+ has none that can be used\n$/,
    );
    expect(await pub(...ca(), ...own('server.key'))).toMatch(
      /^--key \S+server\.key does not belong to --cert \S+a\.crt/,
    );
    expect(await pub(...ca(), '--cert', join(certs, 'a.crt'), '--key', junk)).toMatch(
      /^--key wants a private key without a password in PEM/,
    );
    expect(await pub('--cafile', folder)).toMatch(/^Cannot read --cafile \S+: it is a directory \(EISDIR\)/);
  });

  test('to a server that says nothing', async () => {
    const mute = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    closing.push(() => mute.close());
    const { port } = mute.address() as AddressInfo;
    expect(await pub(...at(port))).toMatch(
      /: what is there hung up; is it a port of MQTT, and does it speak this version of it \(-V\)\?\n$/,
    );
  });
});
