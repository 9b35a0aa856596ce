/** Shared subscriptions: one message becomes many. */
import * as p from '../packets.ts';
import type { Row } from '../row.ts';

const lasting = [p.property.sessionExpiry(3_600)];
const groups = (count: number, topic: string) => Array.from({ length: count }, (_, i) => `$share/g${i}/${topic}`);

const toManyShared: Pick<Row, 'prepare' | 'run'> = {
  async prepare(attacker) {
    const client = await attacker.connect({ clientId: 'subscriber' });
    attacker.must(await client.subscribe(groups(attacker.size(1_000, 10_000), 't'), 1), 'no SUBACK');
  },
  async run(attacker) {
    const client = await attacker.connect({ clientId: 'publisher' });
    const count = attacker.size(5, 50);
    await client.writeAll(count, (i) => p.publish('t', 'x', { qos: 1, id: i + 1 }));
    const answered = () => client.acknowledged + [...client.refusals.values()].reduce((sum, each) => sum + each, 0);
    attacker.must(await client.until(() => answered() === count, 60), 'not answered in 60 s');
  },
};

export const shared: readonly Row[] = [
  {
    name: '1,100 shared subscriptions of one absent session, one QoS 2 message of 1 MB',
    isInShortForm: true,
    // One copy of the payload is to be stored, whoever gets it.
    diskMegabytesMax: 20,
    async prepare(attacker) {
      const count = attacker.size(100, 1_100);
      await attacker.absentSessions(1, 'absent', () => groups(count, 't'), 2);
    },
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      await client.write(p.publish('t', Buffer.alloc(1_048_000, 'x'), { qos: 2, id: 1 }));
      attacker.must(await client.until(() => client.acknowledged + client.refusals.size > 0, 60), 'no answer in 60 s');
      await attacker.delay(attacker.size(0.2, 2));
    },
  },
  {
    name: 'a shared group of 20,000 absent members, 3,000 QoS 0 messages',
    async prepare(attacker) {
      await attacker.absentSessions(attacker.size(1_000, 20_000), 'member', () => ['$share/g/t'], 0);
    },
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      await client.writeAll(attacker.size(200, 3_000), () => p.publish('t', 'x'));
      await attacker.untilServed(client);
    },
  },
  {
    name: 'a member of a shared group of 5,000 is cut off with 11,000 unanswered',
    async prepare(attacker) {
      await attacker.absentSessions(attacker.size(200, 5_000), 'member', () => ['$share/g/t'], 1);
    },
    async run(attacker) {
      const member = await attacker.connect({ clientId: 'online', answers: false });
      await member.subscribe(['$share/g/t'], 1);
      const client = await attacker.connect({ clientId: 'publisher' });
      const count = attacker.size(1_000, 11_000);
      // The broker lets 1,024 of one client be under way.
      for (let sent = 0; sent < count; sent += 500) {
        await client.writeAll(500, (i) => p.publish('t', 'x'.repeat(50), { qos: 1, id: i + 1 }));
        await client.until(() => client.acknowledged >= sent + 500, 20);
      }
      attacker.fact(`${client.acknowledged} messages acknowledged, ${member.received} received`);
      member.close();
      await attacker.delay(attacker.size(0.3, 2));
    },
  },
  {
    name: 'QoS 1 to 10,000 shared subscriptions',
    isInShortForm: true,
    ...toManyShared,
  },
  {
    name: 'QoS 1 to 10,000 shared subscriptions, with queuePolicy reject',
    needs: () => ({ limits: { queuePolicy: 'reject' } }),
    ...toManyShared,
  },
  {
    name: '200 wills to 10,000 shared subscriptions',
    async prepare(attacker) {
      const client = await attacker.connect({ clientId: 'subscriber' });
      attacker.must(await client.subscribe(groups(attacker.size(1_000, 10_000), 't'), 0), 'no SUBACK');
    },
    async run(attacker) {
      const will = { topic: 't', payload: 'x' };
      const clients = await Promise.all(
        Array.from({ length: attacker.size(20, 200) }, (_, i) => attacker.connect({ clientId: `dying-${i}`, will })),
      );
      for (const client of clients) client.close();
      await attacker.delay(attacker.size(0.3, 2));
    },
  },
  {
    name: '10,000 shared subscriptions of a client that does not read, 100 messages to each',
    isInShortForm: true,
    async prepare(attacker) {
      const client = await attacker.connect({ clientId: 'subscriber' });
      attacker.must(await client.subscribe(groups(attacker.size(1_000, 10_000), 't'), 0), 'no SUBACK');
      client.pause();
    },
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'publisher' });
      await client.writeAll(100, () => p.publish('t', 'x'.repeat(100)));
      await attacker.untilServed(client);
    },
  },
  {
    name: 'a client joins and leaves 1,000 shared groups of 1,000 members again and again',
    async prepare(attacker) {
      const filters = groups(attacker.size(50, 1_000), 't');
      await attacker.absentSessions(attacker.size(10, 100), 'member', () => filters, 0);
    },
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'wavering', properties: lasting });
      const filters = groups(attacker.size(50, 1_000), 't');
      const both = Buffer.concat([p.subscribe(1, filters), p.unsubscribe(2, filters), p.publish('t', 'x')]);
      attacker.fact(`${await client.repeat(both, attacker.size(0.5, 5))} rounds`);
    },
  },
];
