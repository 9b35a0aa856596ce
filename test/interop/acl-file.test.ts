/**
 * One ACL file with every construct, on Sluice and on Debian's Mosquitto: the same clients may do the same on both.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createBroker, type SluiceBroker } from '../../src/index.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { type ConnectOptions, WireClient } from '../support/wire-client.ts';

const aclFile = `# Without a username:
topic read public/#
topic deny public/secret
topic write inbox/+
topic   both
topic readwrite with space/x
topic read größe/#
topic read

user source
topic #
topic $own/#

user observer
topic read #
topic read $own/#
topic read $share/#

   user ada
topic readwrite own/#
topic deny own/secret/#
topic deny own/+/hidden
topic write dropped/only
topic read $SYS/#
topic $own/#
topic readwrite $share/#
topic /leading/#
topic write a/+/c
topic +/wild

user bob smith
topic read #
topic deny public/#
topic read $SYS/broker/#
topic deny $SYS/broker/version

user empty

user a/b
topic public/1

user x+y
topic read public/1

user ada
topic write later/x

pattern devices/%c/#
pattern deny devices/%c/private
pattern write status/%u
pattern read to/%u/%c
pattern read mixed-%u-%c/%%u
pattern read %u/inbox
pattern news/#
pattern deny own/denied-by-pattern
pattern write %c
`;

const clients: ConnectOptions[] = [
  { clientId: 'c1' },
  { clientId: 'c2', username: 'ada' },
  { clientId: 'c3', username: 'bob smith' },
  { clientId: 'c4', username: 'empty' },
  { clientId: 'c5', username: 'unknown' },
  { clientId: 'a/b', username: 'a/b' },
  { clientId: 'a+b', username: 'ada' },
  { clientId: 'a#' },
  { clientId: 'c6', username: 'x+y' },
  { clientId: '$SYS', username: '$SYS' },
  { clientId: '%u', username: '%c' },
  { clientId: '__proto__', username: '__proto__' },
  { clientId: 'constructor', username: 'constructor' },
  { clientId: 'c7', username: '' },
];

const topics = [
  ...['public/1', 'public', 'public/secret', 'inbox/1', 'inbox/1/2', 'both', 'with space/x', 'größe/1', 'read'],
  ...['own', 'own/1', 'own/secret', 'own/secret/1', 'own/x/hidden', 'own/denied-by-pattern', 'dropped/only', '$own/x'],
  ...['/leading', '/leading/x', 'a/b/c', 'a//c', 'x/wild', 'later/x', '$share/g/x', 'news', 'news/1', 'nobody'],
  ...['devices/c1/x', 'devices/c1', 'devices/c1/private', 'devices/c2/x', 'devices/a/b', 'devices/a/b/private'],
  ...['devices/a+b', 'devices/+/x', 'devices/__proto__/x', 'devices/constructor', 'devices/%u/x', '__proto__'],
  ...['status/ada', 'status/unknown', 'status/a/b', 'status/', 'to/ada/c2', 'to/a/b/a/b', 'to/empty/c4', 'to//c7'],
  ...['mixed-ada-c2/%ada', 'mixed-a/b-a/b/%a/b', 'ada/inbox', '$SYS/inbox', '__proto__/inbox', '/inbox', 'c1', 'a/b'],
].filter((topic) => !/[+#]/.test(topic));

const filters = ['#', '+/+', 'public/secret', 'own/#', 'nobody', '$SYS/#', '$own/#', 'devices/+/x', '/#'];

let directory: string;
let mosquitto: Mosquitto | null = null;
let sluice: SluiceBroker;

const sluicePort = () => sluice.listeners[0]!.port;
const mosquittoPort = () => mosquitto!.port;

beforeAll(async () => {
  if (!hasMosquitto) return;
  directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  const file = join(directory, 'acl');
  writeFileSync(file, aclFile, { mode: 0o644 });
  mosquitto = await startMosquitto(directory, ['allow_anonymous true', `acl_file ${file}`, 'sys_interval 1']);
  sluice = await createBroker({
    config: {
      listeners: [{ kind: 'tcp', port: 0 }],
      store: { kind: 'memory' },
      log: { level: 'silent' },
      sysIntervalSeconds: 1,
      allowedDollarPrefixes: ['$own'],
      authorization: { aclFile: file },
    },
  });
  for (const port of [mosquittoPort(), sluicePort()]) {
    const client = await WireClient.connect(port, { username: 'ada' });
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '$SYS/broker/version', qos: 0 }] });
    await client.collect('publish', 1);
    await client.disconnect();
  }
});

afterAll(async () => {
  await sluice?.close();
  await mosquitto?.stop();
  if (directory !== undefined) rmSync(directory, { recursive: true });
});

type Version = 4 | 5;
const nameOf = ({ clientId, username }: ConnectOptions) => `${clientId} as ${username ?? 'nobody'}`;
const isRefused = (code: number | undefined) => (code ?? 0) >= 0x80;

/** Everything that was sent to the client so far; the answer to a ping comes behind it. */
async function arrived(client: WireClient): Promise<{ topic: string; payload: string }[]> {
  client.send({ cmd: 'pingreq' });
  const found: { topic: string; payload: string }[] = [];
  for (;;) {
    const packet = await client.next();
    if (packet.cmd === 'pingresp') return found;
    if (packet.cmd === 'publish') found.push({ topic: packet.topic!, payload: packet.payload!.toString() });
  }
}

const topicsOf = (messages: readonly { topic: string }[]) =>
  messages
    .map(({ topic }) => topic)
    .filter((topic) => topics.includes(topic) || topic === '$SYS/broker/version')
    .sort();

/** Topics of what has come, at least so many; a client that gets fewer waits until the test ends. */
async function arrivedTopics(client: WireClient, atLeast: number): Promise<string[]> {
  let found = topicsOf(await arrived(client));
  while (found.length < atLeast) found = [...found, ...topicsOf(await arrived(client))].sort();
  return found;
}

async function observer(port: number, version: Version): Promise<WireClient> {
  const client = await WireClient.connect(port, { version, username: 'observer' });
  await client.subscribe('#');
  await client.subscribe('$own/#');
  return client;
}

interface Published {
  /** Topic and payload. */
  readonly published: readonly string[];
  /** Topics. */
  readonly refused: readonly string[];
}

interface Delivered {
  readonly retained: Record<string, { readonly granted: number[]; readonly topics: readonly string[] }>;
  readonly live: readonly string[];
}

/** What of each client's publications an observer sees, and, in 5.0, whether the client was told of a refusal. */
async function publications(port: number, version: Version): Promise<Record<string, Published>> {
  const seen = await observer(port, version);
  const all: Record<string, Published> = {};
  for (const options of clients) {
    const client = await WireClient.connect(port, { version, ...options });
    const refused: string[] = [];
    for (const topic of topics) {
      await client.publish(topic, 'QoS 0');
      const puback = await client.publish(topic, 'QoS 1', { qos: 1 });
      const pubrec = await client.publish(topic, 'QoS 2', { qos: 2 });
      if (isRefused(puback!.reasonCode) && isRefused(pubrec!.reasonCode)) refused.push(topic);
    }
    await client.disconnect();
    const published = (await arrived(seen)).filter(({ topic }) => topics.includes(topic));
    all[nameOf(options)] = { published: published.map(({ topic, payload }) => `${topic}: ${payload}`), refused };
  }
  return all;
}

/**
 * What each client is granted and delivered: retained by filter, and live. A ping may be answered before the last
 * retained message comes, so as many as the other broker sent are waited for.
 */
async function deliveries(
  port: number,
  version: Version,
  expected?: Record<string, Delivered>,
): Promise<Record<string, Delivered>> {
  const source = await WireClient.connect(port, { version, username: 'source', clientId: 'source' });
  for (const topic of topics) await source.publish(topic, 'kept', { qos: 1, retain: true });
  const all: Record<string, Delivered> = {};
  for (const options of clients) {
    const client = await WireClient.connect(port, { version, ...options });
    const retained: Delivered['retained'] = {};
    for (const filter of filters) {
      const { granted } = await withSuback(client, filter);
      const { topics: awaited } = expected?.[nameOf(options)]?.retained[filter] ?? { topics: [] };
      retained[filter] = { granted, topics: await arrivedTopics(client, awaited.length) };
      await client.unsubscribe(filter).catch(() => {});
    }
    await arrived(client);
    for (const filter of ['#', '$own/#']) await withSuback(client, filter);
    const kept = ['#', '$own/#'].flatMap((filter) => expected?.[nameOf(options)]?.retained[filter]?.topics ?? []);
    await arrivedTopics(client, kept.length);
    for (const topic of topics) await source.publish(topic, 'live', { qos: 1 });
    const live = topicsOf(await arrived(client));
    await client.disconnect();
    all[nameOf(options)] = { retained, live };
  }
  for (const topic of topics) await source.publish(topic, '', { qos: 1, retain: true });
  await source.disconnect();
  return all;
}

/** Mosquitto sends retained messages before the SUBACK; they are taken with what comes behind it. */
async function withSuback(client: WireClient, filter: string): Promise<{ granted: number[] }> {
  client.send({ cmd: 'subscribe', messageId: client.newId(), subscriptions: [{ topic: filter, qos: 0 }] });
  const early = [];
  for (;;) {
    const packet = await client.next();
    if (packet.cmd !== 'suback') early.push(packet);
    else {
      client.waiting.unshift(...early);
      return { granted: packet.granted! };
    }
  }
}

/** Which clients' wills an observer sees. Every client comes in, whatever its will. */
async function wills(port: number, version: Version): Promise<string[]> {
  const seen = await observer(port, version);
  for (const options of clients) {
    for (const topic of [
      'public/1',
      'inbox/1',
      'own/1',
      'own/secret',
      'devices/c1/x',
      'devices/a/b',
      'status/unknown',
    ]) {
      const will = { topic, payload: `will of ${nameOf(options)}` };
      const client = await WireClient.connect(port, { version, will, ...options });
      await client.vanish();
      // Whoever takes over the session finds it ended, and its will published or not.
      await (await WireClient.connect(port, { version, ...options })).disconnect();
    }
  }
  return (await arrived(seen)).map(({ topic, payload }) => `${topic}: ${payload}`).sort();
}

describe.runIf(hasMosquitto)('an ACL file decides as on Mosquitto', () => {
  for (const version of [4, 5] as const) {
    const name = version === 5 ? '5.0' : '3.1.1';
    test(`what is published (${name})`, async () => {
      const expected = await publications(mosquittoPort(), version);
      const ada = expected['c2 as ada']!;
      expect(ada.published).toContain('own/1: QoS 2');
      expect(ada.refused).toEqual(version === 5 ? expect.arrayContaining(['own/secret', '$share/g/x']) : []);
      expect(await publications(sluicePort(), version)).toEqual(expected);
    });
    test(`what is granted and delivered, retained and live (${name})`, async () => {
      const expected = await deliveries(mosquittoPort(), version);
      expect(expected['c3 as bob smith']!.live).toContain('nobody');
      expect(expected['c2 as ada']!.retained['$SYS/#']).toEqual({ granted: [0], topics: ['$SYS/broker/version'] });
      expect(await deliveries(sluicePort(), version, expected)).toEqual(expected);
    });
    test(`which wills are published (${name})`, async () => {
      const expected = await wills(mosquittoPort(), version);
      expect(expected).toContain('own/1: will of c2 as ada');
      expect(await wills(sluicePort(), version)).toEqual(expected);
    });
  }
});
