/** Subscriptions: many, long, deep, and found again for each topic. */
import type { Attacker } from '../attacker.ts';
import * as p from '../packets.ts';
import type { Row } from '../row.ts';

const bits = (levels: number, one: string, other: string) =>
  Array.from({ length: 2 ** levels }, (_, i) =>
    Array.from({ length: levels }, (_, bit) => ((i >> bit) & 1 ? one : other)).join('/'),
  );

async function subscribeToWildcards(attacker: Attacker): Promise<void> {
  const client = await attacker.connect({ clientId: 'subscriber' });
  attacker.must(await client.subscribe(bits(attacker.size(9, 13), '+', 'x')), 'no SUBACK');
}

export const subscriptions: readonly Row[] = [
  {
    name: '8,192 wildcards of 13 levels, 2,000 publishes to distinct topics',
    isInShortForm: true,
    prepare: subscribeToWildcards,
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      const start = new Array(attacker.size(8, 12)).fill('x').join('/');
      await client.writeAll(attacker.size(100, 2_000), (i) => p.publish(`${start}/${i}`, 'x'));
      await attacker.untilServed(client);
    },
  },
  {
    name: '8,192 wildcards that match one topic, 1,000 messages',
    isInShortForm: true,
    prepare: subscribeToWildcards,
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      const topic = new Array(attacker.size(9, 13)).fill('x').join('/');
      await client.writeAll(attacker.size(100, 1_000), () => p.publish(topic, 'x'));
      await attacker.untilServed(client);
    },
  },
  {
    name: 'SUBSCRIBE packets of 100 filters, pipelined, 262 kB',
    isInShortForm: true,
    transports: ['tcp', 'tls', 'ws'],
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'subscriber' });
      const topic = (i: number) => `some/longer/filter/number/${i}`.padEnd(60, 'x');
      const packets = Array.from({ length: 41 }, (_, packet) =>
        p.subscribe(
          packet + 1,
          Array.from({ length: 100 }, (_, i) => topic(packet * 100 + i)),
        ),
      );
      const bytes = Buffer.concat(packets);
      const before = client.granted;
      const rounds = attacker.size(2, 20);
      for (let i = 0; i < rounds; i++) await client.write(bytes);
      attacker.must(await client.until(() => client.granted === before + rounds * 41, 60), 'not answered in 60 s');
    },
  },
  {
    name: 'one SUBSCRIBE of 1 MB of filters',
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'subscriber' });
      const filters = Array.from({ length: 9_900 }, (_, i) => `deep/${i}/filter`.padEnd(100, '/x'));
      const rounds = attacker.size(1, 5);
      for (let i = 0; i < rounds; i++) await client.write(p.subscribe(i + 1, filters));
      attacker.must(await client.until(() => client.granted === rounds || client.isClosed, 60), 'not answered in 60 s');
    },
  },
  {
    name: 'SUBSCRIBE with 1 MB of user properties',
    transports: ['tcp', 'ws'],
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'subscriber' });
      const many = new Array(209_000).fill(p.property.user('', ''));
      const rounds = attacker.size(1, 10);
      for (let i = 0; i < rounds; i++) await client.write(p.subscribe(i + 1, ['x'], 0, many));
      attacker.must(await client.until(() => client.granted === rounds || client.isClosed, 60), 'not answered in 60 s');
    },
  },
  {
    name: 'PUBLISH with 1 MB of user properties',
    async run(attacker) {
      const subscriber = await attacker.connect({ clientId: 'subscriber' });
      await subscriber.subscribe(['props'], 1);
      const client = await attacker.connect({ clientId: 'publisher' });
      const many = new Array(209_000).fill(p.property.user('', ''));
      const rounds = attacker.size(2, 20);
      for (let i = 0; i < rounds; i++)
        await client.write(p.publish('props', 'x', { qos: 1, id: i + 1, properties: many }));
      attacker.must(
        await client.until(() => client.acknowledged === rounds || client.isClosed, 60),
        'not answered in 60 s',
      );
    },
  },
  {
    name: '12,000 subscriptions of 128 levels, more than fit',
    isInShortForm: true,
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'subscriber' });
      const tail = '/a'.repeat(127);
      const filters = Array.from({ length: attacker.size(6_000, 12_000) }, (_, i) => `${i}${tail}`);
      attacker.must(await client.subscribe(filters), 'no SUBACK');
    },
  },
  {
    name: 'UNSUBSCRIBE packets of 30,000 filters that nobody has',
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'subscriber' });
      const filters = Array.from({ length: 30_000 }, (_, i) => `not/there/${i}/+/#`);
      const packet = p.unsubscribe(1, filters);
      const rounds = attacker.size(1, 20);
      for (let i = 0; i < rounds; i++) await client.write(packet);
      attacker.must(await client.until(() => client.granted === rounds || client.isClosed, 60), 'not answered in 60 s');
    },
  },
  {
    name: 'a client subscribes and unsubscribes where 100 others publish to 1,000 topics each',
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'wavering' });
      const both = Buffer.concat([p.subscribe(1, ['a/+/c/#']), p.unsubscribe(2, ['a/+/c/#'])]);
      const others = await Promise.all(
        Array.from({ length: attacker.size(10, 100) }, (_, i) => attacker.connect({ clientId: `other-${i}` })),
      );
      let isOver = false;
      const publishing = others.map(async (other, i) => {
        for (let n = 0; !isOver; n++) {
          await other.write(p.publish(`other/${i}/${n % 1_000}`, 'x'));
          await attacker.delay(0.005);
        }
      });
      const rounds = await client.repeat(Buffer.concat(new Array(50).fill(both)), attacker.size(0.5, 5));
      isOver = true;
      await Promise.all(publishing);
      attacker.fact(`${rounds * 50} changes`);
    },
  },
  {
    name: '1,000 subscribers of #, a message of 100 kB to each, which they do not read',
    async prepare(attacker) {
      await attacker.each(attacker.size(50, 1_000), 64, async (i) => {
        const client = await attacker.connect({ clientId: `all-${i}` });
        await client.subscribe(['big/#']);
        client.pause();
      });
    },
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      await client.writeAll(attacker.size(5, 100), () => p.publish('big/a', Buffer.alloc(100_000)));
      await attacker.untilServed(client);
    },
  },
  {
    name: '100,000 retained messages on 20 levels, and filters of + that walk through all of them',
    async prepare(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      const topic = (i: number) => [...i.toString(2).padStart(19, '0')].join('/');
      const count = attacker.size(1_000, 100_000);
      await client.writeAll(count, (i) => p.publish(topic(i), 'x', { retain: true }));
      await attacker.untilServed(client);
    },
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'scanner' });
      const filters = Array.from({ length: attacker.size(10, 200) }, (_, i) => `${'+/'.repeat(18)}+/none${i}`);
      attacker.must(await client.subscribe(filters, 0, [], 10), 'no SUBACK in 60 s');
      await attacker.untilServed(client);
    },
  },
];
