/** Small packets in masses, and others that are cheap to send. */
import type { Attacker } from '../attacker.ts';
import * as p from '../packets.ts';
import type { Row } from '../row.ts';

/** A socket of a WebSocket whose client is in; frames are written by hand. */
async function webSocket(attacker: Attacker, clientId: string) {
  const socket = await attacker.open();
  socket.write(p.frame(2, p.connect({ clientId })));
  await new Promise((resolve) => socket.once('data', resolve));
  return socket;
}

async function flood(attacker: Attacker, bytes: Buffer): Promise<void> {
  const socket = await webSocket(attacker, 'flooder');
  const until = performance.now() + attacker.size(500, 5_000);
  let times = 0;
  for (; performance.now() < until && !socket.closed; times++) {
    if (!socket.write(bytes))
      await Promise.race([new Promise((next) => socket.once('drain', next)), attacker.delay(0.2)]);
  }
  attacker.fact(`${times} × ${bytes.length} bytes`);
}

const many = (bytes: Buffer, times: number) => Buffer.concat(new Array(times).fill(bytes));

export const packets: readonly Row[] = [
  {
    name: 'WebSocket pings',
    transports: ['ws'],
    run: (attacker) => flood(attacker, many(p.frame(9, Buffer.alloc(0)), 10_000)),
  },
  {
    name: 'PINGREQ in frames of one byte',
    isInShortForm: true,
    transports: ['ws'],
    run: (attacker) => {
      return flood(attacker, many(Buffer.concat([p.frame(2, Buffer.of(0xc0)), p.frame(2, Buffer.of(0))]), 5_000));
    },
  },
  {
    name: 'empty fragments of a WebSocket message that does not end',
    transports: ['ws'],
    run: (attacker) => {
      const start = p.frame(2, Buffer.alloc(0), false);
      return flood(attacker, Buffer.concat([start, many(p.frame(0, Buffer.alloc(0), false), 10_000)]));
    },
  },
  {
    name: 'PINGREQ',
    transports: ['tcp', 'tls', 'ws'],
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'flooder' });
      const times = await client.repeat(many(p.pingreq, 32_768), attacker.size(0.5, 5));
      attacker.fact(`${times * 32_768} packets, ${client.pongs} answers`);
    },
  },
  {
    name: 'PINGREQ of a client that does not read',
    transports: ['tcp', 'tls', 'ws'],
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'flooder' });
      client.pause();
      const until = performance.now() + attacker.size(500, 5_000);
      const bytes = many(p.pingreq, 32_768);
      let times = 0;
      for (; performance.now() < until && !client.isClosed; times++) {
        await Promise.race([client.write(bytes), attacker.delay(0.1)]);
        await attacker.delay(0.001);
      }
      attacker.fact(`${times * 32_768} packets`);
    },
  },
  {
    name: 'tiny QoS 0 messages to new topics',
    isInShortForm: true,
    transports: ['tcp', 'tls', 'ws'],
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'flooder' });
      const until = performance.now() + attacker.size(500, 5_000);
      let sent = 0;
      while (performance.now() < until && !client.isClosed) {
        await client.writeAll(5_000, () => p.publish((sent++).toString(36), ''));
      }
      attacker.fact(`${sent} messages`);
    },
  },
  {
    name: 'topic aliases set anew with each message',
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'flooder' });
      const until = performance.now() + attacker.size(500, 5_000);
      let sent = 0;
      while (performance.now() < until && !client.isClosed) {
        await client.writeAll(5_000, (i) => {
          return p.publish(`${(sent++).toString(36)}/x`, '', { properties: [p.property.topicAlias((i % 64) + 1)] });
        });
      }
      attacker.fact(`${sent} messages`);
    },
  },
  {
    name: 'PUBREL for identifiers that are not under way',
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'flooder', properties: [p.property.sessionExpiry(3_600)] });
      const bytes = Buffer.concat(Array.from({ length: 20_000 }, (_, i) => p.pubrel(i + 1)));
      attacker.fact(`${(await client.repeat(bytes, attacker.size(0.5, 5))) * 20_000} packets`);
    },
  },
  {
    name: 'one QoS 2 message, sent again and again with DUP',
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'flooder', answers: false });
      const again = p.publish('t', 'x', { qos: 2, id: 7, dup: true });
      await client.write(p.publish('t', 'x', { qos: 2, id: 7 }));
      attacker.fact(`${(await client.repeat(many(again, 5_000), attacker.size(0.5, 5))) * 5_000} packets`);
    },
  },
  {
    name: '60 kB of response topic, correlation data and content type each',
    async run(attacker) {
      const subscriber = await attacker.connect({ clientId: 'subscriber' });
      await subscriber.subscribe(['long'], 1);
      const client = await attacker.connect({ clientId: 'publisher' });
      const { responseTopic, correlation, contentType } = p.property;
      const all = [
        responseTopic('r'.repeat(4_000)),
        correlation(Buffer.alloc(60_000)),
        contentType('c'.repeat(60_000)),
      ];
      const count = attacker.size(20, 500);
      for (let sent = 0; sent < count; sent += 20) {
        await client.writeAll(20, (i) => p.publish('long', 'x', { qos: 1, id: i + 1, properties: all }));
        await client.until(() => client.acknowledged >= sent + 20, 10);
      }
    },
  },
  {
    name: 'AUTH packets of 60 kB from a client that authenticated without',
    async run(attacker) {
      for (let i = 0; i < attacker.size(20, 500); i++) {
        const client = await attacker.connect({ clientId: 'authenticating' });
        await client.write(many(p.auth(0x19, 'SCRAM-SHA-256', Buffer.alloc(60_000, 'n')), 5));
        await client.until(() => client.isClosed, 2);
      }
    },
  },
  {
    name: 'topics of 65,535 bytes and 1,000 levels, where they are allowed',
    isInShortForm: true,
    needs: () => ({ limits: { topicBytes: 65_535, topicLevels: 1_000 } }),
    async run(attacker) {
      const client = await attacker.connect({ clientId: 'long' });
      await client.subscribe(['+/+/+/+/#']);
      const count = attacker.size(200, 5_000);
      for (let sent = 0; sent < count; sent += 50) {
        await client.writeAll(50, (i) =>
          p.publish(
            String(sent + i)
              .padEnd(999, '/')
              .padEnd(65_535, 'x'),
            'x',
          ),
        );
        await client.until(() => client.received >= sent + 50, 10);
      }
      attacker.fact(`${client.received} of ${count} messages came`);
    },
  },
];
