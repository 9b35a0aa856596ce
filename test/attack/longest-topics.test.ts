/** Topics and filters as long as the standard lets them be, which is longer than a broker by default allows. */
import { expect, test } from 'vitest';
import { testBroker } from '../support/broker.ts';

const broker = testBroker();

test.each([
  ['65,535 bytes', 'x'.repeat(65_535)],
  ['65,536 levels', '/'.repeat(65_535)],
])('topics and filters of %s are refused', async (_what, topic) => {
  const client = await broker.connect({ version: 5 });
  expect((await client.subscribe(topic)).granted).toEqual([0x8f]);
  await client.publish(topic, 'x');
  expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x90]);
  const older = await broker.connect({ version: 4 });
  expect((await older.subscribe(topic)).granted).toEqual([0x80]);
  await older.publish(topic, 'x');
  expect(await older.closed()).toEqual([]);
  await expect(broker.connect({ version: 5, will: { topic, payload: 'x' } })).rejects.toThrow('144');
});
