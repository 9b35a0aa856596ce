/** What clients can make the broker keep in memory. */
import type { Attacker } from '../attacker.ts';
import type { AttackClient } from '../client.ts';
import * as p from '../packets.ts';
import type { Row } from '../row.ts';

async function retained(attacker: Attacker): Promise<void> {
  const client = await attacker.connect({ clientId: 'keeper' });
  const count = attacker.size(50, 1_200);
  await client.writeAll(count, (i) =>
    p.publish(`kept/${i}`, Buffer.alloc(1_000_000, i), { qos: 1, id: i + 1, retain: true }),
  );
  await client.until(() => client.acknowledged + client.refusals.size >= count, 20);
  attacker.fact(`${client.acknowledged} of ${count} are acknowledged`);
}

async function unfinished(attacker: Attacker): Promise<void> {
  const whole = p.publish('u', Buffer.alloc(1_040_000));
  await attacker.each(attacker.size(50, 1_500), 50, async (i) => {
    const client = await attacker.tryConnect({ clientId: `unfinished-${i}` });
    void client?.write(whole.subarray(0, whole.length - 1));
  });
  await attacker.delay(attacker.size(0.5, 3));
}

/** Each has its own messages: what is shared would be kept once. */
async function notReading(attacker: Attacker): Promise<void> {
  const publisher = await attacker.connect({ clientId: 'publisher' });
  const readers: AttackClient[] = [];
  for (let i = 0; i < attacker.size(5, 30); i++) {
    const client = await attacker.connect({ clientId: `reader-${i}`, properties: lasting });
    await client.subscribe([`r/${i}`], 1);
    client.pause();
    readers.push(client);
  }
  for (const i of readers.keys()) {
    const messages = attacker.size(8, 70);
    const before = publisher.acknowledged;
    await publisher.writeAll(messages, (n) => p.publish(`r/${i}`, Buffer.alloc(1_000_000, n), { qos: 1, id: n + 1 }));
    await publisher.until(() => publisher.acknowledged >= before + messages || publisher.refusals.size > 0, 5);
  }
  attacker.fact(`${publisher.acknowledged} messages of 1 MB are acknowledged`);
}

async function names(attacker: Attacker): Promise<void> {
  const payload = Buffer.alloc(65_000, 'w');
  let count = 0;
  await attacker.each(attacker.size(200, 8_000), 20, async (i) => {
    const will = { topic: 'will', payload, properties: [p.property.willDelay(3_600)] };
    const clientId = String(i).padEnd(60_000, 'n');
    const client = await attacker.tryConnect({ clientId, will, properties: lasting });
    if (client === null) return;
    count++;
    client.close();
  });
  attacker.fact(`${count} sessions were made`);
}

async function identifiers(attacker: Attacker): Promise<void> {
  let open = 0;
  await attacker.each(attacker.size(4, 40), 10, async (i) => {
    const client = await attacker.connect({ clientId: `qos2-${i}`, version: 4, clean: false, answers: false });
    await client.writeAll(65_535, (n) => p.publish('q2', 'x', { version: 4, qos: 2, id: n + 1 }));
    await client.write(p.pingreq);
    await client.until(() => client.pongs > 0, 20);
    open += client.pongs > 0 ? 65_535 : 0;
  });
  attacker.fact(`${open} identifiers are open`);
}

/** Each topic another one; nothing is subscribed. */
async function topics(attacker: Attacker): Promise<void> {
  await attacker.each(attacker.size(2, 20), 20, async (c) => {
    const client = await attacker.connect({ clientId: `topics-${c}` });
    await client.writeAll(attacker.size(200, 5_000), (i) => p.publish(`${c}-${i}`.padEnd(4_000, 't'), 'x'));
    await client.write(p.pingreq);
    await client.until(() => client.pongs > 0, 20);
  });
}

/**
 * As much as one session may have, by many sessions, until there is no memory for more. Then those that are not small
 * are not read on, and give up.
 */
async function filters(attacker: Attacker): Promise<void> {
  const text = (c: number, i: number) => `${c}/${i}/`.padEnd(100, 'f/');
  let whole = 0;
  let granted = 0;
  await attacker.each(attacker.size(5, 100), 20, async (c) => {
    const client = await attacker.tryConnect({ clientId: `filters-${c}`, properties: lasting });
    if (client === null) return;
    const all = Array.from({ length: attacker.size(500, 10_000) }, (_, i) => text(c, i));
    const hasAll = await client.subscribe(all, 1, [], 250, 5);
    granted += client.granted;
    if (hasAll) whole++;
    // It may not be read, and then its DISCONNECT would not be either.
    client.close();
  });
  attacker.fact(`${granted} SUBSCRIBEs of 250 filters are answered; ${whole} sessions have all of theirs`);
}

/** Small ones among large ones that go: what is left must not keep their memory. */
async function survivors(attacker: Attacker): Promise<void> {
  const client = await attacker.connect({ clientId: 'keeper' });
  const count = attacker.size(1_000, 20_000);
  await client.writeAll(count, (i) => {
    return Buffer.concat([
      p.publish(`kept/${i}`, 'x'.repeat(40), { retain: true }),
      p.publish('gone', Buffer.alloc(7_000, i), { retain: true }),
    ]);
  });
  await attacker.untilServed(client);
}

const lasting = [p.property.sessionExpiry(3_600)];

const attacks: Readonly<Record<string, (attacker: Attacker) => Promise<void>>> = {
  '1,200 retained messages of 1 MB': retained,
  '1,500 unfinished PUBLISH of 1 MB': unfinished,
  '30 readers that do not read, 64 MB each': notReading,
  '8,000 sessions with an identifier of 60 kB and a will of 65 kB': names,
  '40 clients with 65,535 QoS 2 identifiers open': identifiers,
  '100,000 topics of 4 kB': topics,
  '100 sessions of 10,000 filters of 100 B': filters,
  '20,000 retained messages of 40 B among others that go': survivors,
};

export const memory: readonly Row[] = [
  ...Object.entries(attacks).map(([name, run]): Row => ({ name, isInShortForm: true, run })),
  {
    name: 'all attacks on memory at once, for five minutes',
    secondsMax: 400,
    async run(attacker) {
      const until = performance.now() + attacker.size(1, 300) * 1_000;
      do {
        await Promise.all(
          Object.values(attacks).map((attack) =>
            attack(attacker).catch((error: Error) => attacker.fact(error.message)),
          ),
        );
        attacker.leaveAll();
      } while (performance.now() < until);
    },
  },
];
