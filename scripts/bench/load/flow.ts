/**
 * Messages that flow from publishers to subscribers: fan-in, fan-out and pairs, in a closed loop or at a given rate.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type ProcessUsage, processUsage } from '../process-usage.ts';
import { LoadClient } from './client.ts';
import { connectOthers, startChurn } from './crowd.ts';
import { Histogram } from './histogram.ts';
import { type LoadOptions, ownName } from './options.ts';
import { nowMicroseconds, Publisher, stamp } from './publisher.ts';

interface Plan {
  readonly publishers: readonly { readonly topics: readonly string[]; readonly copies: number }[];
  readonly subscribers: readonly string[];
}

function planOf({ scenario, publishers, subscribers, count }: LoadOptions): Plan {
  const range = (length: number) => Array.from({ length }, (_, i) => i);
  switch (scenario) {
    case 'fanin':
      return {
        publishers: range(publishers).map((i) => ({ topics: [`${ownName}/fanin/${i}`], copies: subscribers })),
        subscribers: range(subscribers).map(() => `${ownName}/fanin/+`),
      };
    case 'fanout':
      return {
        publishers: range(publishers).map(() => ({ topics: [`${ownName}/fanout`], copies: subscribers })),
        subscribers: range(subscribers).map(() => `${ownName}/fanout`),
      };
    case 'topics': {
      const topicsOf = (i: number) =>
        range(Math.ceil((count - i) / publishers)).map((n) => {
          return `${ownName}/topics/${String(n * publishers + i).padStart(8, '0')}`;
        });
      return {
        publishers: range(publishers).map((i) => ({ topics: topicsOf(i), copies: subscribers })),
        subscribers: range(subscribers).map(() => `${ownName}/topics/+`),
      };
    }
    default:
      return {
        publishers: range(count).map((i) => ({ topics: [`${ownName}/pair/${i}`], copies: 1 })),
        subscribers: range(count).map((i) => `${ownName}/pair/${i}`),
      };
  }
}

const settleMsMax = 5_000;

class Flow {
  readonly #publishers: Publisher[];
  readonly #latency = new Histogram();
  readonly #acknowledgement = new Histogram();
  /** Per subscriber and publisher: the number that should come next. */
  readonly #expected: Float64Array[] = [];
  readonly #waiting = new Set<Publisher>();
  #isFilling = false;
  #arrivedAt = 0;
  received = 0;
  lost = 0;
  repeated = 0;

  constructor(publishers: Publisher[]) {
    this.#publishers = publishers;
  }

  subscriberHandler() {
    const expected = new Float64Array(this.#publishers.length);
    this.#expected.push(expected);
    let isNewTurn = true;
    return {
      onMessage: (bytes: Buffer, start: number) => {
        if (isNewTurn) {
          this.#arrivedAt = nowMicroseconds();
          isNewTurn = false;
        }
        const index = bytes.readUInt32BE(start + stamp.publisher);
        const number = bytes.readDoubleBE(start + stamp.number);
        const next = expected[index]!;
        if (number > next) this.lost += number - next;
        else if (number < next) this.repeated++;
        expected[index] = Math.max(next, number + 1);
        this.#latency.add(this.#arrivedAt - bytes.readDoubleBE(start + stamp.time));
        this.received++;
        const publisher = this.#publishers[index]!;
        publisher.delivered++;
        this.#waiting.add(publisher);
      },
      onTurn: () => {
        isNewTurn = true;
        this.#fillSoon();
      },
    };
  }

  publisherHandler(publisher: Publisher) {
    return {
      onDone: (packetId: number) => {
        this.#acknowledgement.add(nowMicroseconds() - publisher.acknowledge(packetId));
        this.#waiting.add(publisher);
      },
      onTurn: () => this.#fillSoon(),
    };
  }

  /** After everything that came in this round of the event loop, so that a batch is as large as it can be. */
  #fillSoon(): void {
    if (this.#isFilling || this.#waiting.size === 0) return;
    this.#isFilling = true;
    setImmediate(() => {
      this.#isFilling = false;
      for (const publisher of this.#waiting) publisher.fill();
      this.#waiting.clear();
    });
  }

  begin(rate: number): () => void {
    if (rate > 0) return openLoop(this.#publishers, rate);
    for (const publisher of this.#publishers) {
      publisher.isStopped = false;
      publisher.fill();
    }
    return () => {
      for (const publisher of this.#publishers) publisher.isStopped = true;
    };
  }

  clear(): void {
    this.#latency.clear();
    this.#acknowledgement.clear();
  }

  get sent(): number {
    return this.#publishers.reduce((sum, { sent }) => sum + sent, 0);
  }

  get acknowledged(): number {
    return this.#publishers.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
  }

  get latencies() {
    return { lat_us: this.#latency.summary(), ack_us: this.#acknowledgement.summary() };
  }
}

/** Messages leave when they are due, in turn by publisher, and carry that time. */
function openLoop(publishers: readonly Publisher[], rate: number): () => void {
  const startedAt = nowMicroseconds();
  let sent = 0;
  const timer = setInterval(() => {
    const due = ((nowMicroseconds() - startedAt) / 1e6) * rate;
    for (; sent < due; sent++) publishers[sent % publishers.length]!.send(1, startedAt + (sent / rate) * 1e6);
  }, 1);
  return () => clearInterval(timer);
}

export async function runFlow(options: LoadOptions): Promise<object> {
  const { url, to, version, qos, payloadBytes, brokerPid } = options;
  const plan = planOf(options);
  const publishers = plan.publishers.map(({ topics, copies }, index) => {
    const { unacknowledgedMax, undeliveredMax } = options;
    return new Publisher({ index, topics, copies, payloadBytes, qos, version, unacknowledgedMax, undeliveredMax });
  });
  const flow = new Flow(publishers);
  const clients: LoadClient[] = await connectOthers(options);
  for (const [i, filter] of plan.subscribers.entries()) {
    const client = await LoadClient.connect(
      { url: to, version, clientId: `${ownName}-sub-${i}` },
      flow.subscriberHandler(),
    );
    await client.subscribe([filter], qos);
    clients.push(client);
  }
  for (const [i, publisher] of publishers.entries()) {
    publisher.client = await LoadClient.connect(
      { url, version, clientId: `${ownName}-pub-${i}` },
      flow.publisherHandler(publisher),
    );
    clients.push(publisher.client);
  }
  const failed = Promise.race(clients.map((client) => client.failed()));
  const stopChurn = await startChurn(options);
  const result = await Promise.race([measure(flow, options, brokerPid), failed]);
  stopChurn();
  const copies = plan.publishers[0]!.copies;
  for (const client of clients) client.close();
  return { ...result, expected: flow.sent * copies, received: flow.received, lost: flow.sent * copies - flow.received };
}

async function measure(flow: Flow, options: LoadOptions, pid: number | null): Promise<object> {
  const stop = flow.begin(options.rate);
  await delay(options.warmUpSeconds * 1_000);
  flow.clear();
  const before = sample(flow, pid);
  await delay(options.seconds * 1_000);
  const after = sample(flow, pid);
  const latencies = flow.latencies;
  stop();
  const deadline = Date.now() + settleMsMax;
  const { copies } = { copies: planOf(options).publishers[0]!.copies };
  while (flow.received < flow.sent * copies && Date.now() < deadline) await delay(10);
  const seconds = (after.at - before.at) / 1e6;
  return {
    secs: seconds,
    in_rate: Math.round((after.sent - before.sent) / seconds),
    out_rate: Math.round((after.received - before.received) / seconds),
    cpu_s: (after.usage?.cpuSeconds ?? 0) - (before.usage?.cpuSeconds ?? 0),
    rss_kb: after.usage?.rssKilobytes ?? 0,
    ...latencies,
    gaps: flow.lost,
    dup: flow.repeated,
  };
}

interface Sample {
  readonly at: number;
  readonly sent: number;
  readonly received: number;
  readonly usage: ProcessUsage | null;
}

function sample(flow: Flow, pid: number | null): Sample {
  const usage = pid === null ? null : processUsage(pid);
  return { at: nowMicroseconds(), sent: flow.sent, received: flow.received, usage };
}
