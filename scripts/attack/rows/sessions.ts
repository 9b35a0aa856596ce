/** Sessions: their queues, wills and subscriptions, when they come, go and end. */
import type { Attacker } from '../attacker.ts';
import type { AttackClient } from '../client.ts';
import * as p from '../packets.ts';
import type { Row } from '../row.ts';

const lasting = [p.property.sessionExpiry(3_600)];

/** QoS 1, a few hundred under way. Returns how many were acknowledged. */
async function publishAll(client: AttackClient, count: number, packetOf: (index: number, id: number) => Buffer) {
  for (let sent = 0; sent < count && !client.isClosed; ) {
    const some = Math.min(500, count - sent);
    const from = sent;
    const before = client.acknowledged;
    await client.writeAll(some, (i) => packetOf(from + i, i + 1));
    if (!(await client.until(() => client.acknowledged >= before + some, 20))) break;
    sent += some;
  }
  return client.acknowledged;
}

async function tenSessions(attacker: Attacker, clean: boolean): Promise<void> {
  await Promise.all(
    Array.from({ length: 10 }, (_, i) => attacker.connect({ clientId: `many-${i}`, clean, properties: lasting })),
  );
  await attacker.delay(attacker.size(0.3, 2));
}

async function manySubscriptions(attacker: Attacker): Promise<void> {
  await attacker.absentSessions(10, 'many', (session) => {
    return Array.from({ length: attacker.size(1_000, 10_000) }, (_, i) => `s${session}/${i}/+/#`);
  });
}

export const sessions: readonly Row[] = [
  {
    name: '8,192 subscription identifiers on an absent session, 10,000 messages of 1 B',
    // Its identifiers are to be stored once, whatever it gets.
    diskMegabytesMax: 20,
    async prepare(attacker) {
      const levels = attacker.size(9, 13);
      const client = await attacker.connect({ clientId: 'absent', properties: lasting });
      const count = 2 ** levels;
      await client.writeAll(count, (i) => {
        const filter = Array.from({ length: levels }, (_, bit) => ((i >> bit) & 1 ? '+' : 'x')).join('/');
        return p.subscribe((i % 65_535) + 1, [filter], 1, [p.property.subscriptionId(268_000_000 + i)]);
      });
      attacker.must(await client.until(() => client.granted === count, 60), 'no SUBACK');
      await client.leave();
    },
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      const topic = new Array(attacker.size(9, 13)).fill('x').join('/');
      const count = attacker.size(500, 10_000);
      const done = await publishAll(client, count, (_i, id) => p.publish(topic, 'x', { qos: 1, id }));
      attacker.fact(`${done} acknowledged`);
    },
  },
  {
    name: 'a message of 1 MB that displaces 9,900 small ones',
    isInShortForm: true,
    async prepare(attacker) {
      await attacker.absentSessions(1, 'absent', () => ['q/#']);
      const client = await attacker.connect({ clientId: 'filler' });
      await publishAll(client, attacker.size(1_000, 9_900), (_i, id) =>
        p.publish('q/small', 'x'.repeat(100), { qos: 1, id }),
      );
      await publishAll(client, 63, (_i, id) => p.publish('q/large', Buffer.alloc(1_040_000), { qos: 1, id }));
    },
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      await publishAll(client, 2, (_i, id) => p.publish('q/large', Buffer.alloc(1_040_000), { qos: 1, id }));
      await attacker.delay(attacker.size(0.2, 1));
    },
  },
  {
    name: 'ten sessions of 10,000 subscriptions that return together',
    prepare: manySubscriptions,
    run: (attacker) => tenSessions(attacker, false),
  },
  {
    name: 'ten sessions of 10,000 subscriptions that begin anew together',
    prepare: manySubscriptions,
    run: (attacker) => tenSessions(attacker, true),
  },
  {
    name: '10,000 sessions that expire at one time',
    isInShortForm: true,
    async prepare(attacker) {
      const properties = [p.property.sessionExpiry(attacker.size(2, 3))];
      const clients: AttackClient[] = [];
      await attacker.each(attacker.size(500, 9_000), 64, async (i) => {
        const client = await attacker.connect({ clientId: `expiring-${i}`, properties });
        await client.subscribe([`e/${i}/+`, `e/${i % 100}/x/#`], 1);
        clients.push(client);
      });
      for (const client of clients) client.close();
    },
    run: (attacker) => attacker.delay(attacker.size(3, 5)),
  },
  {
    name: '9,000 wills of clients that are cut off at one time, and a subscriber that gets all',
    async prepare(attacker) {
      const watcher = await attacker.connect({ clientId: 'watcher' });
      await watcher.subscribe(['will/#'], 1);
      await attacker.each(attacker.size(500, 9_000), 64, (i) => {
        return attacker.connect({
          clientId: `dying-${i}`,
          will: { topic: `will/${i}`, payload: 'gone', qos: 1, retain: true },
        });
      });
    },
    async run(attacker) {
      attacker.cut('dying-');
      await attacker.delay(attacker.size(0.5, 3));
    },
  },
  {
    name: '2,000 subscribers of $SYS/#',
    needs: () => ({ sysIntervalSeconds: 1 }),
    async prepare(attacker) {
      await attacker.each(attacker.size(100, 2_000), 64, async (i) => {
        const client = await attacker.connect({ clientId: `sys-${i}` });
        await client.subscribe(['$SYS/#']);
      });
    },
    run: (attacker) => attacker.delay(attacker.size(1.5, 5)),
  },
  {
    name: 'a client with 10,000 messages waiting that comes and goes',
    async prepare(attacker) {
      await attacker.absentSessions(1, 'returning', () => ['q/#']);
      const client = await attacker.connect({ clientId: 'filler' });
      await publishAll(client, attacker.size(1_000, 10_000), (_i, id) => {
        return p.publish('q/a', Buffer.alloc(5_000), { qos: 1, id });
      });
    },
    async run(attacker) {
      const until = performance.now() + attacker.size(500, 5_000);
      let count = 0;
      for (; performance.now() < until; count++) {
        const client = await attacker.connect({
          clientId: 'returning-0',
          clean: false,
          properties: lasting,
          answers: false,
        });
        await client.until(() => client.received > 100, 1);
        client.close();
      }
      attacker.fact(`${count} times`);
    },
  },
  {
    name: 'a client that subscribes to 20,000 retained messages again and again',
    async prepare(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      await client.writeAll(attacker.size(1_000, 20_000), (i) =>
        p.publish(`kept/${i}`, 'x'.repeat(100), { retain: true }),
      );
      await attacker.untilServed(client);
    },
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'again' });
      const some = Buffer.concat(Array.from({ length: 100 }, (_, i) => p.subscribe(i + 1, ['kept/#', '+/+', '#'])));
      const until = performance.now() + attacker.size(500, 5_000);
      while (performance.now() < until && !client.isClosed) {
        await client.write(some);
        await attacker.delay(0.02);
      }
      attacker.fact(`${client.received} messages came`);
    },
  },
  {
    name: '1,000 clients that subscribe to 10,000 retained messages at one time',
    async prepare(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      await client.writeAll(attacker.size(500, 10_000), (i) =>
        p.publish(`kept/${i}`, 'x'.repeat(50), { retain: true }),
      );
      await attacker.untilServed(client);
      await attacker.each(attacker.size(20, 1_000), 64, (i) => attacker.connect({ clientId: `dashboard-${i}` }));
    },
    async run(attacker) {
      attacker.writeFromAll('dashboard-', p.subscribe(1, ['kept/#'], 1));
      await attacker.delay(attacker.size(0.5, 8));
    },
  },
  {
    name: 'a message at a time of QoS 1 to 5,000 clients that answer, as fast as it is acknowledged',
    async prepare(attacker) {
      await attacker.each(attacker.size(100, 5_000), 64, async (i) => {
        const client = await attacker.connect({ clientId: `one-${i}` });
        await client.subscribe(['all'], 1);
      });
    },
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      const until = performance.now() + attacker.size(500, 6_000);
      let sent = 0;
      while (performance.now() < until && !client.isClosed) {
        await client.write(p.publish('all', 'x', { qos: 1, id: (sent++ % 65_535) + 1 }));
        await client.until(() => client.acknowledged >= sent, 5);
      }
      attacker.fact(`${sent} messages`);
    },
  },
  {
    name: '100 absent sessions of 5,000 messages that expire at one time',
    async prepare(attacker) {
      await attacker.absentSessions(attacker.size(5, 100), 'absent', () => ['q/#']);
      const client = await attacker.connect({ clientId: 'publisher' });
      const startedAt = performance.now();
      await publishAll(client, attacker.size(200, 5_000), (_i, id) => {
        const seconds = attacker.size(2, 10) - Math.floor((performance.now() - startedAt) / 1_000);
        const properties = [p.property.messageExpiry(Math.max(1, seconds))];
        return p.publish('q/a', 'x'.repeat(50), { qos: 1, id, properties });
      });
    },
    async run(attacker) {
      await attacker.delay(attacker.size(2, 10));
      await Promise.all(
        Array.from({ length: attacker.size(5, 100) }, (_, i) => {
          return attacker.connect({ clientId: `absent-${i}`, clean: false, properties: lasting });
        }),
      );
      await attacker.delay(attacker.size(0.2, 1));
    },
  },
  {
    name: '50,000 retained messages that expire at one time',
    async prepare(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      const count = attacker.size(1_000, 50_000);
      const startedAt = performance.now();
      await client.writeAll(count, (i) => {
        // All of them end in the same second.
        const seconds = attacker.size(2, 8) - Math.floor((performance.now() - startedAt) / 1_000);
        const properties = [p.property.messageExpiry(Math.max(1, seconds))];
        return p.publish(`kept/${i}`, 'x'.repeat(100), { retain: true, properties });
      });
      await attacker.untilServed(client);
    },
    async run(attacker) {
      await attacker.delay(attacker.size(2, 8));
      const client = await attacker.connect({ clientId: 'late' });
      await client.subscribe(['kept/#']);
      await attacker.delay(0.5);
      attacker.fact(`${client.received} came afterwards`);
    },
  },
];
