/** Many connections: as such, and as the holders of subscriptions that match nothing. */
import { setTimeout as delay } from 'node:timers/promises';
import { processUsage } from '../process-usage.ts';
import { LoadClient, subscribePacket, unsubscribePacket } from './client.ts';
import { Histogram } from './histogram.ts';
import { type LoadOptions, ownName } from './options.ts';
import { nowMicroseconds } from './publisher.ts';

const filtersPerPacket = 200;

/** Subscriptions that no message of the run matches, but whose filters have wildcards where it has levels. */
export async function connectOthers(options: LoadOptions): Promise<LoadClient[]> {
  const { otherSubscriptions, otherConnections, url, version } = options;
  if (otherSubscriptions === 0) return [];
  const clients: LoadClient[] = [];
  const each = Math.ceil(otherSubscriptions / otherConnections);
  for (let first = 0; first < otherSubscriptions; first += each) {
    const client = await LoadClient.connect({ url, version, clientId: `${ownName}-other-${first}` });
    clients.push(client);
    const filters = Array.from({ length: Math.min(each, otherSubscriptions - first) }, (_, i) =>
      otherFilter(first + i),
    );
    for (let i = 0; i < filters.length; i += filtersPerPacket) {
      await client.subscribe(filters.slice(i, i + filtersPerPacket), 0);
    }
  }
  return clients;
}

const otherFilter = (i: number) => (i % 2 === 0 ? `other/area${i % 97}/+/device${i}/#` : `+/device${i}/state/#`);

/**
 * A client that subscribes and unsubscribes beside the traffic, whose topics its filters do not match. Returns what
 * ends it.
 */
export async function startChurn({ url, version, changesPerSecond }: LoadOptions): Promise<() => void> {
  if (changesPerSecond === 0) return () => {};
  const client = await LoadClient.connect({ url, version, clientId: `${ownName}-churn` });
  const startedAt = nowMicroseconds();
  let changes = 0;
  const timer = setInterval(() => {
    const due = ((nowMicroseconds() - startedAt) / 1e6) * changesPerSecond;
    const packets: Buffer[] = [];
    for (; changes < due; changes += 2) {
      const filter = otherFilter(changes);
      packets.push(subscribePacket([filter], 0, version), unsubscribePacket([filter], version));
    }
    if (packets.length > 0) client.write(Buffer.concat(packets));
  }, 1);
  return () => {
    clearInterval(timer);
    client.close();
  };
}

/** Opens connections as fast as the broker takes them, and holds them. */
export async function runConn(options: LoadOptions): Promise<object> {
  const { url, version, count, connectingMax, brokerPid, idleSeconds } = options;
  const times = new Histogram();
  const clients: LoadClient[] = [];
  const usage = () => (brokerPid === null ? null : processUsage(brokerPid));
  const before = usage();
  const startedAt = nowMicroseconds();
  let next = 0;
  const connectSome = async () => {
    while (next < count) {
      const clientId = `${ownName}-conn-${next++}`;
      const begunAt = nowMicroseconds();
      clients.push(await LoadClient.connect({ url, version, clientId }));
      times.add(nowMicroseconds() - begunAt);
    }
  };
  await Promise.all(Array.from({ length: connectingMax }, connectSome));
  const seconds = (nowMicroseconds() - startedAt) / 1e6;
  const after = usage();
  await delay(idleSeconds * 1_000);
  const held = usage();
  for (const client of clients) client.close();
  const bytes = ((held?.rssKilobytes ?? 0) - (before?.rssKilobytes ?? 0)) * 1_024;
  return {
    secs: seconds,
    n: count,
    conn_rate: Math.round(count / seconds),
    conn_us: times.summary(),
    cpu_s: (after?.cpuSeconds ?? 0) - (before?.cpuSeconds ?? 0),
    rss_kb: held?.rssKilobytes ?? 0,
    rss_per_conn_b: Math.round(bytes / count),
    lost: 0,
  };
}
