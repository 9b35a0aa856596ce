/** Connections that never become clients, and clients that come and go. */

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { Attacker } from '../attacker.ts';
import * as p from '../packets.ts';
import type { Needs, Row } from '../row.ts';

/** What a client of TLS says first. */
async function clientHello(): Promise<Buffer> {
  const wire = new Duplex({
    read() {},
    write: (bytes, _encoding, done) => done(wire.emit('hello', bytes) ? null : null),
  });
  const saying = once(wire, 'hello');
  const socket = connectTls({ socket: wire });
  socket.on('error', () => {});
  const [bytes] = (await saying) as [Buffer];
  socket.destroy();
  return bytes;
}

/** Thousands of connections, `act` with each of them, and their time runs out. */
async function crowd(attacker: Attacker, act: (socket: Socket, index: number) => void): Promise<void> {
  const sockets = await attacker.openMany(attacker.size(500, 9_000));
  for (const [index, socket] of sockets.entries()) act(socket, index);
  const until = performance.now() + 30_000;
  while (attacker.openSockets > 0 && performance.now() < until) await attacker.delay(0.05);
  attacker.must(attacker.openSockets === 0, `${attacker.openSockets} of them are still open`);
}

const timeouts: Needs = (_folder, isShort) => {
  return { limits: { connectTimeoutSeconds: isShort ? 1 : 4, unauthenticatedBytes: 16_777_216 } };
};

export const connections: readonly Row[] = [
  {
    name: 'half-open connections',
    isInShortForm: true,
    transports: ['tcp', 'ws'],
    needs: timeouts,
    run: (attacker) => crowd(attacker, () => {}),
  },
  {
    name: 'half-open TLS connections, half of which begin a handshake',
    isInShortForm: true,
    transports: ['tls'],
    needs: timeouts,
    mayTurnAway: true,
    async run(attacker) {
      const hello = await clientHello();
      await crowd(attacker, (socket, index) => {
        if (index % 2 === 0) socket.write(hello);
      });
    },
  },
  {
    name: 'TLS handshakes, one after the other',
    transports: ['tls'],
    mayTurnAway: true,
    async run(attacker) {
      await attacker.each(attacker.size(50, 2_000), 50, async () => {
        const socket = await attacker.open();
        socket.destroy();
      });
    },
  },
  {
    name: 'slow CONNECTs, byte by byte',
    isInShortForm: true,
    needs: timeouts,
    async run(attacker) {
      const bytes = p.connect({ clientId: 'x'.repeat(10_000) });
      await crowd(attacker, (socket, index) => {
        let at = 0;
        const timer = setInterval(() => socket.write(bytes.subarray(at, ++at)), 200 + (index % 100));
        socket.once('close', () => clearInterval(timer));
      });
    },
  },
  {
    name: 'unfinished CONNECTs of 130 kB',
    isInShortForm: true,
    needs: timeouts,
    async run(attacker) {
      const bytes = p.connect({ clientId: 'x', username: 'u'.repeat(65_000), password: Buffer.alloc(65_000) });
      await crowd(attacker, (socket) => socket.write(bytes.subarray(0, bytes.length - 1)));
    },
  },
  {
    name: 'CONNECT with 24,000 user properties, 100 times',
    isInShortForm: true,
    transports: ['tcp', 'tls', 'ws'],
    async run(attacker) {
      const properties = new Array(24_000).fill(p.property.user('', ''));
      await attacker.each(attacker.size(10, 100), 25, (i) => {
        return attacker.tryConnect({ clientId: `many-${i}`, properties });
      });
    },
  },
  {
    name: 'HTTP requests with 16 kB of headers',
    transports: ['ws'],
    mayTurnAway: true,
    async run(attacker) {
      const sockets = await attacker.openMany(attacker.size(100, 2_000));
      const headers = Array.from({ length: 400 }, (_, i) => `X-H${i}: ${'y'.repeat(30)}\r\n`).join('');
      for (const socket of sockets) socket.write(`GET /mqtt HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);
      await attacker.delay(attacker.size(0.5, 3));
    },
  },
  {
    name: 'connection churn',
    transports: ['tcp', 'tls', 'ws'],
    // 20,000 connections that are refused or leave at once are no reason to fill a disk.
    logMegabytesMax: 2,
    async run(attacker) {
      const seconds = attacker.size(0.5, 8);
      const until = performance.now() + seconds * 1_000;
      let count = 0;
      await Promise.all(
        Array.from({ length: 50 }, async (_, i) => {
          for (; performance.now() < until; count++) {
            const client = await attacker.tryConnect({ clientId: `churn-${i}` });
            await client?.leave();
          }
        }),
      );
      attacker.fact(`${count} connections`);
    },
  },
  {
    name: 'one client identifier, taken over by 100 connections again and again',
    async run(attacker) {
      const until = performance.now() + attacker.size(500, 5_000);
      let count = 0;
      const properties = [p.property.sessionExpiry(3_600)];
      const filters = Array.from({ length: 1_000 }, (_, i) => `taken/${i}`);
      const first = await attacker.connect({ clientId: 'taken', properties });
      await first.subscribe(filters, 1);
      await Promise.all(
        Array.from({ length: 100 }, async () => {
          for (; performance.now() < until; count++)
            await attacker.tryConnect({ clientId: 'taken', clean: false, properties });
        }),
      );
      attacker.fact(`${count} takeovers`);
    },
  },
];
