/**
 * Pairs whose payload is given, for brokers that look into it and change it: messages are counted, and nothing is read
 * of them. A publisher sends the next one when one of its `unacknowledgedMax` has arrived. A run is so many messages
 * and not so many seconds, so that the broker is as warm where it had little of a shared machine.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type ProcessUsage, processUsage } from '../process-usage.ts';
import { LoadClient, publishTemplate } from './client.ts';
import { type LoadOptions, ownName } from './options.ts';

const settleMsMax = 5_000;
const runMsMax = 120_000;

class Pair {
  sent = 0;
  received = 0;
  isStopped = true;
  readonly #publisher: LoadClient;
  readonly #packet: Buffer;
  readonly #window: number;

  private constructor(publisher: LoadClient, packet: Buffer, window: number) {
    this.#publisher = publisher;
    this.#packet = packet;
    this.#window = window;
  }

  static async connect({ url, version, payload, unacknowledgedMax }: LoadOptions, index: number): Promise<Pair> {
    const topic = `bench/${ownName}/${index}`;
    let pair: Pair | null = null;
    const subscriber = await LoadClient.connect(
      { url, version, clientId: `${ownName}-sub-${index}` },
      { onMessage: () => pair!.received++, onTurn: () => pair?.fill() },
    );
    await subscriber.subscribe([topic], 0);
    const publisher = await LoadClient.connect({ url, version, clientId: `${ownName}-pub-${index}` });
    const { bytes, payloadAt } = publishTemplate(topic, payload.length, { qos: 0, version });
    payload.copy(bytes, payloadAt);
    pair = new Pair(publisher, bytes, unacknowledgedMax);
    return pair;
  }

  fill(): void {
    const room = this.isStopped ? 0 : this.#window - (this.sent - this.received);
    if (room <= 0) return;
    this.sent += room;
    this.#publisher.write(Buffer.concat(Array.from({ length: room }, () => this.#packet)));
  }
}

export async function runGiven(options: LoadOptions): Promise<object> {
  const pairs = await Promise.all(Array.from({ length: options.count }, (_, index) => Pair.connect(options, index)));
  for (const pair of pairs) {
    pair.isStopped = false;
    pair.fill();
  }
  const deadline = Date.now() + runMsMax;
  const until = async (messages: number) => {
    while (receivedBy(pairs) < messages && Date.now() < deadline) await delay(2);
  };
  await until(options.messages);
  const before = sample(pairs, options.brokerPid);
  await until(2 * options.messages);
  const after = sample(pairs, options.brokerPid);
  for (const pair of pairs) pair.isStopped = true;
  const settled = Date.now() + settleMsMax;
  const sent = pairs.reduce((sum, pair) => sum + pair.sent, 0);
  while (receivedBy(pairs) < sent && Date.now() < settled) await delay(10);
  const seconds = (after.at - before.at) / 1_000;
  return {
    secs: seconds,
    out_rate: Math.round((after.received - before.received) / seconds),
    cpu_s: (after.usage?.cpuSeconds ?? 0) - (before.usage?.cpuSeconds ?? 0),
    rss_kb: after.usage?.rssKilobytes ?? 0,
    lost: sent - receivedBy(pairs),
  };
}

const receivedBy = (pairs: readonly Pair[]) => pairs.reduce((sum, { received }) => sum + received, 0);

interface Sample {
  readonly at: number;
  readonly received: number;
  readonly usage: ProcessUsage | null;
}

function sample(pairs: readonly Pair[], pid: number | null): Sample {
  const usage = pid === null ? null : processUsage(pid);
  return { at: performance.now(), received: receivedBy(pairs), usage };
}
