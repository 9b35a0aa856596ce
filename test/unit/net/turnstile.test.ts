import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { ByteStream } from '../../../src/contracts/transport.ts';
import { listen } from '../../../src/net/listen.ts';
import { strangerBytes, Turnstile } from '../../../src/net/turnstile.ts';

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

test('so many go through in one round, the others in their order in the next ones', () => {
  const { schedule, next } = rounds();
  const turnstile = new Turnstile(3, schedule);
  const served: number[] = [];

  const admitted = [1, 2, 3, 4].map((each) => {
    const isAdmitted = turnstile.admits(1);
    if (!isAdmitted) turnstile.wait(1, () => served.push(each));
    return isAdmitted;
  });
  for (let each = 5; each <= 8; each++) turnstile.wait(1, () => served.push(each));

  expect(admitted).toEqual([true, true, true, false]);
  expect(served).toEqual([]);
  next();
  expect(served).toEqual([4, 5, 6]);
  next();
  expect(served).toEqual([4, 5, 6, 7, 8]);
});

test('nobody goes past those who wait', () => {
  const { schedule, next } = rounds();
  const turnstile = new Turnstile(2, schedule);
  for (let i = 0; i < 5; i++) turnstile.wait(1, () => {});
  next();

  expect(turnstile.admits(1)).toBe(false);
});

test('a cost that exceeds a round has its turn, and then nobody else in that round', () => {
  const { schedule, next } = rounds();
  const turnstile = new Turnstile(10, schedule);
  const served: string[] = [];
  turnstile.wait(25, () => served.push('large'));
  turnstile.wait(1, () => served.push('small'));

  next();
  expect(served).toEqual(['large']);
  next();
  expect(served).toEqual(['large', 'small']);
});

test('rounds are counted only while somebody comes', () => {
  const { schedule, next } = rounds();
  const turnstile = new Turnstile(2, schedule);
  turnstile.admits(1);

  expect(next()).toBe(true);
  expect(next()).toBe(false);
  expect([turnstile.admits(1), turnstile.admits(1), turnstile.admits(1)]).toEqual([true, true, false]);
});

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
  expect(Math.max(...lengths(false))).toBe(strangerBytes);
  expect(Math.max(...lengths(true))).toBeGreaterThan(strangerBytes);
  // The last bytes of the known one came long before the last ones of the others.
  const last = reads.findLastIndex(({ isKnown }) => isKnown);
  expect(last).toBeLessThan(reads.length / 2);
  for (const client of [...clients, known]) client.destroy();
  await expect.poll(() => receivers.size).toBe(0);
  await listener.close();
});

test.each(['speak', 'go'])('of hundreds of strangers that %s at once, a few are served in each round', async (what) => {
  let served = 0;
  let open = 0;
  const inRounds: number[] = [];
  const listener = await listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, () => () => {
    open++;
    const serve = () => void served++;
    return { isStranger: true, onBytes: serve, onDrain: () => {}, onClose: what === 'go' ? serve : () => {} };
  });
  const clients: Socket[] = [];
  for (let i = 0; i < 300; i++) {
    const client = connectTcp(listener.port, '127.0.0.1');
    await once(client, 'connect');
    clients.push(client);
  }
  await expect.poll(() => open).toBe(300);

  for (const client of clients) {
    if (what === 'go') client.destroy();
    else client.write('x');
  }
  for (let before = 0; before < 300; before = served) {
    await new Promise((resolve) => setImmediate(resolve));
    inRounds.push(served - before);
  }

  // What is left of one round, and what the next one has.
  expect(Math.max(...inRounds)).toBeLessThanOrEqual(what === 'go' ? 20 : 96);
  for (const client of clients) client.destroy();
  await listener.close();
});
