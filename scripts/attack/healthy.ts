/**
 * Healthy clients, in a process of their own, so that the attacker's does not slow them. Each of four exchanges a QoS 1
 * message with itself every 5 ms, whatever became of those before; a newcomer connects every 100 ms, and leaves.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { LoadClient, publishTemplate } from '../bench/load/client.ts';
import { Histogram } from '../bench/load/histogram.ts';
import type { Seen, Totals } from './row.ts';

const residents = 4;
const messageMs = 5;
const newcomerMs = 100;
/** What has not come so long after the end is lost. */
const patienceMs = 15_000;

export type Order = { readonly kind: 'begin'; readonly url: string; readonly qos: 0 | 1 } | 'phase' | 'end';

class Resident {
  readonly delays: Histogram;
  readonly failures: string[];
  /** When those were sent that have not come; the first `#next` have. */
  #sentAt: number[] = [];
  #next = 0;
  #id = 0;
  sent = 0;
  received = 0;
  acknowledged = 0;
  readonly #client: LoadClient;
  readonly #template: ReturnType<typeof publishTemplate>;
  readonly #qos: 0 | 1;

  private constructor(client: LoadClient, topic: string, qos: 0 | 1, delays: Histogram, failures: string[]) {
    this.#client = client;
    this.#template = publishTemplate(topic, 24, { qos, version: 4 });
    this.#qos = qos;
    this.delays = delays;
    this.failures = failures;
  }

  static async begin(url: URL, number: number, qos: 0 | 1, delays: Histogram, failures: string[]): Promise<Resident> {
    let resident: Resident | null = null;
    const topic = `healthy/${process.pid}/${number}`;
    const handler = {
      onMessage: (bytes: Buffer, start: number) => resident?.arrived(bytes.readUInt32BE(start)),
      onDone: () => {
        if (resident !== null) resident.acknowledged++;
      },
    };
    const client = await LoadClient.connect({ url, version: 4, clientId: `healthy-${number}` }, handler);
    await client.subscribe([topic], qos);
    client.failed().catch(() => failures.push('a healthy client lost its connection'));
    resident = new Resident(client, topic, qos, delays, failures);
    return resident;
  }

  send(): void {
    const { bytes, idAt, payloadAt } = this.#template;
    const copy = Buffer.from(bytes);
    this.#id = (this.#id % 65_535) + 1;
    if (this.#qos > 0) copy.writeUInt16BE(this.#id, idAt);
    copy.writeUInt32BE(this.sent, payloadAt);
    this.#sentAt.push(performance.now());
    this.sent++;
    this.#client.write(copy);
    if (this.#qos === 0) this.acknowledged++;
  }

  arrived(number: number): void {
    if (number !== this.received)
      this.failures.push(`a healthy client got message ${number} in place of ${this.received}`);
    this.received = number + 1;
    this.delays.add((performance.now() - this.#sentAt[this.#next++]!) * 1_000);
    if (this.#next < 10_000) return;
    this.#sentAt = this.#sentAt.slice(this.#next);
    this.#next = 0;
  }

  /** What is under way has taken so long at least. */
  addPending(): void {
    const now = performance.now();
    // What has been under way for a moment only is nothing to tell.
    for (const sentAt of this.#sentAt.slice(this.#next)) if (now - sentAt > 1) this.delays.add((now - sentAt) * 1_000);
  }

  close(): void {
    this.#client.close();
  }
}

class Healthy {
  readonly #url: URL;
  readonly #delays = new Histogram();
  readonly #connects = new Histogram();
  readonly #connecting = new Set<number>();
  readonly #residents: Resident[] = [];
  #failures: string[] = [];
  #turnedAway = 0;
  #newcomers = 0;
  #timers: NodeJS.Timeout[] = [];

  constructor(url: string) {
    this.#url = new URL(url);
  }

  async begin(qos: 0 | 1): Promise<void> {
    for (let i = 0; i < residents; i++) {
      this.#residents.push(await Resident.begin(this.#url, i, qos, this.#delays, this.#failures));
    }
    const send = () => {
      for (const resident of this.#residents) resident.send();
    };
    this.#timers = [setInterval(send, messageMs), setInterval(() => this.#newcomer(), newcomerMs)];
  }

  #newcomer(): void {
    const startedAt = performance.now();
    const clientId = `newcomer-${++this.#newcomers}`;
    this.#connecting.add(startedAt);
    LoadClient.connect({ url: this.#url, version: 4, clientId }).then(
      (client) => {
        this.#connects.add((performance.now() - startedAt) * 1_000);
        this.#connecting.delete(startedAt);
        return client.leave();
      },
      () => {
        this.#turnedAway++;
        this.#connecting.delete(startedAt);
      },
    );
  }

  phase(): Seen {
    for (const resident of this.#residents) resident.addPending();
    for (const startedAt of this.#connecting) {
      const microseconds = (performance.now() - startedAt) * 1_000;
      if (microseconds > 50_000) this.#connects.add(microseconds);
    }
    const messages = this.#delays.summary();
    const newcomers = this.#connects.summary();
    const seen = {
      messages: messages.n,
      p99: messages.p99 / 1_000,
      longest: messages.max / 1_000,
      newcomers: newcomers.n,
      newcomersP99: newcomers.p99 / 1_000,
      newcomersLongest: newcomers.max / 1_000,
      failures: this.#failures.splice(0),
      turnedAway: this.#turnedAway,
    };
    this.#delays.clear();
    this.#connects.clear();
    this.#turnedAway = 0;
    return seen;
  }

  async end(): Promise<Totals> {
    for (const timer of this.#timers) clearInterval(timer);
    const sum = (of: (one: Resident) => number) => this.#residents.reduce((total, one) => total + of(one), 0);
    const until = performance.now() + patienceMs;
    const isWaiting = () => sum((one) => Math.min(one.received, one.acknowledged)) < sum(({ sent }) => sent);
    while (isWaiting() && performance.now() < until) await delay(20);
    for (const resident of this.#residents) resident.close();
    return {
      sent: sum(({ sent }) => sent),
      received: sum(({ received }) => received),
      acknowledged: sum(({ acknowledged }) => acknowledged),
    };
  }
}

process.once('disconnect', () => process.exit());
const [first] = (await once(process, 'message')) as [Exclude<Order, string>];
const healthy = new Healthy(first.url);
await healthy.begin(first.qos);
process.send!('ready');
while ((await once(process, 'message'))[0] === 'phase') process.send!(healthy.phase());
process.send!(await healthy.end());
