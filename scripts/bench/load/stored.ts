/** Messages that wait in the broker: for sessions whose clients are away, and retained ones. */
import { processUsage } from '../process-usage.ts';
import { LoadClient, publishTemplate } from './client.ts';
import { Histogram } from './histogram.ts';
import { type LoadOptions, ownName } from './options.ts';
import { nowMicroseconds } from './publisher.ts';

/** Publishes `count` messages in order, `window` of them unacknowledged at most; resolves when all are acknowledged. */
async function publishSequence(
  options: LoadOptions,
  sequence: { readonly clientId: string; readonly count: number; readonly templateOf: (index: number) => Template },
  times: Histogram,
): Promise<void> {
  const { url, version, unacknowledgedMax: window } = options;
  const { clientId, count, templateOf } = sequence;
  const sentAt = new Float64Array(65_536);
  let next = 0;
  let acknowledged = 0;
  const done = signal();
  const fill = () => {
    const batch: Buffer[] = [];
    for (; next < count && next - acknowledged < window; next++) {
      const { bytes, idAt } = templateOf(next);
      const id = (next % 65_535) + 1;
      const own = Buffer.from(bytes);
      own.writeUInt16BE(id, idAt);
      sentAt[id] = nowMicroseconds();
      batch.push(own);
    }
    if (batch.length > 0) client.write(Buffer.concat(batch));
    if (acknowledged === count) done.tell();
  };
  const onDone = (packetId: number) => {
    acknowledged++;
    times.add(nowMicroseconds() - sentAt[packetId]!);
  };
  let isReady = false;
  const onTurn = () => {
    if (isReady) fill();
  };
  const client = await LoadClient.connect({ url, version, clientId }, { onDone, onTurn });
  isReady = true;
  fill();
  await Promise.race([done.told, client.failed()]);
  client.close();
}

type Template = ReturnType<typeof publishTemplate>;

function signal(): { readonly told: Promise<void>; tell(): void } {
  let tell: () => void = () => {};
  const told = new Promise<void>((resolve) => {
    tell = resolve;
  });
  return { told, tell };
}

/** How long something took, in seconds, and the broker's processor time. */
async function timed<T>(
  pid: number | null,
  run: () => Promise<T>,
): Promise<{ seconds: number; cpu: number; value: T }> {
  const usage = () => (pid === null ? 0 : (processUsage(pid)?.cpuSeconds ?? 0));
  const before = usage();
  const startedAt = nowMicroseconds();
  const value = await run();
  return { seconds: (nowMicroseconds() - startedAt) / 1e6, cpu: usage() - before, value };
}

const rssOf = (pid: number | null) => (pid === null ? 0 : (processUsage(pid)?.rssKilobytes ?? 0));

export async function runOffline(options: LoadOptions): Promise<object> {
  const { url, version, qos, count, messages, publishers, payloadBytes, brokerPid } = options;
  if (qos === 0) throw new Error('offline wants -q 1 or 2');
  for (let i = 0; i < count; i++) {
    const client = await LoadClient.connect({ url, version, clientId: `${ownName}-away-${i}`, isPersistent: true });
    await client.subscribe([`${ownName}/away/${i}`], qos);
    await client.leave();
  }
  const templates = Array.from({ length: count }, (_, i) =>
    publishTemplate(`${ownName}/away/${i}`, payloadBytes, options),
  );
  const times = new Histogram();
  const fill = await timed(brokerPid, () => {
    // Each publisher goes round its share of the sessions.
    const shares = Array.from({ length: publishers }, (_, p) => templates.filter((_, i) => i % publishers === p));
    const runs = shares.map((share, p) => {
      const templateOf = (index: number) => share[index % share.length]!;
      const sequence = { clientId: `${ownName}-filler-${p}`, count: share.length * messages, templateOf };
      return publishSequence(options, sequence, times);
    });
    return Promise.all(runs);
  });
  const drain = await timed(brokerPid, () => drainAll(options));
  return {
    n: count,
    msgs: messages,
    accept_rate: Math.round((count * messages) / fill.seconds),
    accept_cpu_s: fill.cpu,
    ack_us: times.summary(),
    drain_rate: Math.round((count * messages) / drain.seconds),
    drain_cpu_s: drain.cpu,
    rss_kb: rssOf(brokerPid),
    lost: 0,
  };
}

/** The absent clients come back; resolves when they have all their messages. Their sessions end. */
async function drainAll({ url, version, count, messages }: LoadOptions): Promise<void> {
  const clients = Array.from({ length: count }, async (_, i) => {
    let received = 0;
    const done = signal();
    const onMessage = () => {
      if (++received === messages) done.tell();
    };
    const identity = { url, version, clientId: `${ownName}-away-${i}` };
    const client = await LoadClient.connect({ ...identity, isPersistent: true }, { onMessage });
    if (!client.sessionPresent) throw new Error(`the session of ${identity.clientId} is gone`);
    await Promise.race([done.told, client.failed()]);
    return { client, identity };
  });
  for (const { client, identity } of await Promise.all(clients)) {
    await client.leave();
    await (await LoadClient.connect(identity)).leave();
  }
}

export async function runRetained(options: LoadOptions): Promise<object> {
  const { url, version, qos, count, payloadBytes, brokerPid } = options;
  if (qos === 0) throw new Error('retained wants -q 1 or 2');
  const publishEach = (bytes: number) => {
    const templates = Array.from({ length: count }, (_, i) => {
      return publishTemplate(`${ownName}/retained/${i}`, bytes, { qos, version, retain: true });
    });
    const sequence = { clientId: `${ownName}-retainer`, count, templateOf: (index: number) => templates[index]! };
    return timed(brokerPid, () => publishSequence(options, sequence, new Histogram()));
  };
  const set = await publishEach(payloadBytes);
  const get = await timed(brokerPid, async () => {
    let received = 0;
    const done = signal();
    const onMessage = () => {
      if (++received === count) done.tell();
    };
    const client = await LoadClient.connect({ url, version, clientId: `${ownName}-getter` }, { onMessage });
    await Promise.all([client.subscribe([`${ownName}/retained/#`], qos), Promise.race([done.told, client.failed()])]);
    client.close();
  });
  const rss = rssOf(brokerPid);
  await publishEach(0);
  return {
    n: count,
    set_rate: Math.round(count / set.seconds),
    set_cpu_s: set.cpu,
    get_rate: Math.round(count / get.seconds),
    get_cpu_s: get.cpu,
    rss_kb: rss,
    lost: 0,
  };
}
