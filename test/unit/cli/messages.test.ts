/** `sluice publish`, `sluice messages stream` and the queue of an absent client, on a running broker. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import { cliBroker } from '../../support/cli-broker.ts';
import { FakeIo } from '../../support/fake-io.ts';
import { unique } from '../../support/wire-client.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-messages-'));
afterAll(() => rmSync(folder, { recursive: true }));
const broker = cliBroker({ authorization: { default: 'allow', rules: [{ deny: 'publish', topics: ['no/#'] }] } });
const { ask } = broker;

/** A subscriber, and what it got next. */
async function subscribed(topic: string) {
  const client = await broker.connect({ version: 5 });
  await client.subscribe(topic, { qos: 1 });
  return async () => {
    const { payload, qos, retain, properties } = await client.next('publish');
    return { payload: String(payload), qos, retain, properties };
  };
}

describe('publish', () => {
  test('takes one message by options, with its properties', async () => {
    const topic = unique('topic');
    const next = await subscribed(topic);
    const argv = ['--topic', topic, '--payload', '-5', '--qos', '1', '--content-type', 'text/plain'];
    expect(await ask('publish', ...argv, '--property', 'a=b=c', '--property', 'd=')).toBe('0 published\n');
    expect(await next()).toMatchObject({
      payload: '-5',
      qos: 1,
      properties: { contentType: 'text/plain', userProperties: { a: 'b=c', d: '' } },
    });
  });

  test('takes the payload out of a file or from standard input, whatever bytes it has', async () => {
    const topic = unique('topic');
    const next = await subscribed(topic);
    const file = join(folder, 'payload');
    writeFileSync(file, 'out of a file');
    expect(await ask('publish', '--topic', topic, '--payload-file', file)).toBe('0 published\n');
    expect(await next()).toMatchObject({ payload: 'out of a file' });
    const io = new FakeIo();
    io.stdin.end('from standard input');
    expect(await run(['publish', '--topic', topic, '--payload-file', '-', '--data-dir', broker.directory], io)).toBe(0);
    expect(await next()).toMatchObject({ payload: 'from standard input' });
  });

  test('takes several as JSON, and says what became of each', async () => {
    const topic = unique('topic');
    const messages = JSON.stringify([{ topic }, { topic: 'nobody/there' }]);
    const next = await subscribed(topic);
    expect(await ask('publish', '--messages', messages)).toBe(
      '0 published\npublished; nobody is subscribed to the topic\n',
    );
    await next();
  });

  test.each([
    [[], '2 --topic is missing; see sluice publish --help\n'],
    [
      ['--topic', 'a/#', '--qos', '3'],
      /^2 --topic: expected a topic name.*\n--qos: expected one of 0, 1, 2, found 3\n$/,
    ],
    [['--topic', 'a', '--property', 'x'], '2 --property wants NAME=TEXT, not "x"\n'],
    [['--topic', 'a', '--payload-file', '/nowhere'], /^1 Cannot read --payload-file \/nowhere: there is no such file/],
    [['--messages', '[{"topic":"a"},{"topic":""}]'], /^2 --messages, item 2, topic: expected a topic name/],
    [['--messages', '[{"payload":"a"}]'], '2 --topic is missing\n'],
    [['--messages', '[{"topic":"a"}]', '--qos', '1'], '2 --messages has all of the messages: leave out --qos\n'],
    [['--topic', 'a', '--message-expiry', 'soon'], /^2 --message-expiry wants a time as 90s/],
  ])('says what is wrong in its own words: %j', async (argv, expected) => {
    const said = await ask('publish', ...argv);
    if (typeof expected === 'string') expect(said).toBe(expected);
    else expect(said).toMatch(expected);
  });
});

test('messages stream is a line for each message, with its payload', async () => {
  const topic = unique('topic');
  const { io, code } = broker.begin('messages', 'stream', '--filter', `${topic}/#`, '--qos', '1');
  const publish = (payload: string) => ask('publish', '--topic', `${topic}/a`, '--payload', payload, '--qos', '1');
  await expect.poll(() => publish('first')).toBe('0 published\n');
  await publish('two\nlines\u001b[2J');
  await io.stdout.until(/lines/);
  io.signal();
  expect(await code).toBe(0);
  const lines = io.stdout.text.trimEnd().split('\n');
  expect(lines).toContain(`${topic}/a  QoS 1  first`);
  expect(lines.at(-1)).toBe(`${topic}/a  QoS 1  two\\u000alines\\u001b[2J`);
});

test('the queue of a client that is away tells topics and QoS, also of what is on disk only', async () => {
  const [clientId, topic] = [unique('away'), unique('topic')];
  const client = await broker.connect({ version: 5, clientId, properties: { sessionExpiryInterval: 100 } });
  await client.subscribe(`${topic}/#`, { qos: 2 });
  await client.disconnect();
  const publisher = await broker.connect({ version: 5 });
  // More than stays in memory for one client that is away.
  for (let i = 0; i < 300; i++)
    await publisher.publish(`${topic}/${i}`, 'x'.repeat(10_000), { qos: i % 2 === 0 ? 1 : 2 });
  const lines = (await ask('queue', clientId, '--json')).slice(2).trimEnd().split('\n');
  const items = lines.map((line) => JSON.parse(line) as { topic: string; qos: number });
  expect(items.map(({ topic: name, qos }) => `${name} ${qos}`)).toEqual(
    Array.from({ length: 300 }, (_, i) => `${topic}/${i} ${i % 2 === 0 ? 1 : 2}`),
  );
});
