/**
 * What every transport promises in `contracts/transport.ts`, whatever it is made of.
 */
import { createHash, randomFillSync } from 'node:crypto';
import { Socket } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import type { Accept, Listener } from '../../../src/contracts/transport.ts';
import type { ListenerOptions } from '../../../src/net/options.ts';
import { eventually } from './eventually.ts';
import { behindProxy, framed, kinds, optionsOf, type Recorder } from './listening.ts';
import { Peer } from './peer.ts';
import { headerV2 } from './proxy-headers.ts';
import { listenerTests } from './setup.ts';

const { listening, sockets, server: tls } = listenerTests();

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
/** 24 MiB. */
const blocksThatFill = 96;
const random = (length: number) => randomFillSync(Buffer.alloc(length));

const header = headerV2({ source: '192.0.2.7', port: 50_000 });

describe.each([
  ...[...kinds, 'unix' as const].map((kind) => ({ kind, title: kind, others: {}, behind: undefined })),
  { kind: 'tcp', title: 'tcp behind a proxy', others: behindProxy, behind: { header, cut: header.length } },
  { kind: 'wss', title: 'wss behind a proxy', others: behindProxy, behind: { header, cut: header.length } },
] as const)('over $title', ({ kind, others, behind }) => {
  const open = (accept?: Accept) => listening.open(optionsOf(kind, tls, others), accept);

  async function connect(listener: Listener): Promise<Peer> {
    const peer = await Peer.open(listener, behind === undefined ? {} : { behind });
    sockets.push(peer.raw);
    // A header alone says nothing yet; what follows it is the test's.
    if (behind !== undefined && kind === 'tcp') peer.send(Buffer.alloc(0));
    return peer;
  }

  /** A connection and its two ends. */
  async function pair(accept?: Accept): Promise<{ peer: Peer; recorder: Recorder; listener: Listener }> {
    const listener = await open(accept);
    const peer = await connect(listener);
    await eventually(() => listening.accepted.length === 1);
    return { peer, recorder: listening.accepted[0]!, listener };
  }

  /** There and back over another connection of the same process: what was on its way has arrived. */
  async function roundTrip(listener: Listener): Promise<void> {
    const count = listening.accepted.length;
    const peer = await connect(listener);
    peer.send(Buffer.from('there'));
    await eventually(() => (listening.accepted[count]?.receivedLength ?? 0) === 5);
    const { stream } = listening.accepted[count]!;
    stream.write(framed(stream, Buffer.from('back')));
    await peer.received(4);
  }

  /** Writes more than the kernel's buffers hold, while the peer does not read. */
  function fill({ stream }: Recorder): Buffer {
    const block = random(262_144);
    for (let i = 0; i < blocksThatFill; i++) stream.write(framed(stream, block));
    expect(stream.pendingBytes).toBeGreaterThan(0);
    return Buffer.concat(Array<Buffer>(blocksThatFill).fill(block));
  }

  test('bytes arrive whole and in order, both ways', async () => {
    const { peer, recorder } = await pair((stream) => listening.record(stream, true));
    const sent = random(3_000_000);
    for (let from = 0, size = 1; from < sent.length; from += size, size = (size * 7 + 3) % 90_001) {
      peer.send(sent.subarray(from, from + size));
    }
    const back = await peer.received(sent.length);
    expect(digest(recorder.received)).toBe(digest(sent));
    expect(digest(back)).toBe(digest(sent));
  });

  test('two connections that read at a time do not see each other', async () => {
    const listener = await open((stream) => listening.record(stream, true));
    const both = await Promise.all([connect(listener), connect(listener)]);
    const sent = both.map(() => random(500_000));
    for (let from = 0; from < 500_000; from += 10_000) {
      for (const [i, peer] of both.entries()) peer.send(sent[i]!.subarray(from, from + 10_000));
    }
    const back = await Promise.all(both.map((peer) => peer.received(500_000)));
    expect(back.map(digest)).toEqual(sent.map(digest));
  });

  test('names itself and its peer', async () => {
    const { peer, recorder, listener } = await pair();
    expect(recorder.stream.kind).toBe(kind);
    if (kind === 'unix') {
      expect(recorder.stream.remoteAddress).toMatch(/^unix:\d+$/);
      expect(listener).toMatchObject({ kind, port: 0, url: `unix://${listener.host}` });
      return;
    }
    const itself = `127.0.0.1:${peer.raw.localPort}`;
    expect(recorder.stream.remoteAddress).toBe(behind === undefined ? itself : '192.0.2.7:50000');
    const urls = {
      tcp: 'mqtt://127.0.0.1:',
      tls: 'mqtts://127.0.0.1:',
      ws: 'ws://127.0.0.1:',
      wss: 'wss://127.0.0.1:',
    };
    const path = kind === 'ws' || kind === 'wss' ? '/mqtt' : '';
    expect(listener).toMatchObject({ kind, host: '127.0.0.1', url: `${urls[kind]}${listener.port}${path}` });
  });

  test('pause stops the reading, also from within accept, and resume goes on', async () => {
    const { peer, recorder, listener } = await pair((stream) => {
      if (listening.accepted.length === 0) stream.pause();
      return listening.record(stream);
    });
    const sent = random(16_000_000);
    for (let from = 0; from < sent.length; from += 250_000) peer.send(sent.subarray(from, from + 250_000));
    await roundTrip(listener);
    await roundTrip(listener);
    expect(recorder.receivedLength).toBe(0);

    recorder.stream.resume();
    await eventually(() => recorder.receivedLength > 0);
    recorder.stream.pause();
    // What had been read before comes yet: until nothing does, or all has.
    for (let then = -1; then !== recorder.receivedLength; await roundTrip(listener)) then = recorder.receivedLength;
    expect(recorder.receivedLength).toBeLessThan(sent.length);

    recorder.stream.resume();
    recorder.stream.pause();
    recorder.stream.resume();
    await eventually(() => recorder.receivedLength === sent.length);
    expect(digest(recorder.received)).toBe(digest(sent));
  });

  // A Unix-domain socket, which has no port to find it by, is read in the same way as one of TCP.
  test.skipIf(kind === 'unix')(
    'of a stream that is paused nothing is read ahead, which nobody would count',
    async () => {
      const setNoDelay = vi.spyOn(Socket.prototype, 'setNoDelay');
      const { peer, recorder, listener } = await pair();
      const own = (setNoDelay.mock.contexts as Socket[]).find(({ remotePort }) => remotePort === peer.raw.localPort)!;
      setNoDelay.mockRestore();
      recorder.stream.pause();
      await roundTrip(listener);
      const { bytesRead } = own;

      peer.send(Buffer.alloc(10_000, 'x'));
      await roundTrip(listener);
      expect(own.bytesRead).toBe(bytesRead);

      recorder.stream.resume();
      await eventually(() => recorder.receivedLength === 10_000);
      expect(own.bytesRead).toBeGreaterThan(bytesRead);
    },
  );

  test('a drain is announced once, when nothing is pending, whatever was written meanwhile', async () => {
    const { peer, recorder } = await pair();
    const { stream } = recorder;
    peer.pause();
    const first = fill(recorder);
    // Small ones behind the mark, and turns of the event loop between them.
    const more: Buffer[] = [];
    for (let i = 0; i < 20; i++) {
      const small = random(100);
      more.push(small);
      stream.write(framed(stream, small));
      await new Promise(setImmediate);
    }
    expect(stream.pendingBytes).toBeGreaterThan(0);
    expect(recorder.drains).toEqual([]);

    peer.resume();
    const all = Buffer.concat([first, ...more]);
    expect(digest(await peer.received(all.length))).toBe(digest(all));
    await eventually(() => recorder.drains.length > 0);
    expect(recorder.drains).toEqual([0]);
  });

  test('each time that bytes were pending ends in a drain', async () => {
    const { peer, recorder } = await pair();
    const { stream } = recorder;
    let written = 0;
    for (let round = 0; round < 300; round++) {
      const drainsBefore = recorder.drains.length;
      for (let i = 0; i <= round % 3; i++) {
        stream.write(framed(stream, random(1 + ((round * 7_919) % 40_000))));
        written += 1 + ((round * 7_919) % 40_000);
      }
      if (stream.pendingBytes > 0) await eventually(() => recorder.drains.length > drainsBefore);
      else if (round % 10 === 0) await new Promise(setImmediate);
    }
    await peer.received(written);
    expect(recorder.drains.every((pending) => pending === 0)).toBe(true);
  });

  test('memory may be used again as soon as nothing is pending', async () => {
    const { peer, recorder } = await pair();
    const { stream } = recorder;
    const blockLength = 20_000;
    const aBlock = () => framed(stream, Buffer.alloc(blockLength));
    let memory = aBlock();
    const start = memory.length - blockLength;
    peer.pause();
    for (let block = 0; block < 250; block++) {
      memory.fill(block, start);
      stream.write(memory);
      if (stream.pendingBytes > 0) memory = aBlock();
      if (block === 200) peer.resume();
      if (block % 5 === 0) await new Promise(setImmediate);
    }
    memory.fill(255);
    const all = await peer.received(250 * blockLength);
    for (let block = 0; block < 250; block++) {
      const part = all.subarray(block * blockLength, (block + 1) * blockLength);
      expect(
        part.every((byte) => byte === block),
        `block ${block}`,
      ).toBe(true);
    }
  });

  test('what the peer sent before it closed is delivered; its end is no error', async () => {
    const { peer, recorder } = await pair();
    const sent = random(700_000);
    peer.send(sent);
    peer.end();
    await eventually(() => recorder.isClosed);
    expect(digest(recorder.received)).toBe(digest(sent));
    expect(recorder.closes).toEqual([null]);
  });

  test.runIf(kind === 'tcp')('what is written before the peer closes its side still reaches it', async () => {
    const { peer, recorder } = await pair();
    peer.pause();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const sent = fill(recorder);
    peer.send(Buffer.from('last'));
    peer.end();
    await eventually(() => recorder.receivedLength === 4);
    peer.resume();
    expect(digest(await peer.received())).toBe(digest(sent));
    await eventually(() => recorder.isClosed);
    expect(recorder.closes).toEqual([null]);
  });

  test.skipIf(kind === 'unix')('a reset by the peer is an error', async () => {
    const { peer, recorder } = await pair();
    peer.reset();
    await eventually(() => recorder.isClosed);
    expect(recorder.closes).toEqual([expect.objectContaining({ code: 'ECONNRESET' })]);
  });

  test('a reset while the output is full closes as well', async () => {
    const { peer, recorder } = await pair();
    peer.pause();
    fill(recorder);
    peer.reset();
    await eventually(() => recorder.isClosed);
    expect(recorder.closes).toEqual([expect.any(Error)]);
  });

  test('end sends everything first', async () => {
    const { peer, recorder } = await pair();
    peer.pause();
    const sent = fill(recorder);
    // However long a busy machine takes: the few seconds that a peer has are another test's.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    recorder.stream.end();
    recorder.stream.end();
    peer.resume();
    expect(digest(await peer.received())).toBe(digest(sent));
    await eventually(() => recorder.isClosed);
    expect(recorder.closes).toEqual([null]);
  });

  test('end closes a paused stream too', async () => {
    const { peer, recorder } = await pair();
    recorder.stream.pause();
    peer.send(random(10_000));
    recorder.stream.end();
    await eventually(() => recorder.isClosed && peer.isClosed);
    expect(recorder.closes).toEqual([null]);
  });

  test('end gives a peer that does not read a few seconds only', async () => {
    const { peer, recorder, listener } = await pair();
    peer.pause();
    fill(recorder);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    recorder.stream.end();
    // The stream ends when its turn comes, and its time begins then.
    await eventually(() => vi.getTimerCount() > 0);
    vi.advanceTimersByTime(2_900);
    await roundTrip(listener);
    expect(recorder.closes).toEqual([]);
    vi.advanceTimersByTime(100);
    await eventually(() => recorder.isClosed);
    expect(recorder.closes).toEqual([null]);
  });

  test('destroy closes at once, and nothing is called after onClose, which is called once', async () => {
    const { peer, recorder, listener } = await pair();
    const { stream } = recorder;
    peer.pause();
    fill(recorder);
    peer.send(random(100_000));
    stream.destroy();
    stream.destroy();
    stream.end();
    await eventually(() => recorder.isClosed);
    stream.write(framed(stream, Buffer.from('late')));
    stream.pause();
    stream.resume();
    stream.end();
    await roundTrip(listener);
    expect(recorder.closes).toEqual([null]);
    expect(recorder.afterClose).toBe(0);
    peer.resume();
    await eventually(() => peer.isClosed);
  });

  test('writing while the peer closes is no error', async () => {
    const { peer, recorder } = await pair();
    const answering = recorder.stream;
    peer.end();
    while (!recorder.isClosed) {
      answering.write(Buffer.from('are you there?'));
      // Between all the steps in which a socket closes: ticks, promises, turns.
      await Promise.resolve();
      answering.write(Buffer.from('are you there?'));
      await new Promise((resolve) => process.nextTick(resolve));
      answering.write(Buffer.from('are you there?'));
      await new Promise(setImmediate);
    }
    expect(recorder.closes).toEqual([null]);
    expect(recorder.afterClose).toBe(0);
  });

  test('a connection that is refused is closed', async () => {
    const listener = await open(() => null);
    const peer = await connect(listener);
    await eventually(() => peer.isClosed);
  });

  test('closing the listener frees the port and leaves its connections', async () => {
    const { peer, listener } = await pair((stream) => listening.record(stream, true));
    await listener.close();
    await listener.close();
    const successor = await listening.open({
      ...optionsOf(kind, tls, { ...others, port: listener.port }),
      ...(kind === 'unix' ? { socket: listener.host } : {}),
    } as ListenerOptions);
    expect(successor.port).toBe(listener.port);
    peer.send(Buffer.from('still here'));
    expect((await peer.received(10)).toString()).toBe('still here');
  });

  test('a taken port is said in one line that helps', async () => {
    const { port, host } = await open();
    if (kind === 'unix') {
      const how = 'another process listens there; give the unix listener another "socket", or stop that process';
      const again = listening.open({ kind, socket: host, mode: '600' });
      await expect(again).rejects.toMatchObject({ message: `Cannot listen on ${host}: ${how}` });
      return;
    }
    const another = kind === 'tcp' ? 'choose another with --port' : `give the ${kind} listener another "port"`;
    await expect(listening.open(optionsOf(kind, tls, { ...others, port }))).rejects.toMatchObject({
      message: `Cannot listen on 127.0.0.1:${port}: the port is taken by another process; ${another}, or stop that process`,
      cause: { code: 'EADDRINUSE' },
    });
  });
});
