/**
 * Listeners behind a proxy: whose header counts, what comes with it, and what happens to connections without one.
 */
import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import { Handshakes } from '../../../src/net/handshakes.ts';
import { ListenerLog } from '../../../src/net/listener-log.ts';
import { ProxyGate } from '../../../src/net/proxy-gate.ts';
import { eventually } from './eventually.ts';
import { behindProxy, kinds, optionsOf } from './listening.ts';
import { Peer, type PeerOptions } from './peer.ts';
import { headerV1, headerV2 } from './proxy-headers.ts';
import { listenerTests } from './setup.ts';

const { listening, sockets, server } = listenerTests();

/** A client that connects and sends this. */
function sending(port: number, bytes: Buffer | string): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {}).resume();
  socket.write(bytes);
  sockets.push(socket);
  return socket;
}

const v1 = headerV1('TCP4 192.0.2.7 198.51.100.1 50000 1883');
const v2 = headerV2({ source: '2001:db8::7', port: 50_000, tlvs: Buffer.from('0300040000000004000101', 'hex') });

describe.each(kinds)('%s behind a proxy', (kind) => {
  const open = (others = behindProxy) =>
    listening.open(optionsOf(kind, server, others), (stream) => listening.record(stream, true));

  /** The address that the stream has, once bytes have gone there and back. */
  async function greeted(port: Parameters<typeof Peer.open>[0], options: PeerOptions): Promise<string> {
    const count = listening.accepted.length;
    const peer = await Peer.open(port, options);
    sockets.push(peer.raw);
    peer.send(Buffer.from('hello'));
    expect((await peer.received(5)).toString()).toBe('hello');
    peer.raw.destroy();
    return listening.accepted[count]!.stream.remoteAddress;
  }

  test.each([
    ['1', v1, '192.0.2.7:50000'],
    ['2', v2, '2001:db8::7:50000'],
  ])(
    'the header, version %s, is read however it is cut, and what comes with it arrives',
    async (_version, header, from) => {
      const listener = await open();
      for (let cut = 1; cut <= header.length + 3; cut++) {
        expect(await greeted(listener, { behind: { header, cut } }), `cut at ${cut}`).toBe(from);
      }
      expect(listening.warnings).toEqual([]);
    },
  );

  test('a proxy that speaks for itself, or does not know, is the client', async () => {
    const listener = await open();
    const local = headerV2({ command: 0x20, family: 0, addresses: Buffer.alloc(0) });
    for (const header of [local, headerV1('UNKNOWN')]) {
      expect(await greeted(listener, { behind: { header, cut: 1 } })).toMatch(/^127\.0\.0\.1:\d+$/);
    }
  });

  test('who is no trusted proxy is refused, with a header and without', async () => {
    const listener = await open({ proxyProtocol: true, trustedProxies: ['192.0.2.1', '10.0.0.0/8'] });
    const withHeader = sending(listener.port, v1);
    await eventually(() => withHeader.closed);
    listening.expectRefusal(listener, /^its address is not in trustedProxies$/);
    const without = connect(listener.port, '127.0.0.1').on('error', () => {});
    sockets.push(without);
    await eventually(() => without.closed);
    expect(listening.accepted).toEqual([]);
    expect(listening.warnings).toEqual([
      expect.stringMatching(/^a connection from 127\.0\.0\.1:\d+ was refused: its address is not in trustedProxies$/),
    ]);
  });

  test.each([
    ['MQTT', Buffer.from('100c00044d515454040200000000', 'hex')],
    ['TLS', Buffer.from('160301020001', 'hex')],
    ['HTTP', Buffer.from('GET /mqtt HTTP/1.1\r\n')],
    ['a header that breaks off', Buffer.from('PROXY TCP4 192.0.2.7\r\n')],
  ])('a trusted proxy that sends %s first is refused', async (_what, bytes) => {
    const listener = await open();
    const socket = sending(listener.port, bytes);
    await eventually(() => socket.closed);
    expect(listening.accepted).toEqual([]);
    expect(listening.warnings).toEqual([
      expect.stringMatching(/^a connection from 127\.0\.0\.1:\d+ was refused: .*PROXY header/),
    ]);
    listening.expectRefusal(listener, /PROXY header/);
  });

  test('a header that does not come to its end is timed with the rest of the handshake', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const listener = await open({ ...behindProxy, handshakeTimeoutSeconds: 7 });
    const slow = sending(listener.port, v2.subarray(0, 20));
    await eventually(() => vi.getTimerCount() > 0);
    vi.advanceTimersByTime(6_900);
    slow.write(v2.subarray(20, 21));
    vi.advanceTimersByTime(99);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(1);
    await eventually(() => slow.closed && vi.getTimerCount() === 0);
    expect(listening.accepted).toEqual([]);
  });

  test('closing before the end of the header is no matter, and is forgotten', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const listener = await open();
    for (const end of [0, 1, 20]) {
      const probe = sending(listener.port, v2.subarray(0, end));
      await eventually(() => vi.getTimerCount() === 1);
      probe.end();
      await eventually(() => probe.closed && vi.getTimerCount() === 0);
      const reset = sending(listener.port, v2.subarray(0, end));
      await eventually(() => vi.getTimerCount() === 1);
      reset.resetAndDestroy();
      await eventually(() => vi.getTimerCount() === 0);
    }
    expect(listening.warnings).toEqual([]);
  });

  test('closing the listener ends those that wait for their header', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const listener = await open();
    const waiting = sending(listener.port, v1.subarray(0, 10));
    await eventually(() => vi.getTimerCount() > 0);
    await listener.close();
    await eventually(() => waiting.closed && vi.getTimerCount() === 0);
  });

  test('a thousand half-sent headers are open at a time, and no more', async () => {
    const listener = await open();
    // As many TLVs as may be said, of which nothing is kept.
    const header = headerV2({ tlvs: Buffer.alloc(4_000) });
    let closed = 0;
    for (let i = 0; i < 1_003; i++) sending(listener.port, header.subarray(0, -1)).on('close', () => closed++);
    await eventually(() => closed === 3);
    expect(listening.warnings).toEqual([
      '1000 clients are in their handshake, as many as there may be: some are turned away',
    ]);
    expect(listening.accepted).toEqual([]);
  });
});

test.each(['tls', 'ws', 'wss'] as const)(
  '%s: a client that has all handshakes through the proxy keeps no other one out',
  async (kind) => {
    const listener = await listening.open(optionsOf(kind, server, behindProxy));
    const flood: Socket[] = [];
    for (let i = 0; i < 1_000; i++) flood.push(sending(listener.port, headerV2({ source: '192.0.2.7', port: i })));
    await eventually(() => flood.every((socket) => socket.readyState === 'open' && socket.writableLength === 0));
    const header = headerV2({ source: '192.0.2.8', port: 1 });
    const peer = await Peer.open(listener, { behind: { header, cut: header.length } });
    sockets.push(peer.raw);
    peer.send(Buffer.from('hello'));
    await eventually(() => listening.accepted[0]?.receivedLength === 5);
    await eventually(() => flood.some((socket) => socket.closed));
    expect(flood.filter((socket) => socket.closed)).toHaveLength(1);
  },
);

describe('a proxy that terminates HTTP', () => {
  const open = (others: object) => listening.open(optionsOf('ws', server, others));

  async function from(listener: Awaited<ReturnType<typeof open>>, options: PeerOptions): Promise<string> {
    const count = listening.accepted.length;
    const peer = await Peer.open(listener, options);
    sockets.push(peer.raw);
    await eventually(() => listening.accepted.length > count);
    return listening.accepted[count]!.stream.remoteAddress;
  }

  test('tells the client by X-Forwarded-For, if it is trusted', async () => {
    const headers = { 'X-Forwarded-For': '1.2.3.4, 192.0.2.7' };
    expect(await from(await open({ trustedProxies: ['127.0.0.0/8'] }), { headers })).toBe('192.0.2.7:0');
    const untrusting = [await open({}), await open({ trustedProxies: ['10.0.0.5'] })];
    for (const listener of untrusting) expect(await from(listener, { headers })).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  test('is told by a PROXY header itself, if another one stands before it', async () => {
    const listener = await open({ proxyProtocol: true, trustedProxies: ['127.0.0.1', '10.0.0.0/8'] });
    const headers = { 'X-Forwarded-For': '192.0.2.7, 10.0.0.6' };
    const behind = (source: string) => ({ header: headerV2({ source, port: 5 }), cut: 1 });
    expect(await from(listener, { behind: behind('10.0.0.5'), headers })).toBe('192.0.2.7:0');
    expect(await from(listener, { behind: behind('203.0.113.9'), headers })).toBe('203.0.113.9:5');
  });

  test('may say so in several headers', async () => {
    const listener = await open({ trustedProxies: ['127.0.0.1'] });
    const socket = sending(
      listener.port,
      'GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n' +
        'X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 192.0.2.8\r\n\r\n',
    );
    await once(socket, 'connect');
    await eventually(() => listening.accepted.length === 1);
    expect(listening.accepted[0]!.stream.remoteAddress).toBe('192.0.2.8:0');
  });
});

test('a check whether somebody listens, which resets its connection before it is looked at, is not worth a word', () => {
  const { log, warnings } = listening;
  const listenerLog = new ListenerLog(log, null);
  const gate = new ProxyGate(['127.0.0.1'], new Handshakes(1, 1, listenerLog), listenerLog);
  // Nobody knows any more where it came from.
  const gone = new Socket();
  expect(gone.remoteAddress).toBe(undefined);
  expect(gate.admit(gone)).toBe(null);
  expect(gone.destroyed).toBe(true);
  expect(warnings).toEqual([]);
});

describe.each(kinds)('%s', (kind) => {
  test.each([
    ['', {}],
    ['behind a proxy', behindProxy],
  ])('a bug in what begins with a connection costs that connection, and nobody else %s', async (_, others) => {
    let isBroken = true;
    const listener = await listening.open(optionsOf(kind, server, others), (stream) => {
      if (isBroken) throw new Error('a bug that the test has planted');
      return listening.record(stream, true);
    });
    const options = others === behindProxy ? { behind: { header: v1, cut: v1.length } } : {};

    const unlucky = await Peer.open(listener, options).catch(() => null);
    if (unlucky !== null) {
      unlucky.send(Buffer.from('hello'));
      await eventually(() => unlucky.raw.destroyed);
    }
    isBroken = false;
    const peer = await Peer.open(listener, options);
    sockets.push(peer.raw);
    peer.send(Buffer.from('hello'));

    expect((await peer.received(5)).toString()).toBe('hello');
    expect(listening.warnings).toEqual([expect.stringContaining('a bug that the test has planted')]);
  });
});
