/**
 * Certificates, keys, authorities and revocation lists that change while the listener runs, in all the ways in which
 * files are replaced.
 */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { startApp } from '../../../src/app.ts';
import { parseConfig } from '../../../src/config/load.ts';
import type { Listener } from '../../../src/contracts/transport.ts';
import type { TlsOptions } from '../../../src/net/options.ts';
import { type CertificateFiles, Certificates, pem } from '../../support/certificates.ts';
import { eventually } from './eventually.ts';
import { Listening, optionsOf } from './listening.ts';
import { Peer } from './peer.ts';

const certificates = new Certificates();
const authority = certificates.authority('authority');
const devices = certificates.authority('devices');
afterAll(() => certificates.remove());

let names = 0;
const newServer = (...hosts: string[]) =>
  authority.issue(`server-${++names}`, { purpose: 'server', hosts: ['localhost', '127.0.0.1', ...hosts] });
const newDevice = () => devices.issue(`device-${++names}`, {});
const serialOf = ({ certFile }: CertificateFiles) => new X509Certificate(readFileSync(certFile)).serialNumber;

let listening: Listening;
let sockets: Socket[] = [];
/** What the listener is told to read. */
let folder = '';
let files: CertificateFiles;
let first: CertificateFiles;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  listening = new Listening();
  folder = mkdtempSync(join(certificates.directory, 'used-'));
  files = { certFile: join(folder, 'server.crt'), keyFile: join(folder, 'server.key') };
  first = newServer();
  put(first);
});
afterEach(async () => {
  vi.useRealTimers();
  for (const socket of sockets) socket.destroy();
  sockets = [];
  await listening.close();
});

function put({ certFile, keyFile }: CertificateFiles): void {
  copyFileSync(certFile, files.certFile);
  copyFileSync(keyFile, files.keyFile);
}

const open = (tls: TlsOptions = files, kind: 'tls' | 'wss' = 'tls') =>
  listening.open(optionsOf(kind, tls), (stream) => listening.record(stream, true));

/** Lets time pass until it is so. */
const inTime = (isSo: () => boolean) =>
  eventually(() => {
    vi.advanceTimersByTime(2_000);
    return isSo();
  });

/** The serial number that a new client is shown. */
async function shown({ port }: Listener, options: ConnectionOptions = {}): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
  sockets.push(socket);
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

async function connected(listener: Listener, tls: ConnectionOptions = {}): Promise<Peer> {
  const peer = await Peer.open(listener, { tls });
  sockets.push(peer.raw);
  await echoes(peer);
  return peer;
}

async function echoes(peer: Peer): Promise<void> {
  const length = peer.receivedLength + 5;
  peer.send(Buffer.from('hello'));
  expect((await peer.received(length)).length).toBe(length);
}

/** Whether a client with this certificate is let in. */
async function isLetIn(
  listener: Listener,
  certificate: CertificateFiles,
  resuming: ConnectionOptions = {},
): Promise<boolean> {
  const socket = connect({
    host: '127.0.0.1',
    port: listener.port,
    rejectUnauthorized: false,
    ...(resuming.session === undefined ? pem(certificate) : {}),
    ...resuming,
  });
  sockets.push(socket);
  return new Promise((resolve) => {
    socket.on('error', () => {}).on('close', () => resolve(false));
    socket.on('secureConnect', () => socket.write('hello'));
    socket.on('data', () => resolve(true));
  });
}

describe('a new pair is used for new connections, and open ones stay', () => {
  test.each(['tls', 'wss'] as const)('%s: files that are renamed over the old ones', async (kind) => {
    const listener = await open(files, kind);
    const peer = await connected(listener);
    const second = newServer();
    for (const [from, to] of [
      [second.keyFile, files.keyFile],
      [second.certFile, files.certFile],
    ] as const) {
      copyFileSync(from, `${to}.new`);
      renameSync(`${to}.new`, to);
    }
    await inTime(() => listening.notes.length > 0);
    expect(await shown(listener)).toBe(serialOf(second));
    await echoes(peer);
    expect(listening.warnings).toEqual([]);
    const until = new Date(new X509Certificate(readFileSync(second.certFile)).validTo).toISOString();
    expect(listening.notes).toEqual([
      `certificates replaced, for new connections: tls.certFile ${files.certFile} is valid until ${until}`,
    ]);
  });

  test('a symbolic link to the folder that is replaced, as in a Kubernetes volume', async () => {
    const volume = mkdtempSync(join(certificates.directory, 'volume-'));
    const second = newServer();
    for (const [name, from] of [
      ['..v1', first],
      ['..v2', second],
    ] as const) {
      mkdirSync(join(volume, name));
      copyFileSync(from.certFile, join(volume, name, 'tls.crt'));
      copyFileSync(from.keyFile, join(volume, name, 'tls.key'));
    }
    symlinkSync('..v1', join(volume, '..data'));
    for (const name of ['tls.crt', 'tls.key']) symlinkSync(join('..data', name), join(volume, name));
    const listener = await open({ certFile: join(volume, 'tls.crt'), keyFile: join(volume, 'tls.key') });
    expect(await shown(listener)).toBe(serialOf(first));

    symlinkSync('..v2', join(volume, '..data_tmp'));
    renameSync(join(volume, '..data_tmp'), join(volume, '..data'));

    await inTime(() => listening.notes.length > 0);
    expect(await shown(listener)).toBe(serialOf(second));
    expect(listening.warnings).toEqual([]);
  });

  test('symbolic links to files that are replaced one by one, as certbot does', async () => {
    const live = mkdtempSync(join(certificates.directory, 'live-'));
    const links = { certFile: join(live, 'fullchain.pem'), keyFile: join(live, 'privkey.pem') };
    symlinkSync(first.certFile, links.certFile);
    symlinkSync(first.keyFile, links.keyFile);
    const listener = await open(links);
    const second = newServer();
    for (const name of ['certFile', 'keyFile'] as const) {
      unlinkSync(links[name]);
      symlinkSync(second[name], links[name]);
      vi.advanceTimersByTime(2_000);
    }
    await inTime(() => listening.notes.length > 0);
    expect(await shown(listener)).toBe(serialOf(second));
  });

  test('files that are written in place, one change right behind the other', async () => {
    const listener = await open();
    put(newServer());
    await inTime(() => listening.notes.length > 0);
    const last = newServer();
    put(last);
    await inTime(() => listening.notes.length > 1);
    expect(await shown(listener)).toBe(serialOf(last));
  });

  test('a certificate for another name', async () => {
    const named = { certFile: join(folder, 'named.crt'), keyFile: join(folder, 'named.key') };
    const putNamed = (from: CertificateFiles) => {
      copyFileSync(from.certFile, named.certFile);
      copyFileSync(from.keyFile, named.keyFile);
    };
    putNamed(newServer('a.example'));
    const listener = await open({ ...files, certificates: [named] });
    const second = newServer('b.example');
    putNamed(second);
    await inTime(() => listening.notes.length > 0);
    expect(await shown(listener, { servername: 'b.example' })).toBe(serialOf(second));
    expect(await shown(listener, { servername: 'a.example' })).toBe(serialOf(first));
  });
});

describe('what cannot be used leaves the old ones in use, is told once, and is tried again:', () => {
  const told = (cause: RegExp) => [
    expect.stringMatching(
      new RegExp(
        `^changed certificate files cannot be used: the old ones stay in use until that is corrected: ${cause.source}`,
      ),
    ),
  ];

  /** Many more looks than it takes to tell. */
  async function staysTold(listener: Listener, cause: RegExp): Promise<void> {
    await inTime(() => listening.warnings.length > 0);
    for (let look = 0; look < 20; look++) {
      vi.advanceTimersByTime(2_000);
      expect(await shown(listener)).toBe(serialOf(first));
    }
    expect(listening.warnings).toEqual(told(cause));
    expect(listening.notes).toEqual([]);
  }

  async function isTakenOver(listener: Listener, second: CertificateFiles): Promise<void> {
    await inTime(() => listening.notes.length > 0);
    expect(await shown(listener)).toBe(serialOf(second));
    expect(listening.warnings).toHaveLength(1);
  }

  test('a certificate whose key is still the old one', async () => {
    const listener = await open();
    const second = newServer();
    copyFileSync(second.certFile, files.certFile);
    await staysTold(listener, /tls\.keyFile .*server\.key is not the key of tls\.certFile .*server\.crt/);
    copyFileSync(second.keyFile, files.keyFile);
    await isTakenOver(listener, second);
  });

  test('a file that is written in two goes', async () => {
    const listener = await open();
    const second = newServer();
    put(second);
    const text = readFileSync(second.certFile);
    truncateSync(files.certFile, text.length / 2);
    await staysTold(listener, /Cannot use tls\.certFile .*server\.crt: it is not a certificate in PEM form/);
    writeFileSync(files.certFile, text);
    await isTakenOver(listener, second);
  });

  test('a file that is empty, and one that is gone', async () => {
    const listener = await open();
    const second = newServer();
    copyFileSync(second.certFile, files.certFile);
    unlinkSync(files.keyFile);
    await staysTold(listener, /Cannot read tls\.keyFile .*server\.key: there is no such file/);
    copyFileSync(second.keyFile, files.keyFile);
    await isTakenOver(listener, second);
    writeFileSync(files.keyFile, '');
    await inTime(() => listening.warnings.length > 1);
    expect(listening.warnings[1]).toMatch(/it is not a private key in PEM form; give one that is$/);
  });

  test('a revocation list that is cut off', async () => {
    const crlFile = join(folder, 'devices.crl');
    writeFileSync(crlFile, devices.revocationListPem());
    const listener = await open({ ...files, caFile: devices.certFile, crlFile, clientCertificate: 'optional' });
    writeFileSync(crlFile, devices.revocationList().subarray(0, -20));
    await staysTold(listener, /Cannot use tls\.crlFile .*devices\.crl: it is not a certificate revocation list/);
  });
});

test('a pair that was half written at one look only is not worth a word', async () => {
  const listener = await open();
  const second = newServer();
  copyFileSync(second.certFile, files.certFile);
  await expect(listener.reloadCertificates()).rejects.toThrow('is not the key of');
  copyFileSync(second.keyFile, files.keyFile);
  await inTime(() => listening.notes.length > 0);
  expect(listening.warnings).toEqual([]);
});

test('what only looks changed is no change', async () => {
  const listener = await open();
  utimesSync(files.certFile, new Date(), new Date());
  put(first);
  for (let look = 0; look < 5; look++) {
    vi.advanceTimersByTime(2_000);
    await listener.reloadCertificates();
  }
  expect([...listening.notes, ...listening.warnings]).toEqual([]);
});

describe('whom client certificates let in', () => {
  test('a new authority is asked from then on, and those whom the old one let in stay', async () => {
    const caFile = join(folder, 'ca.crt');
    copyFileSync(devices.certFile, caFile);
    const listener = await open({ ...files, caFile, clientCertificate: 'required' });
    const others = certificates.authority(`others-${++names}`);
    const [old, other] = [newDevice(), others.issue(`other-${++names}`, {})];
    const peer = await connected(listener, pem(old));
    expect(await isLetIn(listener, other)).toBe(false);

    copyFileSync(others.certFile, caFile);
    await inTime(() => listening.notes.length > 0);

    expect(await isLetIn(listener, other)).toBe(true);
    expect(await isLetIn(listener, old)).toBe(false);
    await echoes(peer);
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    '%s: a revoked certificate lets nobody in any more, not even by resuming a session',
    async (maxVersion) => {
      const crlFile = join(folder, 'devices.crl');
      writeFileSync(crlFile, devices.revocationListPem());
      const listener = await open({ ...files, caFile: devices.certFile, crlFile, clientCertificate: 'required' });
      const [lost, other] = [newDevice(), newDevice()];
      // By its address, as later: a session is resumed under the same server name only.
      const { port } = listener;
      const before = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, maxVersion, ...pem(lost) });
      sockets.push(before);
      const begun = once(before, 'session') as Promise<[Buffer]>;
      before.write('hello');
      await once(before, 'data');
      const resuming = { session: (await begun)[0], maxVersion };
      expect(await isLetIn(listener, lost, resuming)).toBe(true);

      writeFileSync(crlFile, devices.revocationListPem({ revoked: [lost] }));
      await inTime(() => listening.notes.length > 0);

      expect(await isLetIn(listener, lost, resuming)).toBe(false);
      expect(await isLetIn(listener, lost)).toBe(false);
      expect(await isLetIn(listener, other)).toBe(true);
      before.write('still here');
      await once(before, 'data');
    },
  );

  test('a list that was late and has come lets them in again', async () => {
    const crlFile = join(folder, 'devices.crl');
    writeFileSync(crlFile, devices.revocationListPem({ until: Date.now() - 1_000 }));
    const listener = await open({ ...files, caFile: devices.certFile, crlFile, clientCertificate: 'required' });
    const device = newDevice();
    expect(await isLetIn(listener, device)).toBe(false);
    writeFileSync(crlFile, devices.revocationListPem());
    await inTime(() => listening.notes.length > 0);
    expect(await isLetIn(listener, device)).toBe(true);
  });
});

test('a reload takes over at once, or says what is wrong', async () => {
  const listener = await open();
  const second = newServer();
  put(second);
  await listener.reloadCertificates();
  expect(await shown(listener)).toBe(serialOf(second));
  const [own] = listener.expiring;
  expect(own).toMatchObject({ kind: 'certificate', name: `tls.certFile ${files.certFile}` });
  expect(own!.until).toBe(Date.parse(new X509Certificate(readFileSync(files.certFile)).validTo));
  unlinkSync(files.certFile);
  await expect(listener.reloadCertificates()).rejects.toThrow(/^Cannot read tls\.certFile .*: there is no such file/);
  expect(await shown(listener)).toBe(serialOf(second));
});

test('the reload of the broker takes over certificates, and what is wrong with them is told', async () => {
  const config = parseConfig({
    listeners: [{ kind: 'tls', port: 0, tls: files }],
    store: { kind: 'memory' },
    log: { level: 'silent' },
  });
  const app = await startApp(config, { reread: () => ({ config, where: String }) });
  const [listener] = app.listeners;
  const second = newServer();
  put(second);
  expect(await app.reload()).toMatch(/certificates/);
  expect(await shown(listener!)).toBe(serialOf(second));
  copyFileSync(first.keyFile, files.keyFile);
  await expect(app.reload()).rejects.toThrow(/is not the key of/);
  expect(await shown(listener!)).toBe(serialOf(second));
  await app.close();
});

test('nothing is looked at after the listener was closed', async () => {
  const listener = await open();
  expect(vi.getTimerCount()).toBeGreaterThan(0);
  await listener.close();
  expect(vi.getTimerCount()).toBe(0);
  put(newServer());
  await listener.reloadCertificates();
  expect(listening.notes).toEqual([]);
});
