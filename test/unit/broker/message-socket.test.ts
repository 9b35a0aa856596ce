/** Messages as a stream over a WebSocket: the same stream as over HTTP, with acknowledgements on the same socket. */
import { describe, expect, test } from 'vitest';
import { apiBroker } from '../../support/api-broker.ts';
import { SocketClient } from '../../support/socket-client.ts';
import { unique } from '../../support/wire-client.ts';

const broker = apiBroker();

const urlOf = (query: string) => `${broker.url}/api/v1/messages/stream?${query}`;

/** A name of a stream belongs to a key. */
let key = '';

async function open(query: string): Promise<SocketClient> {
  key ||= await broker.keyFor('publisher');
  const client = await SocketClient.open(urlOf(query), { Authorization: `Bearer ${key}` });
  expect(await client.next()).toMatchObject({ event: 'opened' });
  return client;
}

test('a message of JSON is a message of the broker, with its payload decoded', async () => {
  const topic = unique('socket');
  const client = await open(`filter=${topic}&decode=auto`);
  await broker.sluice.publish(topic, Buffer.of(0xa1, 0x61, 0x74, 0x15), { qos: 1 });
  expect(await client.next()).toMatchObject({
    event: 'message',
    message: { topic, payload: '{"t":21}', encoding: 'json', format: 'cbor', decodeError: null },
  });
  await client.close();
  const sessions = async () => (await broker.sluice.command('clients list', { clientIdPrefix: '\0' })).items;
  await expect.poll(sessions).toEqual([]);
});

describe('a stream with a name', () => {
  test('is acknowledged over its socket, and goes on behind that', async () => {
    const [name, topic] = [unique('name'), unique('topic')];
    const first = await open(`filter=${topic}&name=${name}`);
    for (const payload of ['1', '2', '3']) await broker.sluice.publish(topic, payload, { qos: 1 });
    const numbers = [(await first.next()).number, (await first.next()).number, (await first.next()).number];
    first.send({ acknowledge: numbers[0] });
    first.send({ acknowledge: numbers[1] });
    const unacknowledged = async () => {
      const { items } = await broker.sluice.command('clients list', { clientIdPrefix: '\0' });
      return items.find(({ clientId }) => clientId.includes(name))?.inFlight;
    };
    await expect.poll(unacknowledged).toBe(1);
    await first.close();
    const second = await open(`filter=${topic}&name=${name}`);
    expect(await second.next()).toMatchObject({ number: numbers[2], message: { payload: '3' } });
    await second.close();
  });

  test('ends when another one takes its name, and says so', async () => {
    const query = `filter=a&name=${unique('name')}`;
    const first = await open(query);
    const second = await open(query);
    expect(await first.next()).toMatchObject({ event: 'ended', reason: 'another stream took its name' });
    expect(await first.closed).toEqual({ code: 1000, reason: '' });
    await second.close();
  });
});

test.each([
  ['what is no JSON', 'yes', 1007, 'expected {"acknowledge": number}'],
  ['another message', { publish: 'a' }, 1007, 'expected {"acknowledge": number}'],
  ['an acknowledgement of a stream without a name', { acknowledge: 1 }, 1008, /^a stream without a name/],
  ['more than a kilobyte', 'x'.repeat(2_000), 1009, ''],
])('%s ends it', async (_, message, code, reason) => {
  const client = await open('filter=a');
  client.send(message);
  const matching = typeof reason === 'string' ? reason : expect.stringMatching(reason);
  expect(await client.closed).toEqual({ code, reason: matching });
});

test('bytes end it', async () => {
  const client = await open('filter=a');
  client.socket.send(Buffer.of(1), { binary: true });
  expect(await client.closed).toEqual({ code: 1007, reason: 'expected text' });
});

test('a reader that takes nothing loses QoS 0, and is told how much', async () => {
  const topic = unique('slow');
  const client = await open(`filter=${topic}`);
  client.socket.pause();
  const payload = Buffer.alloc(100_000, 'x');
  const sent = 400;
  for (let i = 0; i < sent; i++) await broker.sluice.publish(topic, payload);
  client.socket.resume();
  let got = 0;
  let dropped = 0;
  while (got + dropped < sent) {
    const { event, count } = await client.next();
    if (event === 'dropped') dropped += count;
    else got++;
  }
  expect(got + dropped).toBe(sent);
  expect(dropped).toBeGreaterThan(0);
  await client.close();
});

test('the end of the broker ends it, and loses nothing that was not acknowledged', async () => {
  const [name, topic] = [unique('name'), unique('topic')];
  const client = await open(`filter=${topic}&name=${name}`);
  await broker.sluice.publish(topic, 'x', { qos: 1 });
  const { number } = await client.next();
  await broker.restart();
  expect(await client.next()).toMatchObject({ event: 'ended' });
  expect(await client.closed).toEqual({ code: 1001, reason: 'the broker stops' });
  const again = await open(`filter=${topic}&name=${name}`);
  expect(await again.next()).toMatchObject({ number, message: { payload: 'x' } });
  await again.close();
});
