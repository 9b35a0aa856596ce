/** Publishes numbers to a fleet with QoS 1, and sends again what was not acknowledged when it lost its connection. */
import { setTimeout as delay } from 'node:timers/promises';
import { connect, property, publish } from '../attack/packets.ts';
import { LoadClient } from '../bench/load/client.ts';
import { payloadBytes, topicOf } from './fleet.ts';

/** What may await its acknowledgement. */
const inFlightMost = 1_000;
const tickMs = 50;
const retryMs = 500;

interface Unacknowledged {
  readonly topic: string;
  readonly payload: Buffer;
}

export class FleetPublisher {
  acknowledged = 0;
  /** By client: how many were published to it. */
  readonly sent: number[];
  readonly #url: URL;
  readonly #perSecond: number;
  readonly #inFlight = new Map<number, Unacknowledged>();
  #client: LoadClient | null = null;
  #lastId = 0;
  #next = 0;
  #isOver = false;

  constructor(url: URL, clients: number, perSecond: number) {
    this.#url = url;
    this.#perSecond = perSecond;
    this.sent = new Array<number>(clients).fill(0);
  }

  get unacknowledged(): number {
    return this.#inFlight.size;
  }

  async begin(): Promise<void> {
    const client = await this.#connect();
    void this.#stay(client);
    void this.#publish();
  }

  /** Publishes nothing new. */
  stop(): void {
    this.#isOver = true;
  }

  #connect(): Promise<LoadClient> {
    const clientId = 'fleet-publisher';
    const packet = connect({ clientId, clean: false, properties: [property.sessionExpiry(3_600)] });
    const onDone = (id: number) => {
      if (this.#inFlight.delete(id)) this.acknowledged++;
    };
    return LoadClient.connect({ url: this.#url, version: 5, clientId, connect: packet }, { onDone });
  }

  async #stay(first: LoadClient): Promise<void> {
    for (let client: LoadClient | null = first; ; ) {
      if (client !== null) {
        this.#client = client;
        for (const [id, message] of this.#inFlight) this.#send(id, message, true);
        await client.failed().catch(() => {});
        this.#client = null;
      }
      if (this.#isOver && this.#inFlight.size === 0) return;
      await delay(retryMs);
      client = await this.#connect().catch(() => null);
    }
  }

  async #publish(): Promise<void> {
    let due = 0;
    for (let last = performance.now(); !this.#isOver; ) {
      await delay(tickMs);
      const now = performance.now();
      due = Math.min(inFlightMost, due + ((now - last) / 1_000) * this.#perSecond);
      last = now;
      for (; due >= 1 && this.#client !== null && this.#inFlight.size < inFlightMost; due--) this.#publishOne();
    }
  }

  #publishOne(): void {
    const client = this.#next;
    this.#next = (client + 1) % this.sent.length;
    const payload = Buffer.alloc(payloadBytes);
    payload.writeDoubleBE(this.sent[client]!++);
    do this.#lastId = (this.#lastId % 65_535) + 1;
    while (this.#inFlight.has(this.#lastId));
    const message = { topic: topicOf(client), payload };
    this.#inFlight.set(this.#lastId, message);
    this.#send(this.#lastId, message, false);
  }

  #send(id: number, { topic, payload }: Unacknowledged, dup: boolean): void {
    this.#client?.write(publish(topic, payload, { qos: 1, id, dup }));
  }
}
