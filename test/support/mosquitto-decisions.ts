/**
 * What clients may do on a broker, Mosquitto or Sluice, found out as clients do; and what draws share.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { importMosquitto } from '../../src/import/mosquitto/import.ts';
import { createBroker, type SluiceBroker } from '../../src/index.ts';
import { type Received, WireClient } from './wire-client.ts';

export const topics = ['a', 'a/b', 'a/b/c', 'b', 'b/ada', 'c/one', 'c/two', 'ada/one', '$x/a'];
export const clients = [
  { clientId: 'one', username: 'ada', password: 'right' },
  { clientId: 'two', username: 'bob', password: 'right' },
  { clientId: 'a+b', username: 'ada', password: 'right' },
  { clientId: 'three', username: 'ada', password: 'wrong' },
  { clientId: 'four', username: 'nobody', password: 'right' },
  { clientId: 'five', username: 'ada' },
  { clientId: 'six' },
];

export const level = fc.constantFrom('a', 'b', 'c', '+', 'ada', 'one');
export const filter = fc
  .tuple(fc.array(level, { maxLength: 3 }), fc.boolean())
  .map(([levels, isOpen]) => [...levels, ...(isOpen || levels.length === 0 ? ['#'] : [])].join('/'));

export interface Decision {
  readonly port: number;
  readonly clientId: string;
  readonly isIn: boolean;
  /** Topics that it may not publish to. */
  readonly refused: readonly string[];
  /** Topics that it gets. */
  readonly received: readonly string[];
}

const codeOf = ({ reasonCode, returnCode }: Received) => reasonCode ?? returnCode ?? 0;

/** Of each listener, what each client may do there; `filters`: what it subscribes to. */
export async function decisions(
  ports: readonly number[],
  filters: readonly string[] = ['#', '$x/#'],
): Promise<Decision[]> {
  const found: Decision[] = [];
  for (const [index, port] of ports.entries()) {
    for (const client of clients)
      found.push({ port: index, clientId: client.clientId, ...(await whatMay(port, client, filters)) });
  }
  return found;
}

async function whatMay(
  port: number,
  options: (typeof clients)[number],
  filters: readonly string[],
): Promise<Pick<Decision, 'isIn' | 'refused' | 'received'>> {
  const client = await WireClient.open(port, 5);
  client.sendConnect(options);
  const connack = await client.next('connack').catch(() => null);
  if (connack === null || codeOf(connack) !== 0) return { isIn: false, refused: [], received: [] };
  const refused: string[] = [];
  for (const topic of topics) {
    const answer = await client.publish(topic, 'from it', { qos: 1 });
    if (codeOf(answer!) >= 0x80) refused.push(topic);
  }
  const received = await receivedBy(client, port, filters);
  await client.disconnect();
  return { isIn: true, refused, received };
}

/** Nothing where nobody may write everything. */
async function receivedBy(client: WireClient, port: number, filters: readonly string[]): Promise<string[]> {
  const options = { version: 5 as const, username: 'source', password: 'right' };
  const source = await WireClient.connect(port, options).catch(() => null);
  if (source === null) return [];
  for (const each of filters) await client.subscribe(each);
  for (const topic of topics) await source.publish(topic, 'to it', { qos: 1 });
  await source.disconnect();
  client.send({ cmd: 'pingreq' });
  const found = new Set<string>();
  for (;;) {
    const packet = await client.next();
    if (packet.cmd === 'pingresp') return [...found].sort();
    if (packet.cmd === 'publish' && packet.payload!.toString() === 'to it') found.add(packet.topic!);
  }
}

/** Sluice with what it makes of `folder/mosquitto.conf`, at the same ports; Mosquitto is gone by now. */
export async function startImported(folder: string): Promise<{ sluice: SluiceBroker; notes: readonly string[] }> {
  const { config, files, notes } = importMosquitto(join(folder, 'mosquitto.conf'));
  const texts = files.map(({ name, text }) => {
    writeFileSync(join(folder, name), text);
    return [`"file":"${name}"`, `"file":"${join(folder, name)}"`] as const;
  });
  const own = JSON.parse(texts.reduce((all, [name, path]) => all.replaceAll(name, path), JSON.stringify(config)));
  // Without an ACL file, the report names the setting that opens these topics.
  const dollars = notes.some((note) => note.includes('allowedDollarPrefixes')) ? { allowedDollarPrefixes: ['$x'] } : {};
  const quiet = { log: { level: 'silent' }, penalties: { failuresPerUser: 0, failuresPerAddress: 0, delayMs: 0 } };
  return { sluice: await createBroker({ config: { ...own, ...dollars, ...quiet } }), notes };
}
