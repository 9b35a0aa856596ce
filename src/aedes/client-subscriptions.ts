/**
 * What one client is subscribed to: its own requests and the program's, one after the other, each asked about first.
 */
import type { ISubackPacket, ISubscription, IUnsubackPacket, Packet } from 'mqtt-packet';
import { asked } from './asked.ts';
import type { Owner } from './owner.ts';
import type { SubscribePacket, Subscription, UnsubscribePacket } from './packets.ts';
import { faultOfFilter } from './topics.ts';

const refused = 128;

type Ack = ISubackPacket | IUnsubackPacket;

/** The broker's side of a client, for these. */
export interface Upstream {
  /** An identifier that no packet on its way to the broker has. */
  freeId(): number;
  send(packet: Packet): Promise<void> | null;
  reply(packet: Packet): Promise<void> | null;
}

const unsubscribeFrom = (unsubscriptions: string[]) => ({ cmd: 'unsubscribe', unsubscriptions }) as const;

export class ClientSubscriptions<C extends { readonly broker: Owner<C> }> {
  readonly #client: C;
  readonly #upstream: Upstream;
  /** By topic filter. A prototype would have names that no client has subscribed to. */
  readonly all: Record<string, Omit<ISubscription, 'topic'>> = Object.create(null);
  /** Of the one request that the broker has not answered. */
  #awaited: { readonly messageId: number; readonly resolve: (ack: Ack) => void } | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(client: C, upstream: Upstream) {
    this.#client = client;
    this.#upstream = upstream;
  }

  /** An answer of the broker to one of these requests. Resolves once the client has its own. */
  async acked(ack: Ack): Promise<void> {
    const awaited = this.#awaited;
    if (awaited === null || awaited.messageId !== ack.messageId) return;
    this.#awaited = null;
    awaited.resolve(ack);
    await this.#last;
  }

  /** Rejects with what the client is at fault for, or a handler says. */
  subscribe(packet: Omit<SubscribePacket, 'cmd'>): Promise<void> {
    return this.#inTurn(() => this.#subscribe(packet));
  }

  unsubscribe(packet: Omit<UnsubscribePacket, 'cmd'>): Promise<void> {
    return this.#inTurn(() => this.#unsubscribe(packet));
  }

  /** A session goes on: the program is asked whether it may keep what it has. */
  async restore(subscriptions: readonly Subscription[]): Promise<void> {
    const lost: string[] = [];
    for (const subscription of subscriptions) {
      const granted = await this.#authorize({ ...subscription });
      if (granted === null) lost.push(subscription.topic);
      else this.#remember(subscription);
    }
    // The answer comes behind what the caller still has to send.
    if (lost.length > 0) void this.#inTurn(async () => void (await this.#request(unsubscribeFrom(lost))));
  }

  #inTurn(run: () => Promise<void>): Promise<void> {
    const done = this.#last.then(run);
    this.#last = done.catch(() => {});
    return done;
  }

  async #subscribe({ subscriptions, messageId, properties }: Omit<SubscribePacket, 'cmd'>): Promise<void> {
    const { broker } = this.#client;
    // A handler may change them.
    const asTold = subscriptions.map(({ topic }) => topic);
    // Of several for one filter the last one counts.
    const byTopic = new Map(subscriptions.map((each) => [each.topic, each]));
    for (const topic of byTopic.keys()) {
      const fault = faultOfFilter(topic, 'SUBSCRIBE', broker.maxTopicLevels);
      if (fault !== null) throw fault;
    }
    const wanted = byTopic.size === subscriptions.length ? subscriptions : [...byTopic.values()];
    const topics = [...byTopic.keys()];
    const allowed = await Promise.all(wanted.map((each) => this.#authorize(each)));
    const asking = allowed.filter((each) => each !== null);
    const granted = asking.length === 0 ? [] : await this.#ask(asking, properties);
    const codes = new Map<string, number>();
    let next = 0;
    for (const [index, each] of wanted.entries()) {
      const subscription = allowed[index] ?? null;
      const topic = topics[index]!;
      const code = subscription === null ? refused : (granted[next++] ?? refused);
      codes.set(topic, code);
      if (subscription !== null && code < refused) this.#remember({ ...subscription, qos: code as 0 | 1 | 2 });
      each.qos = code as 0 | 1 | 2;
    }
    if (messageId !== undefined) {
      const answers = asTold.map((topic) => codes.get(topic)!);
      await this.#upstream.reply({ cmd: 'suback', messageId, granted: answers });
    }
    broker.subscribed(wanted, this.#client);
  }

  /** Null: the program does not want it. Throws what the program says instead. */
  async #authorize(subscription: Subscription): Promise<Subscription | null> {
    const { broker } = this.#client;
    const { error, value } = await asked<Subscription | null>((done) =>
      broker.authorizeSubscribe(this.#client, subscription, done),
    );
    if (error !== null) throw error;
    return typeof value === 'object' ? value : null;
  }

  async #ask(subscriptions: Subscription[], properties: SubscribePacket['properties']): Promise<readonly number[]> {
    // Only what a SUBSCRIBE has: a handler may have put anything there.
    const clean = subscriptions.map(({ topic, qos, nl, rap, rh }) => {
      const options = { nl: nl ?? false, rap: rap ?? false, rh: rh ?? 0 };
      return { topic, qos, ...options };
    });
    const request = { cmd: 'subscribe', subscriptions: clean } as const;
    const ack = await this.#request(properties === undefined ? request : { ...request, properties });
    return (ack as ISubackPacket).granted as number[];
  }

  async #unsubscribe({ unsubscriptions, messageId, properties }: Omit<UnsubscribePacket, 'cmd'>): Promise<void> {
    const { broker } = this.#client;
    for (const topic of unsubscriptions) {
      const fault = faultOfFilter(topic, 'UNSUBSCRIBE', broker.maxTopicLevels);
      if (fault !== null) throw fault;
    }
    const request = { cmd: 'unsubscribe', unsubscriptions } as const;
    const ack = await this.#request(properties === undefined ? request : { ...request, properties });
    for (const topic of unsubscriptions) delete this.all[topic];
    if (messageId !== undefined) await this.#upstream.reply({ ...ack, messageId } as Packet);
    broker.unsubscribed(unsubscriptions, this.#client);
  }

  async #request(request: Omit<SubscribePacket, 'messageId'> | Omit<UnsubscribePacket, 'messageId'>): Promise<Ack> {
    const messageId = this.#upstream.freeId();
    const answered = new Promise<Ack>((resolve) => {
      this.#awaited = { messageId, resolve };
    });
    await this.#upstream.send({ ...request, messageId });
    return answered;
  }

  #remember({ topic, qos, nl, rap, rh }: Subscription): void {
    this.all[topic] = { qos, ...(nl === undefined ? {} : { nl }), ...(rap === undefined ? {} : { rap }) };
    if (rh !== undefined) this.all[topic].rh = rh;
  }
}
