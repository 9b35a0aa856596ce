/**
 * Listeners: what they say when they cannot be opened, and what they do with those who never finish their handshake.
 */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { ListenerOptions } from '../../../src/net/options.ts';
import { acceptTcp } from '../../../src/net/socket-stream.ts';
import { eventually } from './eventually.ts';
import { optionsOf, Recorder } from './listening.ts';
import { Peer } from './peer.ts';
import { listenerTests } from './setup.ts';

const { certificates, listening, sockets, server } = listenerTests();

/** A client that connects and then says nothing. */
function silent(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {}).resume();
  sockets.push(socket);
  return socket;
}

describe('a listener that cannot be opened says what to do:', () => {
  const tcp = (host: string, port = 0): ListenerOptions => ({ kind: 'tcp', host, port });

  test('an address of another machine', async () => {
    await expect(listening.open(tcp('192.0.2.1'))).rejects.toMatchObject({
      message: 'Cannot listen on 192.0.2.1:0: this machine has no such address; use 127.0.0.1, 0.0.0.0 or one it has',
      cause: { code: 'EADDRNOTAVAIL' },
    });
  });

  test('a certificate file that does not exist', async () => {
    const options = optionsOf('tls', { ...server, certFile: '/nowhere/server.crt' });
    await expect(listening.open(options)).rejects.toThrow(
      'Cannot read tls.certFile /nowhere/server.crt: there is no such file; correct the path or its permissions',
    );
  });

  test('a file that holds something else', async () => {
    const file = join(certificates.directory, 'text.pem');
    writeFileSync(file, 'not a certificate');
    for (const setting of ['certFile', 'keyFile', 'caFile']) {
      const options = optionsOf('wss', { ...server, [setting]: file });
      await expect(listening.open(options)).rejects.toThrow(`Cannot use tls.${setting} ${file}: it is not a `);
    }
  });

  test('a key that belongs to another certificate', async () => {
    const { keyFile } = certificates.server('other');
    const options = optionsOf('tls', { ...server, keyFile });
    await expect(listening.open(options)).rejects.toThrow(
      `tls.keyFile ${keyFile} is not the key of tls.certFile ${server.certFile}`,
    );
  });

  test('a certificate whose dates are none', async () => {
    const der = new X509Certificate(readFileSync(server.certFile)).raw.toString('latin1');
    const dateless = Buffer.from(der.replace(/\d{12}Z/, '269912000000Z'), 'latin1').toString('base64');
    const pem = `-----BEGIN CERTIFICATE-----\n${dateless}\n-----END CERTIFICATE-----\n`;
    const certFile = certificates.file('dateless.crt', pem);
    await expect(listening.open(optionsOf('tls', { ...server, certFile }))).rejects.toThrow(
      `Cannot use tls.certFile ${certFile}: the dates of its validity cannot be read; give one that was made as it should be`,
    );
  });

  test('client certificates without an authority', async () => {
    const options = optionsOf('tls', { ...server, clientCertificate: 'required' });
    await expect(listening.open(options)).rejects.toThrow('tls.clientCertificate needs tls.caFile');
  });
});

test('an IPv6 address is written in brackets', async (context) => {
  const options: ListenerOptions = { kind: 'tcp', host: '::1', port: 0 };
  const listener = await listening.open(options).catch(() => null);
  if (listener === null) return context.skip('this machine has no IPv6');
  expect(listener.url).toBe(`mqtt://[::1]:${listener.port}`);
});

describe('handshakes', () => {
  test.each(['tls', 'ws', 'wss'] as const)(
    '%s: one that is not finished in time ends, however it trickles',
    async (kind) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      const listener = await listening.open(optionsOf(kind, server, { handshakeTimeoutSeconds: 7 }));
      const slow = silent(listener.port);
      await once(slow, 'connect');
      // The first byte of a TLS record or of an HTTP request; both are legal so far.
      slow.write(kind === 'ws' ? 'G' : '\x16');
      // Only once its own timer exists has the server taken it.
      await eventually(() => vi.getTimerCount() > 0);
      vi.advanceTimersByTime(6_900);
      expect(vi.getTimerCount()).toBe(1);
      slow.write(kind === 'ws' ? 'E' : '\x03');
      vi.advanceTimersByTime(100);
      await eventually(() => slow.closed);
      listening.expectRefusal(listener, /^its handshake took longer than 7 s$/);
    },
  );

  test.each(['tls', 'ws', 'wss'] as const)('%s: closing the listener ends those under way', async (kind) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const listener = await listening.open(optionsOf(kind, server));
    const waiting = silent(listener.port);
    await eventually(() => vi.getTimerCount() > 0);
    await listener.close();
    await eventually(() => waiting.closed && vi.getTimerCount() === 0);
  });

  test('one that failed is forgotten', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const listener = await listening.open(optionsOf('tls', server));
    const confused = silent(listener.port);
    await eventually(() => vi.getTimerCount() === 1);
    confused.write('GET / HTTP/1.1\r\n\r\n');
    await eventually(() => confused.closed && vi.getTimerCount() === 0);
  });

  test.each(['tls', 'ws', 'wss'] as const)('%s: a thousand are open at a time, and it is said once', async (kind) => {
    const listener = await listening.open(optionsOf(kind, server));
    let closed = 0;
    for (let i = 0; i < 1_003; i++) silent(listener.port).on('close', () => closed++);
    await eventually(() => closed === 3);
    expect(listening.warnings).toEqual([
      `1000 clients are in their handshake, as many as there may be: some are turned away`,
    ]);
    const reason = '1000 clients are in their handshake, as many as there may be';
    expect(listening.events).toMatchObject([{ reason }, { reason }, { reason }]);
  });

  test.each(['tls', 'ws', 'wss'] as const)('%s: an address that has them all keeps no other one out', async (kind) => {
    const listener = await listening.open(optionsOf(kind, server));
    const flood: Socket[] = [];
    for (let i = 0; i < 1_000; i++) flood.push(silent(listener.port));
    await eventually(() => flood.every((socket) => socket.readyState === 'open'));
    const others = ['127.0.0.2', '127.0.0.3', '127.0.0.2'];
    for (const [index, localAddress] of others.entries()) {
      const peer = await Peer.open(listener, { localAddress });
      sockets.push(peer.raw);
      peer.send(Buffer.from('hello'));
      await eventually(() => listening.accepted[index]?.receivedLength === 5);
      // It has given its place back, and the next one needs one anew.
      flood.push(silent(listener.port));
    }
    await eventually(() => flood.slice(0, 3).every((socket) => socket.closed));
    expect(flood.filter((socket) => socket.closed)).toHaveLength(3);
  });

  test.each(['tls', 'ws', 'wss'] as const)('%s: one that became a stream is timed no more', async (kind) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const listener = await listening.open(optionsOf(kind, server));
    const peer = await Peer.open(listener);
    sockets.push(peer.raw);
    await eventually(() => listening.accepted.length === 1 && vi.getTimerCount() === 0);
    vi.advanceTimersByTime(60_000);
    await listener.close();
    peer.send(Buffer.from('still here'));
    await eventually(() => listening.accepted[0]!.receivedLength === 10);
  });
});

describe('TCP over the shared read buffer', () => {
  let plain: Server;
  let accepted: Recorder[] = [];
  beforeEach(async () => {
    accepted = [];
    plain = createServer((socket) =>
      acceptTcp(socket, (stream) => {
        const recorder = new Recorder(stream, true);
        accepted.push(recorder);
        return recorder;
      }),
    ).listen(0, '127.0.0.1');
    await once(plain, 'listening');
  });
  const portOf = () => (plain.address() as { port: number }).port;
  const connections = () => new Promise<number>((resolve) => plain.getConnections((_error, count) => resolve(count)));

  test('the server counts its connections down, and its close calls back', async () => {
    const clients = [silent(portOf()), silent(portOf()), silent(portOf()), silent(portOf())];
    await eventually(() => accepted.length === 4);
    expect(await connections()).toBe(4);
    accepted[0]!.stream.destroy();
    accepted[1]!.stream.end();
    await eventually(() => accepted.filter((recorder) => recorder.isClosed).length === 2);
    expect(await connections()).toBe(2);

    const closed = new Promise<unknown>((resolve) => plain.close(resolve));
    for (const client of clients) client.end();
    expect(await closed).toBeUndefined();
  });

  test('a peer that half-closes and does not read is let go', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const client = connect({ port: portOf(), host: '127.0.0.1', allowHalfOpen: true });
    sockets.push(client);
    client.pause();
    await eventually(() => accepted.length === 1);
    const { stream } = accepted[0]!;
    for (let i = 0; i < 96; i++) stream.write(Buffer.alloc(262_144));
    expect(stream.pendingBytes).toBeGreaterThan(0);
    client.end();
    await eventually(() => vi.getTimerCount() === 1);
    vi.advanceTimersByTime(3_000);
    await eventually(() => accepted[0]!.isClosed);
    expect(accepted[0]!.closes).toEqual([null]);
    plain.close();
  });

  test('where the handle cannot be had the usual events do', async () => {
    const recorders: Recorder[] = [];
    const usual = createServer((socket) => {
      // What a Node without `_handle` would look like from outside.
      const disguised = new Proxy(socket, {
        get(target, name) {
          if (name === '_handle') return null;
          const value = Reflect.get(target, name, target) as unknown;
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
      acceptTcp(disguised, (stream) => {
        const recorder = new Recorder(stream, true);
        recorders.push(recorder);
        stream.pause();
        return recorder;
      });
    }).listen(0, '127.0.0.1');
    await once(usual, 'listening');
    const client = connect((usual.address() as { port: number }).port, '127.0.0.1');
    sockets.push(client);
    client.write('hello');
    await eventually(() => recorders.length === 1);
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    expect(recorders[0]!.receivedLength).toBe(0);
    recorders[0]!.stream.resume();
    const [back] = (await once(client, 'data')) as [Buffer];
    expect(back.toString()).toBe('hello');
    client.end();
    await eventually(() => recorders[0]!.isClosed);
    expect(recorders[0]!.closes).toEqual([null]);
    usual.close();
  });
});
