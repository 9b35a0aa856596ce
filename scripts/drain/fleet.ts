/**
 * Clients that come back whenever they lose their connection, as devices do: each has a session that stays, a will, and
 * a subscription of QoS 1 to a topic of its own, to which somebody publishes numbers.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { connect, property } from '../attack/packets.ts';
import { LoadClient } from '../bench/load/client.ts';

/** The first wait before it connects again; each further one is twice as long, up to the last. */
const backoffMs = { first: 500, last: 4_000 };
const sessionSeconds = 3_600;
/** Those that connect for the first time, at one time. */
const connectingMost = 200;

export const topicOf = (client: number): string => `to/${client}`;
export const willTopics = 'gone/#';

/** A message that everybody gets has eight bytes: its number, counted apart for each client. */
export const payloadBytes = 8;

export class FleetClient {
  readonly number: number;
  readonly version: 4 | 5;
  /** For how long it was away, once for each time; in milliseconds. */
  readonly away: number[] = [];
  received = 0;
  lost = 0;
  again = 0;
  /** CONNECT was refused, or no connection came about. */
  refused = 0;
  isConnected = false;
  sessionsLost = 0;
  readonly #url: URL;
  #isOver = false;
  #client: LoadClient | null = null;

  constructor(number: number, url: URL) {
    this.number = number;
    this.version = number % 2 === 0 ? 5 : 4;
    this.#url = url;
  }

  /** Resolves once it is subscribed; from then on it comes back by itself. */
  async begin(): Promise<void> {
    const client = await this.#connect();
    await client.subscribe([topicOf(this.number)], 1);
    void this.#stay(client);
  }

  end(): void {
    this.#isOver = true;
    this.#client?.close();
  }

  #connect(): Promise<LoadClient> {
    const { version } = this;
    const clientId = `fleet-${this.number}`;
    const will = { topic: `gone/${this.number}`, payload: clientId, qos: 1 };
    const properties = [property.sessionExpiry(sessionSeconds)];
    const packet = connect({ clientId, version, clean: false, will, properties });
    const onMessage = (bytes: Buffer, start: number) => this.#took(bytes.readDoubleBE(start));
    return LoadClient.connect({ url: this.#url, version, clientId, connect: packet }, { onMessage });
  }

  async #stay(first: LoadClient): Promise<void> {
    for (let client = first; ; ) {
      this.#client = client;
      this.isConnected = true;
      await client.failed().catch(() => {});
      this.isConnected = false;
      if (this.#isOver) return;
      const since = performance.now();
      const next = await this.#comeBack();
      if (next === null) return;
      this.away.push(performance.now() - since);
      if (!next.sessionPresent) this.sessionsLost++;
      client = next;
    }
  }

  /** Null: it is over. */
  async #comeBack(): Promise<LoadClient | null> {
    for (let waitMs = backoffMs.first; ; waitMs = Math.min(backoffMs.last, 2 * waitMs)) {
      await delay(waitMs * (0.5 + Math.random()));
      if (this.#isOver) return null;
      try {
        return await this.#connect();
      } catch {
        this.refused++;
      }
    }
  }

  /** Numbers come in their order; QoS 1 may repeat some. */
  #took(number: number): void {
    if (number < this.received + this.lost) {
      this.again++;
      return;
    }
    this.lost += number - this.received - this.lost;
    this.received++;
  }
}

/** All of them, connected and subscribed. */
export async function fleetOf(count: number, url: URL): Promise<FleetClient[]> {
  const fleet = Array.from({ length: count }, (_, number) => new FleetClient(number, url));
  const left = fleet[Symbol.iterator]();
  const beginSome = async () => {
    for (const client of left) await client.begin();
  };
  await Promise.all(Array.from({ length: connectingMost }, beginSome));
  return fleet;
}
