/** Wills, DISCONNECT, and how connections end: chapters 3.1.2.5, 3.14, 4.13. */
import { describe, expect, test } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { type Received, unique } from '../support/wire-client.ts';

const broker = testBroker();
const text = (packet: Received) => packet.payload?.toString();
const hex = (bytes: string) => Buffer.from(bytes.replaceAll(' ', ''), 'hex');

/** Somebody who sees what happens on a topic of its own. */
async function witnessed(version: 4 | 5) {
  const topic = unique('will');
  const witness = await broker.connect({ version });
  await witness.subscribe(topic, { qos: 2, rap: true });
  return { topic, witness };
}

describe('the will', () => {
  broker.both(
    'it is published when the connection ends without DISCONNECT, once [MQTT5 3.1.2-7] [MQTT5 3.1.2-8] [MQTT3 3.1.2-8] [MQTT5 3.1.2-10] [MQTT3 3.1.2-10]',
    async (version) => {
      const { topic, witness } = await witnessed(version);
      const clientId = unique('id');
      const expiry = version === 5 ? { properties: { sessionExpiryInterval: 1_000 } } : {};
      const client = await broker.connect({
        version,
        clientId,
        clean: false,
        will: { topic, payload: 'gone', qos: 1 },
        ...expiry,
      });
      await client.vanish();
      const got = await witness.next('publish');
      expect([text(got), got.qos]).toEqual(['gone', 1]);
      await witness.acknowledge(got);
      const again = await broker.connect({ version, clientId, clean: false });
      await again.vanish();
      await witness.nothingElse();
    },
  );

  broker.both(
    'a DISCONNECT discards it [MQTT5 3.14.4-3] [MQTT3 3.14.4-3] [MQTT5 3.1.2-10] [MQTT3 3.1.2-10]',
    async (version) => {
      const { topic, witness } = await witnessed(version);
      const client = await broker.connect({ version, will: { topic, payload: 'gone' } });
      await client.disconnect();
      await witness.nothingElse();
    },
  );

  test('a DISCONNECT with reason 0x04 publishes it [MQTT5 3.1.2-8]', async () => {
    const { topic, witness } = await witnessed(5);
    const client = await broker.connect({ version: 5, will: { topic, payload: 'gone' } });
    await client.disconnect(0x04);
    await witness.next('publish');
  });

  test('a DISCONNECT that breaks the protocol publishes it, as every protocol error does [MQTT5 3.1.2-8] [MQTT5 3.14.4-3]', async () => {
    const { topic, witness } = await witnessed(5);
    const client = await broker.connect({ version: 5, will: { topic, payload: 'gone' } });
    client.sendBytes('e0 06 00 04 1c 0001 61'); // Server Reference, which only a server gives
    expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x82]);
    expect(text(await witness.next('publish'))).toBe('gone');
  });

  broker.both('without a will nothing is published [MQTT3 3.1.2-12]', async (version) => {
    const witness = await broker.connect({ version });
    const client = await broker.connect({ version });
    await witness.subscribe('#', { rh: 2 });
    await client.vanish();
    await witness.nothingElse();
  });

  broker.both(
    'it is retained or not as Will Retain says [MQTT5 3.1.2-14] [MQTT3 3.1.2-16] [MQTT5 3.1.2-15] [MQTT3 3.1.2-17]',
    async (version) => {
      for (const retain of [false, true]) {
        const { topic, witness } = await witnessed(version);
        const client = await broker.connect({ version, will: { topic, payload: 'gone', retain } });
        await client.vanish();
        await witness.next('publish');
        const later = await broker.connect({ version });
        await later.subscribe(topic);
        if (retain) expect((await later.next('publish')).retain).toBe(true);
        await later.nothingElse();
      }
    },
  );

  test('its properties go with it, user properties in their order [MQTT5 3.1.3-10]', async () => {
    const witness = await broker.connect({ version: 5 });
    await witness.subscribe('w');
    const client = await broker.open(5);
    // Will with user properties b=1, a=2, b=3, content type "c" and correlation data 00ff.
    const properties = '26 0001 62 0001 31 26 0001 61 0001 32 26 0001 62 0001 33 03 0001 63 09 0002 00ff';
    const length = hex(properties).length.toString(16);
    const body = hex(`0004 4d515454 05 06 0000 00 0001 77 ${length} ${properties} 0001 77 0001 78`);
    client.sendBytes(Buffer.concat([Buffer.from([0x10, body.length]), body]));
    await client.next('connack');
    await client.vanish();
    const got = await witness.next('publish');
    expect(got.raw.toString('hex')).toContain(
      hex('26 0001 62 0001 31 26 0001 61 0001 32 26 0001 62 0001 33').toString('hex'),
    );
    expect(got.properties).toMatchObject({ contentType: 'c', correlationData: hex('00ff') });
  });

  test('a delayed will is not published if the client is back in time [MQTT5 3.1.3-9] [MQTT5 3.1.2-8]', async () => {
    const { topic, witness } = await witnessed(5);
    const clientId = unique('id');
    const properties = { sessionExpiryInterval: 1_000 };
    const will = { topic, payload: 'late', properties: { willDelayInterval: 1 } };
    const client = await broker.connect({ version: 5, clientId, properties, will });
    await client.vanish();
    await broker.connect({ version: 5, clientId, clean: false, properties });
    // Another will with the same delay, begun later, comes; the cancelled one would have come before.
    const other = await broker.connect({ version: 5, properties, will: { ...will, payload: 'other' } });
    await other.vanish();
    expect(text(await witness.next('publish'))).toBe('other');
    await witness.nothingElse();
  });

  test('a delayed will is published at once when the session ends first [MQTT5 3.1.2-8]', async () => {
    const { topic, witness } = await witnessed(5);
    const clientId = unique('id');
    const will = { topic, payload: 'ended', properties: { willDelayInterval: 1_000 } };
    const client = await broker.connect({ version: 5, clientId, properties: { sessionExpiryInterval: 2_000 }, will });
    await client.vanish();
    await broker.connect({ version: 5, clientId, clean: true });
    expect(text(await witness.next('publish'))).toBe('ended');
    const short = await broker.connect({ version: 5, properties: { sessionExpiryInterval: 1 }, will });
    await short.vanish();
    expect(text(await witness.next('publish'))).toBe('ended');
  });

  test('a takeover publishes a will without delay [MQTT5 3.1.2-8]', async () => {
    const { topic, witness } = await witnessed(5);
    const clientId = unique('id');
    await broker.connect({ version: 5, clientId, will: { topic, payload: 'taken over' } });
    await broker.connect({ version: 5, clientId });
    expect(text(await witness.next('publish'))).toBe('taken over');
  });
});

describe('DISCONNECT', () => {
  broker.both('with reserved flags it is malformed [MQTT5 3.14.1-1] [MQTT3 3.14.1-1]', async (version) => {
    const { topic, witness } = await witnessed(version);
    const client = await broker.connect({ version, will: { topic, payload: 'not in good order' } });
    client.sendBytes('e1 00');
    expect((await client.closed()).map(({ reasonCode }) => reasonCode)).toEqual(version === 5 ? [0x81] : []);
    await witness.next('publish');
  });

  broker.both(
    'the broker closes the connection after it, and sends nothing more [MQTT5 3.14.4-1] [MQTT5 3.14.4-2]',
    async (version) => {
      const client = await broker.connect({ version });
      client.sendBytes(version === 5 ? 'e0 00 c0 00' : 'e000 c000'); // a PINGREQ behind it
      expect(await client.closed()).toEqual([]);
      // Its own DISCONNECT is the last thing it says as well.
      const faulty = await broker.connect({ version: 5 });
      faulty.sendBytes('c1 00 c0 00');
      expect((await faulty.closed()).map(({ cmd }) => cmd)).toEqual(['disconnect']);
    },
  );

  test('ours has a code of its table, no Session Expiry Interval, and no reason string where it would not fit [MQTT5 3.14.2-1] [MQTT5 3.14.2-2] [MQTT5 3.14.2-3] [MQTT5 3.14.2-4] [MQTT5 4.13.1-1] [MQTT5 4.13.2-1]', async () => {
    for (const [maximumPacketSize, hasReason] of [
      [20, false],
      [1_000, true],
    ] as const) {
      const client = await broker.connect({ version: 5, properties: { maximumPacketSize } });
      client.sendBytes('c1 00');
      const [last, ...more] = await client.closed();
      expect(more).toEqual([]);
      expect(last?.reasonCode).toBe(0x81);
      expect(last?.raw.length).toBeLessThanOrEqual(maximumPacketSize);
      expect(last?.properties ?? {}).not.toHaveProperty('sessionExpiryInterval');
      expect(Boolean(last?.properties?.reasonString)).toBe(hasReason);
    }
  });

  test('a client that leaves no room even for CONNACK is let go', async () => {
    const client = await broker.open(5);
    client.sendConnect({ properties: { maximumPacketSize: 10 } });
    expect((await client.closed()).map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([['connack', 0x95]]);
  });

  test('it may change the Session Expiry Interval, but not from 0', async () => {
    const clientId = unique('id');
    const client = await broker.connect({ version: 5, clientId, properties: { sessionExpiryInterval: 1_000 } });
    await client.disconnect(0, { sessionExpiryInterval: 0 });
    const again = await broker.connect({ version: 5, clientId, clean: false });
    expect(again.connack?.sessionPresent).toBe(false);
    again.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 10 } });
    expect((await again.closed()).map(({ reasonCode }) => reasonCode)).toEqual([0x82]);
  });

  broker.both(
    'a protocol error ends that connection and no other [MQTT3 4.8.0-1] [MQTT5 4.13.1-1]',
    async (version) => {
      const healthy = await broker.connect({ version });
      const faulty = await broker.connect({ version });
      faulty.sendBytes('00 00');
      await faulty.closed();
      await healthy.nothingElse();
    },
  );
});
