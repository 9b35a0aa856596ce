import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { expect, test, vi } from 'vitest';
import { eventLoop } from '../../../src/base/scheduler.ts';
import type { ByteStream } from '../../../src/contracts/transport.ts';
import { listen } from '../../../src/net/listen.ts';
import { ReadingWindow, readingWindow } from '../../../src/net/reading-window.ts';
import { SocketStream } from '../../../src/net/socket-stream.ts';

/** A window whose time the test makes: `next` is when others are read, or false if nobody waits for that. */
function windowOf(places: number) {
  const timers: { milliseconds: number; run: () => void }[] = [];
  const rounds: (() => void)[] = [];
  const window = new ReadingWindow(places, 8, {
    after: (milliseconds, run) => void timers.push({ milliseconds, run }),
    schedule: (run) => void rounds.push(run),
  });
  const read = new Set<string>();
  const readers = new Map<string, { startReading(): void; stopReading(): void }>();
  const reader = (name: string) => {
    if (!readers.has(name)) {
      readers.set(name, { startReading: () => void read.add(name), stopReading: () => void read.delete(name) });
    }
    return readers.get(name)!;
  };
  const enter = (names: string) => {
    for (const name of names) {
      window.enter(reader(name));
      read.add(name);
    }
  };
  const leave = (name: string) => {
    window.leave(reader(name));
    read.delete(name);
  };
  const next = () => {
    const timer = timers.shift();
    timer?.run();
    return timer?.milliseconds ?? false;
  };
  const round = () => rounds.shift()?.();
  return { enter, leave, next, round, read: () => [...read].sort().join('') };
}

test('while there is room everybody is read', () => {
  const { enter, next, read } = windowOf(4);
  enter('abcd');

  expect(next()).toBe(false);
  expect(read()).toBe('abcd');
});

test('a new one is read in place of the one that has been read for the longest time', () => {
  const { enter, read } = windowOf(4);
  enter('abcde');
  expect(read()).toBe('bcde');
  enter('f');
  expect(read()).toBe('cdef');
});

test('those that had to make room are read again in their order, a quarter of the window at a time', () => {
  const { enter, next, read } = windowOf(8);
  enter('abcdefghijkl');
  expect(read()).toBe('efghijkl');

  expect(next()).toBe(2);
  expect(read()).toBe('abghijkl');
  expect(next()).toBe(2);
  expect(read()).toBe('abcdijkl');
  next();
  expect(read()).toBe('abcdefkl');
});

test('room that gets free is for the first of those that wait', () => {
  const { enter, leave, round, read } = windowOf(4);
  enter('abcdef');
  leave('c');
  round();
  expect(read()).toBe('adef');
  leave('d');
  round();
  expect(read()).toBe('abef');
});

test('when much room gets free, a quarter of the window is filled in each round', () => {
  const { enter, leave, round, read } = windowOf(8);
  enter('abcdefghijklmnop');
  for (const name of 'ijklmnop') leave(name);
  expect(read()).toBe('');

  const seen = Array.from({ length: 5 }, () => {
    round();
    return read();
  });
  expect(seen).toEqual(['ab', 'abcd', 'abcdef', 'abcdefgh', 'abcdefgh']);
});

test('one that leaves while it waits is not called any more, and then nobody looks at the clock', () => {
  const { enter, leave, next, read } = windowOf(2);
  enter('abc');
  leave('a');

  expect(next()).toBe(2);
  expect(read()).toBe('bc');
  expect(next()).toBe(false);
});

test('among hundreds of connections that send nothing a new one is heard, and each of them when it sends', async () => {
  const heard: string[] = [];
  const listener = await listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, () => () => ({
    share: eventLoop.unauthenticated,
    onBytes: (bytes, start, end) => void heard.push(bytes.toString('latin1', start, end)),
    onDrain: () => {},
    onClose: () => {},
  }));
  const connect = async () => {
    const client = connectTcp(listener.port, '127.0.0.1');
    await once(client, 'connect');
    return client;
  };
  const silent = await Promise.all(Array.from({ length: 300 }, connect));
  const newcomer = await connect();
  newcomer.write('new');
  await expect.poll(() => heard).toEqual(['new']);

  const received = vi.spyOn(SocketStream.prototype, 'received');
  for (const [i, client] of silent.entries()) client.write(String(i));
  let most = 0;
  for (let before = 0; heard.length < 301; before = received.mock.calls.length) {
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, received.mock.calls.length - before);
  }
  received.mockRestore();
  // Those in the window, and those that come into it meanwhile.
  expect(most).toBeLessThan(150);
  expect(new Set(heard.slice(1))).toEqual(new Set(silent.map((_, i) => String(i))));
  for (const client of [...silent, newcomer]) client.destroy();
  await listener.close();
});

test('a connection that is authenticated makes room for no other', async () => {
  const streams: ByteStream[] = [];
  let isKnown = false;
  const listener = await listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, () => (stream) => {
    streams.push(stream);
    const receiver = { share: eventLoop.unauthenticated, onDrain: () => {}, onClose: () => {} };
    const onBytes = () => {
      isKnown = true;
      receiver.share = eventLoop.share();
    };
    return Object.assign(receiver, { onBytes });
  });
  const client = connectTcp(listener.port, '127.0.0.1');
  client.write('it is me');
  await expect.poll(() => isKnown).toBe(true);
  // Not before: until then it may have had to make room for those whom other tests have left.
  const stopReading = vi.spyOn(SocketStream.prototype, 'stopReading');
  const crowd = Array.from({ length: 100 }, () => connectTcp(listener.port, '127.0.0.1'));

  await expect.poll(() => new Set(stopReading.mock.contexts).size).toBeGreaterThan(90);
  expect(stopReading.mock.contexts).not.toContain(streams[0]);
  stopReading.mockRestore();
  for (const each of [...crowd, client]) each.destroy();
  await listener.close();
});

test('a connection that is closed is not in the window, whatever is asked of it afterwards', async () => {
  const streams: ByteStream[] = [];
  let closed = 0;
  const listener = await listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, () => (stream) => {
    streams.push(stream);
    return { share: eventLoop.unauthenticated, onBytes: () => {}, onDrain: () => {}, onClose: () => void closed++ };
  });
  const client = connectTcp(listener.port, '127.0.0.1').on('error', () => {});
  await expect.poll(() => streams.length).toBe(1);
  streams[0]!.pause();
  streams[0]!.destroy();
  await expect.poll(() => closed).toBe(1);

  const enter = vi.spyOn(readingWindow, 'enter');
  streams[0]!.resume();
  expect(enter).not.toHaveBeenCalled();
  client.destroy();
  await listener.close();
});
