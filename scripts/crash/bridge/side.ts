/**
 * One of the two brokers, and its own clients: publishers, and subscribers to what comes over the bridge. They connect
 * directly, so that only the bridge has the bad link.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { BrokerProcess, type BrokerProcessOptions } from '../broker-process.ts';
import { Client } from '../client.ts';
import type { Ledger, QoS, SessionRecord } from '../ledger.ts';
import type { Random } from '../random.ts';
import { checkRetained } from '../retained.ts';

export type SideName = 'edge' | 'peer';

export interface SideOptions extends BrokerProcessOptions {
  readonly side: SideName;
  readonly random: Random;
  readonly ledger: Ledger;
  /** Beginnings of topics that go from here to the other side, as `up`. */
  readonly publishes: readonly string[];
  /** Of those that come here. */
  readonly subscribes: readonly string[];
  /** Before these here, and at the other side. */
  readonly prefix: string;
  readonly otherPrefix: string;
  /** Some of what is published is retained. */
  readonly retains: boolean;
  /** Of what comes here. */
  readonly qos: QoS;
  /** Where it listens from now on; null: it is gone. */
  readonly onPort: (port: number | null) => void;
}

const topicsEach = 3;
const publishersEach = 2;

export class Side {
  readonly broker: BrokerProcess;
  port: number | null = null;
  readonly #options: SideOptions;
  readonly #publishers: Client[] = [];
  readonly #subscribers: { readonly client: Client; readonly record: SessionRecord; readonly isOnline: boolean }[] = [];
  #isOver = false;
  #publishing: Promise<unknown> = Promise.resolve();

  constructor(options: SideOptions) {
    const { side, ledger, random, publishes, subscribes, qos } = options;
    this.#options = options;
    this.broker = new BrokerProcess(options);
    const habits = () => ({
      version: random.pick([4, 5] as const),
      isPersistent: true,
      reusesPacketIds: random.isLucky(0.5),
      answerDelayMs: random.isLucky(0.5) ? 0 : random.between(1, 10),
    });
    for (let i = 0; publishes.length > 0 && i < publishersEach; i++) {
      this.#publishers.push(new Client({ clientId: `${side}-publisher${i}`, ...habits() }, ledger, null));
    }
    for (const isOnline of subscribes.length > 0 ? [true, false] : []) {
      const clientId = `${side}-${isOnline ? 'online' : 'offline'}`;
      const record = ledger.session(clientId, qos, null);
      this.#subscribers.push({ client: new Client({ clientId, ...habits() }, ledger, record), record, isOnline });
    }
  }

  /** Before topics that go over the bridge. */
  get prefix(): string {
    return this.#options.prefix;
  }

  get #clients(): Client[] {
    return [...this.#publishers, ...this.#subscribers.map(({ client }) => client)];
  }

  /** False: it was killed before it took connections. */
  async start(): Promise<boolean> {
    this.port = await this.broker.start();
    this.#options.onPort(this.port);
    for (const { record } of this.#subscribers) record.life = (record.life ?? 0) + 1;
    return this.port !== null;
  }

  /** Before the load: subscribers of the other side's messages. */
  async enter(): Promise<void> {
    for (const { client, isOnline } of this.#subscribers) {
      await client.connect(this.port!);
      const { subscribes, qos, prefix, otherPrefix } = this.#options;
      const subscribe = (root: string) => client.subscribe(`${prefix}${root}/+/+`, qos, `${otherPrefix}${root}/+/+`);
      await Promise.all(subscribes.map(subscribe));
      if (!isOnline) await client.leave();
    }
    await this.#comeBack(false);
  }

  async #comeBack(everybody: boolean): Promise<void> {
    const { port } = this;
    if (port === null) return;
    const subscribers = this.#subscribers.filter(({ isOnline }) => everybody || isOnline);
    const clients = [...this.#publishers, ...subscribers.map(({ client }) => client)];
    await Promise.all(clients.map((client) => client.connect(port)));
  }

  beginLoad(): void {
    const { random } = this.#options;
    this.#publishing = Promise.all(this.#publishers.map((client) => this.#publish(client, random.fork())));
  }

  async endLoad(): Promise<void> {
    this.#isOver = true;
    await this.#publishing;
  }

  async #publish(client: Client, random: Random): Promise<void> {
    while (!this.#isOver) {
      for (let burst = random.between(1, 3); burst > 0 && client.canPublish; burst--) {
        const root = random.pick(this.#options.publishes);
        this.#publishOne(client, `${root}/${client.clientId}/${random.between(0, topicsEach - 1)}`, random);
      }
      await delay(random.between(10, 50));
    }
  }

  #publishOne(client: Client, topic: string, random: Random): void {
    const size = random.isLucky(0.9) ? random.between(8, 300) : random.between(300, 20_000);
    const { ledger, prefix, retains } = this.#options;
    const retain = retains && random.isLucky(0.3);
    // What is retained last is known only where one QoS has the topic: MQTT orders no others.
    const qos = retains ? (topic.endsWith('0') ? 1 : 2) : random.pick<QoS>([1, 2]);
    const fields = { topic: prefix + topic, qos, retain, isEmpty: false, size } as const;
    client.publish(ledger.send({ publisher: client.clientId, ...fields }));
  }

  /** The process is killed or told to stop; resolves when all connections of its clients are closed. */
  async end(how: 'kill' | 'stop'): Promise<void> {
    const { ledger, onPort } = this.#options;
    if (how === 'kill') ledger.crashes++;
    else ledger.stops++;
    this.port = null;
    // From then on: the other side may be stopping as well, and a client hears of it later.
    ledger.isStopping ||= how === 'stop';
    await this.broker[how]();
    onPort(null);
    await Promise.all(this.#clients.map((client) => client.whenClosed()));
  }

  async startAgain(): Promise<void> {
    if (await this.start()) await this.#comeBack(false);
  }

  /** The disk has no room for a while. */
  async fillDisk(ms: number): Promise<void> {
    const { powerCut, ledger } = this.#options;
    ledger.hasBeenFull = true;
    powerCut!.isFull = true;
    await delay(ms);
    powerCut!.isFull = false;
  }

  /** Ends the load, with a last message to every topic, and answers when publishers have their acknowledgements. */
  async finish(deadlineMs: number): Promise<void> {
    const { ledger, random, publishes } = this.#options;
    await this.endLoad();
    await this.#comeBack(true);
    for (const client of this.#clients) {
      if (client.state !== 'open') ledger.report('broker', `${client.clientId} could not come back`);
    }
    const deadline = Date.now() + deadlineMs;
    const isLate = () => Date.now() > deadline;
    for (const client of this.#publishers) {
      for (const root of publishes) {
        for (let n = 0; n < topicsEach; n++) {
          while (!client.canPublish && !isLate()) await delay(2);
          this.#publishOne(client, `${root}/${client.clientId}/${n}`, random);
        }
      }
      while (client.unanswered > 0 && !isLate()) await delay(10);
      if (client.unanswered > 0) ledger.report('broker', `${client.unanswered} of ${client.clientId} unanswered`);
    }
  }

  /** What the other side's publishers have retained must be retained here as well. */
  async checkRetained(): Promise<void> {
    const { side, ledger, subscribes, prefix, otherPrefix, retains } = this.#options;
    if (!retains || this.port === null) return;
    const others = side === 'edge' ? 'peer' : 'edge';
    for (const root of subscribes) {
      const filter = `${prefix}${root}/+/+`;
      const beginning = `${otherPrefix}${root}/${others}-`;
      await checkRetained(ledger, this.port, `${side}-probe`, { filter, beginning });
    }
  }

  async close(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#clients.map((client) => client.abandon()));
    await this.broker.kill().catch((error: Error) => this.#options.ledger.report('broker', error.message));
  }
}
