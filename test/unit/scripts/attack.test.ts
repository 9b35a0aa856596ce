/** The attacks' own parts: rows are found by their names, and packets are what they say. */
import { parser } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import * as packets from '../../../scripts/attack/packets.ts';
import type { Result, Seen } from '../../../scripts/attack/row.ts';
import { rows } from '../../../scripts/attack/rows.ts';
import { tableOf } from '../../../scripts/attack/table.ts';

test('each row has a name of its own', () => {
  const names = rows.map(({ name }) => name);
  expect(names.filter((name, i) => names.indexOf(name) < i)).toEqual([]);
});

describe('packets', () => {
  const parsed = (bytes: Buffer, version: 4 | 5 = 5) => {
    const all: unknown[] = [];
    const from = parser({ protocolVersion: version });
    from.on('packet', (packet) => all.push(packet));
    from.parse(bytes);
    return all[0];
  };
  const { property } = packets;

  test('CONNECT of both versions, with a will', () => {
    const will = { topic: 'w', payload: 'gone', qos: 1, retain: true, properties: [property.willDelay(5)] };
    const fields = { clientId: 'c', username: 'u', password: 'p', keepAliveSeconds: 7, will };
    expect(parsed(packets.connect({ ...fields, properties: [property.sessionExpiry(9)] }))).toMatchObject({
      clientId: 'c',
      keepalive: 7,
      clean: true,
      username: 'u',
      properties: { sessionExpiryInterval: 9 },
      will: { topic: 'w', qos: 1, retain: true, properties: { willDelayInterval: 5 } },
    });
    expect(parsed(packets.connect({ clientId: 'c', version: 4, clean: false }), 4)).toMatchObject({
      clientId: 'c',
      protocolVersion: 4,
      clean: false,
    });
  });

  test('PUBLISH, SUBSCRIBE and UNSUBSCRIBE', () => {
    const all = [property.topicAlias(3), property.messageExpiry(4), property.user('a', 'b')];
    expect(parsed(packets.publish('t', 'x', { qos: 2, id: 7, dup: true, properties: all }))).toMatchObject({
      topic: 't',
      qos: 2,
      messageId: 7,
      dup: true,
      properties: { topicAlias: 3, messageExpiryInterval: 4, userProperties: { a: 'b' } },
    });
    expect(parsed(packets.publish('t', 'x', { version: 4, qos: 1, id: 8 }), 4)).toMatchObject({ messageId: 8 });
    const identified = packets.subscribe(2, ['a/+', 'b/#'], 1, [property.subscriptionId(268_435_455)]);
    expect(parsed(identified)).toMatchObject({
      messageId: 2,
      subscriptions: [{ topic: 'a/+', qos: 1 }, { topic: 'b/#' }],
      properties: { subscriptionIdentifier: 268_435_455 },
    });
    expect(parsed(packets.unsubscribe(3, ['a', 'b']))).toMatchObject({ unsubscriptions: ['a', 'b'] });
  });

  test('a frame of a WebSocket has its length in as few bytes as it can', () => {
    expect([...packets.frame(9, Buffer.alloc(0))]).toEqual([0x89, 0x80, 0, 0, 0, 0]);
    expect([...packets.frame(2, Buffer.of(7), false)]).toEqual([0x02, 0x81, 0, 0, 0, 0, 7]);
    expect(packets.frame(2, Buffer.alloc(200)).length).toBe(200 + 8);
    expect(packets.frame(2, Buffer.alloc(70_000)).length).toBe(70_000 + 14);
  });
});

test('the table has the worse of two phases, and why a row is not held', () => {
  const seen = (p99: number): Seen => {
    const newcomers = { newcomers: 1, newcomersP99: 2, newcomersLongest: 3 };
    return { messages: 1, p99, longest: p99, ...newcomers, failures: [], turnedAway: 0 };
  };
  const result: Result = {
    row: 'a row',
    transport: 'tcp',
    before: seen(0.5),
    preparing: seen(40),
    during: seen(3),
    seconds: 2,
    rssMegabytesBefore: 80,
    rssMegabytesMost: 90,
    ceilingMegabytes: 512,
    diskMegabytes: 0,
    logMegabytes: 0,
    cpuSeconds: 1,
    disturbed: 0,
    facts: [],
    problems: ['p99 40.0 ms of 3.0 while it was prepared'],
  };
  expect(tableOf([result])).toMatch(/\| a row \| tcp \| 0\.5 → 40 \| 40 \|.*✗ p99 40\.0 ms/);
  expect(tableOf([{ ...result, problems: [] }])).toContain('✓');
});
