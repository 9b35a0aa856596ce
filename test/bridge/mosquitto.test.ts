/** Bridges to Debian's Mosquitto, from either side. Left out where it is not installed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { bridgedBrokers, bridgeTo } from '../support/bridged.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { type Received, WireClient } from '../support/wire-client.ts';

const brokers = bridgedBrokers();
const directory = mkdtempSync(join(tmpdir(), 'sluice-mosquitto-'));
const running: Mosquitto[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));

if (!hasMosquitto) console.log('Bridges to Mosquitto are left out: there is no mosquitto here');

async function mosquitto(...settings: string[]): Promise<Mosquitto> {
  const started = await startMosquitto(directory, ['allow_anonymous true', ...settings]);
  running.push(started);
  return started;
}

const textOf = ({ topic, payload, qos, retain }: Received) => `${topic} ${payload} ${qos}${retain ? ' retained' : ''}`;

describe.skipIf(!hasMosquitto)('Mosquitto', () => {
  for (const version of ['5.0', '3.1.1'] as const) {
    for (const qos of [0, 1, 2] as const) {
      test(`gets and sends messages of QoS ${qos} (${version})`, async () => {
        const { port } = await mosquitto();
        const there = await WireClient.connect(port, { version: 5 });
        await there.subscribe('site7/up', { qos: 2 });
        const publisher = await WireClient.connect(port, { version: 5 });
        const topics = [
          { filter: '#', direction: 'both', qos: 2, localPrefix: 'local/', remotePrefix: 'site7/' },
        ] as const;
        const edge = await brokers.start({ bridges: [bridgeTo(port, { version, topics: [...topics] })] });
        const here = await WireClient.connect(edge.port, { version: 5 });
        await here.subscribe('local/down', { qos: 2 });
        await edge.connected();

        await here.publish('local/up', 'x', { qos });
        const out = await there.next('publish');
        await publisher.publish('site7/down', 'y', { qos });
        const back = await here.next('publish');

        expect(textOf(out)).toBe(`site7/up x ${qos}`);
        expect(textOf(back)).toBe(`local/down y ${qos}`);
      });
    }

    test(`is not sent back what came from it, nor sends back what it got (${version})`, async () => {
      const { port } = await mosquitto();
      const topics = [{ filter: '#', direction: 'both', qos: 1 }] as const;
      const edge = await brokers.start({ bridges: [bridgeTo(port, { version, topics: [...topics] })] });
      await edge.connected();
      const [there, here] = [await WireClient.connect(port), await WireClient.connect(edge.port)];
      const [atThere, atHere] = [await WireClient.connect(port), await WireClient.connect(edge.port)];
      await there.subscribe('#', { qos: 1 });
      await here.subscribe('#', { qos: 1 });

      await atThere.publish('a', 'from there', { qos: 1 });
      await atHere.publish('b', 'from here', { qos: 1 });
      const seenHere = [textOf(await here.next('publish')), textOf(await here.next('publish'))];
      const seenThere = [textOf(await there.next('publish')), textOf(await there.next('publish'))];

      expect([seenHere.sort(), seenThere.sort()]).toEqual([
        ['a from there 1', 'b from here 1'],
        ['a from there 1', 'b from here 1'],
      ]);
      await new Promise((resolve) => setTimeout(resolve, 200));
      await here.nothingElse();
      await there.nothingElse();
    });
  }

  test('has the state of a bridge that tells it, also once the link is lost', async () => {
    const { port } = await mosquitto();
    const there = await WireClient.connect(port, { version: 5 });
    await there.subscribe('$SYS/broker/connection/site7/state', { qos: 0 });
    const topics = [{ filter: 'up/#' }];
    const edge = await brokers.start({
      bridges: [bridgeTo(port, { topics, clientId: 'site7', notifications: { remote: true } })],
    });
    expect(textOf(await there.next('publish'))).toMatch(/ 1 0$/);

    await edge.app!.bridges.get('up')!.cut();

    expect(textOf(await there.next('publish'))).toMatch(/ 0 0$/);
    expect(textOf(await there.next('publish'))).toMatch(/ 1 0$/);
  });

  test('as the bridge, gets nothing back that it brought, and RETAIN as it was published', async () => {
    const broker = await brokers.start();
    const { port } = await mosquitto('connection sluice', `address 127.0.0.1:${broker.port}`, 'topic # both 1');
    const state = await WireClient.connect(broker.port);
    await state.subscribe('$SYS/broker/connection/+/state');
    expect(textOf(await state.next('publish'))).toMatch(/\.sluice\/state 1 0/);
    const [there, atThere] = [await WireClient.connect(port, { version: 5 }), await WireClient.connect(port)];
    await there.subscribe('#', { qos: 0, rap: true });
    const here = await WireClient.connect(broker.port, { version: 5 });
    await here.subscribe('a', { qos: 0 });
    let tries = 0;
    // Until the bridge is there.
    while (here.waiting.length === 0) {
      await atThere.publish('a', `${++tries}`, { qos: 1 });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const atHere = await WireClient.connect(broker.port);
    await atHere.publish('b', 'x', { qos: 1, retain: true });

    const seen = (await there.collect('publish', tries + 1)).map(textOf);
    expect(seen.at(-1)).toBe('b x 0 retained');
    await there.nothingElse();
  });
});
