import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { eventLoop, type Share } from '../../../src/base/scheduler.ts';
import type { ByteStream } from '../../../src/contracts/transport.ts';
import { listen } from '../../../src/net/listen.ts';
import { optionsOf } from './listening.ts';
import { frame, upgradeRequest } from './web-socket-bytes.ts';

const { unauthenticated } = eventLoop;
/** What is read of a connection at one time before it is authenticated. */
const smallRead = 4_096;
const noTls = { certFile: '', keyFile: '' };

async function connected(port: number): Promise<Socket> {
  const client = connectTcp(port, '127.0.0.1');
  await once(client, 'connect');
  return client;
}

/** Can say something that is MQTT. */
async function begun(kind: 'tcp' | 'ws', port: number): Promise<Socket> {
  const client = await connected(port);
  if (kind === 'tcp') return client;
  client.write(upgradeRequest);
  await once(client, 'data');
  return client;
}

const said = (kind: 'tcp' | 'ws', bytes: Buffer) => (kind === 'tcp' ? bytes : frame(bytes));

test('of an authenticated client more is read at a time than of others', async () => {
  const bytesEach = 64 * 1024;
  const known = eventLoop.share();
  const reads: { isKnown: boolean; length: number }[] = [];
  let missing = 0;
  const receivers = new Map<ByteStream, { share: Share }>();
  const listener = await listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, () => (stream) => {
    const receiver = {
      share: unauthenticated as Share,
      onBytes: (bytes: Buffer, start: number, end: number) => {
        // Who says K is known from then on.
        if (bytes[start] === 75) receiver.share = known;
        else reads.push({ isKnown: receiver.share === known, length: end - start });
        missing -= end - start;
      },
      onDrain: () => {},
      onClose: () => void receivers.delete(stream),
    };
    receivers.set(stream, receiver);
    return receiver;
  });
  const clients: Socket[] = [];
  for (let i = 0; i < 51; i++) {
    const client = connectTcp(listener.port, '127.0.0.1');
    await once(client, 'connect');
    clients.push(client);
  }
  const client = clients.pop()!;
  missing = 1;
  client.write('K');
  await expect.poll(() => missing).toBe(0);

  missing = bytesEach * 51;
  for (const each of clients) each.write(Buffer.alloc(bytesEach, 'x'));
  client.write(Buffer.alloc(bytesEach, 'x'));
  await expect.poll(() => missing).toBe(0);

  const lengths = (isKnown: boolean) => reads.filter((read) => read.isKnown === isKnown).map(({ length }) => length);
  // Two reads, where the first was a short one.
  expect(Math.max(...lengths(false))).toBeLessThan(2 * smallRead);
  expect(Math.max(...lengths(true))).toBeGreaterThan(smallRead);
  for (const each of [...clients, client]) each.destroy();
  await expect.poll(() => receivers.size).toBe(0);
  await listener.close();
});

test.each([
  ['tcp', 'speak', 96],
  ['tcp', 'go', 20],
  ['ws', 'speak', 96],
  ['ws', 'begin', 10],
] as const)(
  'of hundreds of unauthenticated connections over %s that %s at once, a few are served in each round',
  async (kind, what, most) => {
    let served = 0;
    let open = 0;
    const inRounds: number[] = [];
    const listener = await listen(optionsOf(kind, noTls), () => () => {
      open++;
      if (what === 'begin') served++;
      const serve = () => void served++;
      return { share: unauthenticated, onBytes: serve, onDrain: () => {}, onClose: what === 'go' ? serve : () => {} };
    });
    const clients: Socket[] = [];
    for (let i = 0; i < 300; i++)
      clients.push(await (what === 'begin' ? connected(listener.port) : begun(kind, listener.port)));
    await expect.poll(() => open).toBe(what === 'begin' ? 0 : 300);

    for (const client of clients) {
      if (what === 'go') client.destroy();
      else if (what === 'begin') client.write(upgradeRequest);
      else client.write(said(kind, Buffer.from('x')));
    }
    for (let before = 0; before < 300; before = served) {
      await new Promise((resolve) => setImmediate(resolve));
      inRounds.push(served - before);
    }

    // What is left of one round, and what the next one has.
    expect(Math.max(...inRounds)).toBeLessThanOrEqual(most);
    for (const client of clients) client.destroy();
    await listener.close();
  },
);

test.each(['tcp', 'ws'] as const)(
  'what is sent over %s before authentication while others are served arrives whole and in order',
  async (kind) => {
    const all = new Map<string, Buffer[]>();
    const listener = await listen(optionsOf(kind, noTls), () => (stream) => {
      const parts: Buffer[] = [];
      all.set(stream.remoteAddress, parts);
      const onBytes = (bytes: Buffer, start: number, end: number) => {
        parts.push(Buffer.from(bytes.subarray(start, end)));
        // So long that nearly everybody has to wait for a later round.
        for (const until = performance.now() + 0.3; performance.now() < until; );
      };
      return { share: unauthenticated, onBytes, onDrain: () => {}, onClose: () => {} };
    });
    const clients: Socket[] = [];
    for (let i = 0; i < 40; i++) clients.push((await begun(kind, listener.port)).setNoDelay(true));
    const pieces = (i: number) =>
      [100, 300, 900, 3_000, 5_000].map((length, at) => Buffer.alloc(length, `${i}.${at} `));

    for (let at = 0; at < 5; at++) {
      // Two in one read as well.
      const halves = (piece: Buffer) => [piece.subarray(0, 50), piece.subarray(50)].map((half) => said(kind, half));
      for (const [i, client] of clients.entries()) client.write(Buffer.concat(halves(pieces(i)[at]!)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const heard = (client: Socket) => Buffer.concat(all.get(`127.0.0.1:${client.localPort}`)!);
    for (const [i, client] of clients.entries()) {
      const whole = Buffer.concat(pieces(i));
      await expect.poll(() => heard(client).length).toBe(whole.length);
      expect(heard(client).equals(whole)).toBe(true);
    }
    for (const client of clients) client.destroy();
    await listener.close();
  },
);
