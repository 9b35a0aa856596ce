import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { ByteStream } from '../../../src/contracts/transport.ts';
import { listen } from '../../../src/net/listen.ts';
import { strangerBytes, Turnstile } from '../../../src/net/turnstile.ts';
import { optionsOf } from './listening.ts';
import { frame, upgradeRequest } from './web-socket-bytes.ts';

/** Rounds of the event loop, one after the other as the test says. */
function rounds() {
  let scheduled: (() => void)[] = [];
  const next = () => {
    const runs = scheduled;
    scheduled = [];
    for (const run of runs) run();
    return runs.length > 0;
  };
  return { schedule: (run: () => void) => void scheduled.push(run), next };
}

/** A turnstile whose rounds and time the test makes. */
function turnstileOf(perRound: number) {
  const { schedule, next } = rounds();
  let now = 0;
  const turnstile = new Turnstile(perRound, { schedule, clock: () => now });
  const served: string[] = [];
  const step = (name: string, takes = 0) => {
    return () => {
      now += takes;
      served.push(name);
    };
  };
  return { turnstile, served, step, next };
}

test('so many go through in one round, the others in their order in the next ones', () => {
  const { turnstile, served, step, next } = turnstileOf(3);

  const gone = ['a', 'b', 'c', 'd'].map((each) => turnstile.goes(1, step(each)));
  for (const each of ['d', 'e', 'f', 'g', 'h']) turnstile.wait(1, step(each));

  expect(gone).toEqual([true, true, true, false]);
  expect(served.join('')).toBe('abc');
  next();
  expect(served.join('')).toBe('abcdef');
  next();
  expect(served.join('')).toBe('abcdefgh');
});

test('a step that takes longer than it should uses up the time of others', () => {
  const { turnstile, served, step, next } = turnstileOf(3);
  for (const each of ['a', 'b', 'c', 'd']) turnstile.wait(1, step(each, 2));

  next();
  expect(served.join('')).toBe('ab');
  expect(turnstile.goes(1, step('e'))).toBe(false);
  next();
  expect(served.join('')).toBe('abcd');
});

test('a step within a step is counted once', () => {
  const { turnstile, served, step } = turnstileOf(3);
  turnstile.goes(1, () => {
    turnstile.goes(1, step('inner', 2));
  });

  expect([turnstile.goes(1, step('b')), turnstile.goes(1, step('c'))]).toEqual([true, false]);
  expect(served).toEqual(['inner', 'b']);
});

test('nobody goes past those who wait', () => {
  const { turnstile, step, next } = turnstileOf(2);
  for (const each of ['a', 'b', 'c', 'd', 'e']) turnstile.wait(1, step(each));
  next();

  expect(turnstile.goes(1, step('f'))).toBe(false);
});

test('a cost that exceeds a round has its turn, and then nobody else in that round', () => {
  const { turnstile, served, step, next } = turnstileOf(10);
  turnstile.wait(25, step('large'));
  turnstile.wait(1, step('small'));

  next();
  expect(served).toEqual(['large']);
  next();
  expect(served).toEqual(['large', 'small']);
});

test('a step that fails is paid for, and those behind it have their turn', () => {
  const { turnstile, served, step, next } = turnstileOf(1);
  turnstile.wait(1, () => {
    throw new Error('failed');
  });
  turnstile.wait(1, step('b'));

  expect(next).toThrow('failed');
  next();
  expect(served).toEqual(['b']);
});

test('rounds are counted only while somebody comes', () => {
  const { turnstile, step, next } = turnstileOf(2);
  turnstile.goes(1, step('a'));

  expect(next()).toBe(true);
  expect(next()).toBe(false);
  expect(['b', 'c', 'd'].map((each) => turnstile.goes(1, step(each)))).toEqual([true, true, false]);
});

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

test('a client that is known is read in between, and in larger pieces, while a crowd of strangers sends', async () => {
  const bytesEach = 64 * 1024;
  const reads: { isKnown: boolean; length: number }[] = [];
  let missing = 0;
  const receivers = new Map<ByteStream, { isStranger: boolean }>();
  const listener = await listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, () => (stream) => {
    const receiver = {
      isStranger: true,
      onBytes: (bytes: Buffer, start: number, end: number) => {
        // Who says K is known from then on.
        if (bytes[start] === 75) receiver.isStranger = false;
        else reads.push({ isKnown: !receiver.isStranger, length: end - start });
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
  const known = clients.pop()!;
  missing = 1;
  known.write('K');
  await expect.poll(() => missing).toBe(0);

  missing = bytesEach * 51;
  for (const client of clients) client.write(Buffer.alloc(bytesEach, 'x'));
  known.write(Buffer.alloc(bytesEach, 'x'));
  await expect.poll(() => missing).toBe(0);

  const lengths = (isKnown: boolean) => reads.filter((read) => read.isKnown === isKnown).map(({ length }) => length);
  // Two reads, where the first was a short one.
  expect(Math.max(...lengths(false))).toBeLessThan(2 * strangerBytes);
  expect(Math.max(...lengths(true))).toBeGreaterThan(strangerBytes);
  // The last bytes of the known one came long before the last ones of the others.
  const last = reads.findLastIndex(({ isKnown }) => isKnown);
  expect(last).toBeLessThan(reads.length / 2);
  for (const client of [...clients, known]) client.destroy();
  await expect.poll(() => receivers.size).toBe(0);
  await listener.close();
});

test.each([
  ['tcp', 'speak', 96],
  ['tcp', 'go', 20],
  ['ws', 'speak', 96],
  ['ws', 'begin', 10],
] as const)(
  'of hundreds of strangers over %s that %s at once, a few are served in each round',
  async (kind, what, most) => {
    let served = 0;
    let open = 0;
    const inRounds: number[] = [];
    const listener = await listen(optionsOf(kind, noTls), () => () => {
      open++;
      if (what === 'begin') served++;
      const serve = () => void served++;
      return { isStranger: true, onBytes: serve, onDrain: () => {}, onClose: what === 'go' ? serve : () => {} };
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
  'what strangers say over %s while they wait arrives whole and in order',
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
      return { isStranger: true, onBytes, onDrain: () => {}, onClose: () => {} };
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
      await expect.poll(() => heard(client).length, { timeout: 20_000 }).toBe(whole.length);
      expect(heard(client).equals(whole)).toBe(true);
    }
    for (const client of clients) client.destroy();
    await listener.close();
  },
);
