/** The disk, and connections that are slow. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileLibrary } from '../../crash/compile-library.ts';
import * as p from '../packets.ts';
import type { Row } from '../row.ts';

/** While it is there, the disk hangs. */
const hungFile = (folder: string) => join(folder, 'hung');

export const store: readonly Row[] = [
  {
    name: 'a hung disk, and a publisher that ignores PUBACK',
    isInShortForm: true,
    environment: (folder) => {
      const library = compileLibrary('scripts/attack/hung-disk.c', folder);
      return library === null
        ? {}
        : { LD_PRELOAD: library, HUNG_DIRECTORY: join(folder, 'data'), HUNG_FILE: hungFile(folder) };
    },
    healthyQos: 0,
    async prepare(attacker) {
      await attacker.absentSessions(1, 'absent', () => ['q/#']);
    },
    async run(attacker) {
      writeFileSync(hungFile(attacker.task.folder), '');
      const publishers = await Promise.all(
        Array.from({ length: 10 }, (_, i) => attacker.connect({ clientId: `publisher-${i}`, version: 4 })),
      );
      const bytes = Buffer.concat(
        Array.from({ length: 50 }, (_, i) => p.publish('q/a', Buffer.alloc(20_000), { version: 4, qos: 1, id: i + 1 })),
      );
      const until = performance.now() + attacker.size(1_000, 8_000);
      let sent = 0;
      for (; performance.now() < until; ) {
        for (const publisher of publishers) {
          void publisher.write(bytes);
          sent++;
        }
        await attacker.delay(0.05);
      }
      attacker.fact(
        `${sent} MB were sent, ${publishers.reduce((sum, { acknowledged }) => sum + acknowledged, 0)} answers came`,
      );
    },
  },
  {
    name: 'a message of 30 MB to a slow reader that pings',
    isInShortForm: true,
    needs: () => ({ limits: { packetBytes: 33_554_432, outputBytes: 4_194_304 } }),
    transports: ['tcp', 'tls', 'ws'],
    async run(attacker) {
      const megabytes = attacker.size(4, 30);
      const reader = await attacker.connect({ clientId: 'reader', keepAliveSeconds: 2 });
      await reader.subscribe(['large'], 1);
      const client = await attacker.connect({ clientId: 'publisher' });
      await client.write(p.publish('large', Buffer.alloc(megabytes * 1_000_000), { qos: 1, id: 1 }));
      const ping = setInterval(() => void reader.write(p.pingreq), 1_000);
      // Some 4 MB a second.
      const until = performance.now() + 20_000;
      while (reader.received === 0 && !reader.isClosed && performance.now() < until) {
        reader.pause();
        await attacker.delay(0.05);
        reader.resume();
        await attacker.delay(0.001);
      }
      clearInterval(ping);
      attacker.must(!reader.isClosed, 'the reader was closed');
      attacker.must(reader.received === 1, 'the message did not come');
    },
  },
  {
    name: '100,000 retained messages of 500 B, half of them one too many',
    isInShortForm: true,
    needs: (_folder, isShort) => ({ limits: { retainedMessages: isShort ? 1_000 : 50_000 } }),
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'keeper' });
      const count = attacker.size(2_000, 100_000);
      await client.writeAll(count, (i) => p.publish(`kept/${i}`, 'x'.repeat(500), { retain: true }));
      await client.write(p.publish('kept/last', 'x', { qos: 1, id: 1, retain: true }));
      attacker.must(await client.until(() => client.refusals.has('PUBACK 0x97'), 60), 'the last one was not refused');
      await client.subscribe(['kept/#']);
      attacker.must(await client.until(() => client.received === count / 2, 60), `${client.received} came`);
    },
  },
  {
    name: 'QoS 1 to one absent session, as fast as it is acknowledged',
    transports: ['tcp', 'tls', 'ws'],
    async prepare(attacker) {
      await attacker.absentSessions(1, 'absent', () => ['q/#']);
    },
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      const until = performance.now() + attacker.size(500, 6_000);
      for (let sent = 0; performance.now() < until && !client.isClosed; sent += 500) {
        await client.writeAll(500, (i) => p.publish('q/a', 'x'.repeat(200), { qos: 1, id: i + 1 }));
        await client.until(() => client.acknowledged >= sent, 10);
      }
      attacker.fact(`${client.acknowledged} acknowledged`);
    },
  },
];
