/** Retained messages that are small take little memory, whatever came and went beside them. */
import { expect, test } from 'vitest';
import { RetainedMessages } from '../../../src/core/retained.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';

const aMessage = (topic: Topic, text: string) => Message.of(topic, Buffer.from(text), { retain: true });

/** All buffers that are kept alive by what is retained. */
function heldBytes(retained: RetainedMessages): number {
  const buffers = new Set([...retained].flatMap(({ bytes, topic }) => [bytes.buffer, topic.bytes.buffer]));
  return [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

test('messages that came among thousands of others hold none of their memory', () => {
  const retained = new RetainedMessages();
  for (let i = 0; i < 500; i++) {
    retained.set(aMessage(Topic.of(`device/${i}`), 'x'.repeat(40)));
    for (let k = 0; k < 50; k++) aMessage(Topic.of(`other/${i}/${k}`), 'y'.repeat(200));
  }
  expect(retained.count).toBe(500);
  expect(heldBytes(retained)).toBeLessThan(500 * 2 * 80);
});

test('those that stay move together when most others are replaced or removed', () => {
  const retained = new RetainedMessages();
  const topics = Array.from({ length: 5_000 }, (_, i) => Topic.of(`device/${i}`));
  for (const topic of topics) retained.set(aMessage(topic, `first of ${topic.name}`));
  // Every hundredth stays as it was.
  for (let round = 0; round < 20; round++) {
    for (const [i, topic] of topics.entries()) if (i % 100 !== 0) retained.set(aMessage(topic, `${round}`));
  }
  for (const [i, topic] of topics.entries()) if (i % 100 !== 0) retained.delete(topic.name);

  expect(retained.count).toBe(50);
  expect(retained.slabBytes).toBeLessThan(5 * 8_192);
  expect(heldBytes(retained)).toBeLessThan(5 * 8_192);
  for (const { topic, payload } of retained) {
    expect(payload.toString()).toBe(`first of ${topic.name}`);
    expect(topic.bytes.toString('utf8', topic.start + 2, topic.end)).toBe(topic.name);
  }
});

test('a message that others have keeps its bytes when it is replaced', () => {
  const retained = new RetainedMessages();
  const topic = Topic.of('a');
  const first = aMessage(topic, 'first');
  retained.set(first);
  const copy = first.renumbered(1);
  for (let i = 0; i < 2_000; i++) retained.set(aMessage(topic, `later ${i}`));

  expect([first.payload.toString(), copy.payload.toString()]).toEqual(['first', 'first']);
  expect(retained.of(topic)?.payload.toString()).toBe('later 1999');
  expect(retained.of(Topic.of('a'))).toBe(retained.get('a'));
});
