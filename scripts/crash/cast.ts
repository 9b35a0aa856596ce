/**
 * The clients of one round, and what they do while the broker lives: publish, subscribe and unsubscribe, come and go.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Client, type ClientOptions } from './client.ts';
import type { Ledger, QoS, SentMessage, SessionRecord, WillFate, WillRecord } from './ledger.ts';
import { willFates, willGraceSeconds } from './ledger.ts';
import type { Random } from './random.ts';

/** `leaver`: goes while the load runs and never comes back; its session expires soon. */
type Presence = 'online' | 'offline' | 'flapping' | 'leaver';

interface Subscriber {
  readonly client: Client;
  readonly record: SessionRecord;
  readonly presence: Presence;
  readonly filters: readonly string[];
}

/** Subscribes and unsubscribes all the time. */
interface Toggler {
  readonly client: Client;
  readonly record: SessionRecord;
  readonly random: Random;
}

/** Subscribes to the archive while the load runs, and takes its time with what is retained there. */
interface Reader {
  readonly client: Client;
  readonly record: SessionRecord;
}

interface WillClient {
  readonly client: Client;
  readonly record: WillRecord;
}

const publisherCount = 4;
const topicsEach = 3;
const longDelaySeconds = 120;
/** Retained before the load begins, and never again. */
const archived = 400;
const archiveFilter = 'archive/#';
/** Who is not back by then may find its will published: the broker's start, and what this machine needs, come first. */
const inTimeMs = willGraceSeconds * 500;

export class Cast {
  readonly #random: Random;
  readonly #ledger: Ledger;
  readonly #publishers: { readonly client: Client; readonly random: Random }[] = [];
  readonly #subscribers: Subscriber[] = [];
  readonly #togglers: Toggler[] = [];
  readonly #readers: Reader[] = [];
  readonly #willClients: WillClient[] = [];
  /** Those that run until the load ends. */
  readonly #playing: Promise<void>[] = [];
  #port: number | null = null;
  #isOver = false;
  /** Also where publishers could not finish. */
  #isClosed = false;

  constructor(random: Random, ledger: Ledger) {
    this.#random = random;
    this.#ledger = ledger;
    for (let i = 0; i < publisherCount; i++) {
      this.#publishers.push({ client: this.#client(`publisher${i}`, null), random: random.fork() });
    }
    for (let i = 0; i < 8; i++) this.#addSubscriber(`subscriber${i}`, null, this.#somePlainFilters());
    for (let i = 0; i < 3; i++) this.#addSubscriber(`member-a${i}`, '$share/a/shared/#', ['$share/a/shared/#']);
    for (let i = 0; i < 3; i++) this.#addSubscriber(`member-b${i}`, '$share/b/shared/+/1', ['$share/b/shared/+/1']);
    this.#addSubscriber('member-b-leaver', '$share/b/shared/+/1', ['$share/b/shared/+/1', 'load/0/0'], 'leaver');
    this.#addSubscriber('watcher-online', null, ['will/#'], 'online', 2);
    this.#addSubscriber('watcher-offline', null, ['will/+/+'], 'offline', 1);
    for (const qos of [1, 2] as const) this.#addReader(`reader${qos}`, qos);
    for (let i = 0; i < 2; i++) {
      const record = ledger.session(`toggler${i}`, random.pick([1, 2]), null);
      this.#togglers.push({ client: this.#client(`toggler${i}`, record), record, random: random.fork() });
    }
    for (let i = 0; i < 8; i++) this.#addWillClient(i, willFates[i % willFates.length]!);
  }

  #client(clientId: string, record: SessionRecord | null, own: Partial<ClientOptions> = {}): Client {
    const random = this.#random;
    const answerDelayMs = random.isLucky(0.5) ? 0 : random.between(1, 30);
    const version = random.pick([4, 5] as const);
    const reusesPacketIds = random.isLucky(0.5);
    const answersLate = random.isLucky(0.5);
    const options = { clientId, version, isPersistent: true, reusesPacketIds, answerDelayMs, answersLate, ...own };
    return new Client(options, this.#ledger, record);
  }

  #addReader(clientId: string, qos: QoS): void {
    const record = this.#ledger.session(clientId, qos, null);
    const client = this.#client(clientId, record, { version: 5, receiveMaximum: 8, answerDelayMs: 8 });
    this.#readers.push({ client, record });
  }

  #addSubscriber(clientId: string, group: string | null, filters: string[], presence?: Presence, qos?: QoS): void {
    // One QoS for a whole group: which member a message reaches is the broker's choice.
    const ownQos = group === null ? this.#random.pick<QoS>([1, 2]) : group.startsWith('$share/a/') ? 2 : 1;
    const record = this.#ledger.session(clientId, qos ?? ownQos, group);
    presence ??= this.#random.pick(['online', 'offline', 'flapping']);
    const mayExpire = presence === 'leaver';
    const client = this.#client(
      clientId,
      record,
      mayExpire ? { version: 5, expirySeconds: this.#random.between(1, 2) } : {},
    );
    this.#subscribers.push({ client, record, presence, filters });
  }

  /** Filters that do not overlap: with each publisher all its topics, some, or none. */
  #somePlainFilters(): string[] {
    const random = this.#random;
    const filters: string[] = random.isLucky(0.3) ? ['retained/#'] : [];
    for (let i = 0; i < publisherCount; i++) {
      const choice = random.between(0, 3);
      if (choice === 0) filters.push(`load/${i}/+`);
      if (choice === 1) filters.push(`load/${i}/#`);
      if (choice === 2) filters.push(`load/${i}/0`, `load/${i}/${random.between(1, topicsEach - 1)}`);
    }
    return filters.length > 0 ? filters : ['load/#'];
  }

  #addWillClient(index: number, fate: WillFate): void {
    const random = this.#random;
    const clientId = `mortal${index}${index % 3 === 0 ? '-piped' : ''}`;
    const version = fate === 'returns' ? 5 : random.pick([4, 5] as const);
    const qos: QoS = random.pick([1, 2]);
    // A will waits no longer than its session lasts, and needs 5.0 to wait at all.
    const isPersistent = fate === 'returns' || random.isLucky(0.6);
    const canWait = version === 5 && isPersistent;
    // Without a delay it is the grace after the broker's stop in which it comes back.
    const returningDelay = random.pick([0, longDelaySeconds]);
    const delaySeconds = fate === 'returns' ? returningDelay : canWait ? random.between(0, 1) : 0;
    const record: WillRecord = { clientId, qos, delaySeconds, fate, expectation: 'either', endedAt: 0, wasCut: false };
    const client = new Client(
      { clientId, version, isPersistent, reusesPacketIds: false, answerDelayMs: 0, will: { qos, delaySeconds } },
      this.#ledger,
      null,
    );
    this.#ledger.wills.push(record);
    this.#willClients.push({ client, record });
  }

  get #all(): Client[] {
    const all = [this.#publishers, this.#subscribers, this.#togglers, this.#readers, this.#willClients];
    return all.flat().map(({ client }) => client);
  }

  /** Everybody connects and subscribes; the load begins. */
  async enter(port: number): Promise<void> {
    this.#port = port;
    await Promise.all(this.#subscribers.map((subscriber) => this.#settle(subscriber)));
    const others = [...this.#publishers, ...this.#togglers, ...this.#readers];
    await Promise.all(others.map(({ client }) => client.connect(port)));
    await this.#fillArchive();
    await Promise.all(this.#willClients.map((mortal) => this.#live(mortal)));
    const flapping = this.#subscribers.filter(({ presence }) => presence === 'flapping');
    const leaving = this.#subscribers.filter(({ presence }) => presence === 'leaver');
    this.#playing.push(
      ...this.#publishers.map(({ client, random }, i) => this.#publishing(client, i, random)),
      ...this.#togglers.map((toggler) => this.#toggling(toggler)),
      ...flapping.map(({ client }) => this.#flapping(client, this.#random.fork())),
      ...leaving.map(({ client }) => this.#leaving(client, this.#random.fork())),
      ...this.#readers.map((reader) => this.#reading(reader, this.#random.fork())),
    );
  }

  async #fillArchive(): Promise<void> {
    const { client } = this.#publishers[0]!;
    for (let n = 0; n < archived; n++) {
      while (!client.canPublish && !this.#isClosed) await delay(1);
      if (this.#isClosed) return;
      const fields = {
        topic: `archive/${n}`,
        qos: n % 2 === 0 ? 1 : 2,
        retain: true,
        isEmpty: false,
        size: 20,
      } as const;
      client.publish(this.#ledger.send({ publisher: client.clientId, ...fields }));
    }
    while (client.unanswered > 0 && !this.#isClosed) await delay(1);
  }

  /** Until the broker has said that the subscription stands. */
  async #reading({ client, record }: Reader, random: Random): Promise<void> {
    await delay(random.between(0, 1_000));
    while (!this.#isOver) {
      if (client.state === 'open' && (await client.subscribe(archiveFilter, record.qos))) return;
      await delay(5);
    }
  }

  async #leaving(client: Client, random: Random): Promise<void> {
    await delay(random.between(0, 600));
    await (random.isLucky(0.5) ? client.leave() : client.abandon());
  }

  async #settle({ client, record, presence, filters }: Subscriber): Promise<void> {
    await client.connect(this.#port!);
    await Promise.all(filters.map((filter) => client.subscribe(filter, record.qos)));
    if (presence === 'offline') await client.leave();
  }

  /** Connects with a will; those that end before the crash do so while the load runs. */
  async #live({ client, record }: WillClient): Promise<void> {
    const { fate } = record;
    if (!(await client.connect(this.#port!))) return;
    record.expectation = fate === 'returns' ? 'never' : 'arrives';
    if (fate !== 'leaves' && fate !== 'breaks off') return;
    const pause = this.#random.between(0, 400);
    this.#playing.push(
      delay(pause).then(async () => {
        // Once the broker is being killed, whose socket still looks open is connected at the crash.
        if (client.state !== 'open' || this.#port === null) return;
        if (fate === 'leaves') record.expectation = 'either';
        record.endedAt = Date.now();
        const before = this.#ledger.crashes;
        await (fate === 'leaves' ? client.leave() : client.abandon());
        // It was the broker that closed: it had read the DISCONNECT.
        if (fate === 'leaves' && this.#ledger.crashes === before) record.expectation = 'never';
      }),
    );
  }

  async #publishing(client: Client, index: number, random: Random): Promise<void> {
    while (!this.#isOver) {
      for (let burst = random.between(1, 4); burst > 0 && client.canPublish; burst--)
        this.#publishOne(client, index, random);
      await delay(random.between(2, 8));
    }
    // So that every subscription has something to show for itself after the last restart.
    for (const [root, qos] of [
      ['load', 1],
      ['load', 2],
      ['shared', 2],
      ['retained', 1],
    ] as const) {
      for (let n = 0; n < topicsEach; n++) {
        while (!client.canPublish && !this.#isClosed) await delay(2);
        if (this.#isClosed) return;
        const own = root === 'retained' ? retainedQoS(n) : qos;
        this.#publish(client, `${root}/${index}/${n}`, own, random, false);
      }
    }
  }

  #publishOne(client: Client, index: number, random: Random): void {
    const root = random.pick(['load', 'load', 'load', 'shared', 'retained']);
    const n = random.between(0, topicsEach - 1);
    const qos = root === 'retained' ? retainedQoS(n) : random.pick<QoS>([1, 2]);
    this.#publish(client, `${root}/${index}/${n}`, qos, random, root === 'retained' && random.isLucky(0.1));
  }

  #publish(client: Client, topic: string, qos: QoS, random: Random, isEmpty: boolean): void {
    const retain = topic.startsWith('retained/');
    // Small, inline in one record, and large ones with a record of their own.
    const size = random.isLucky(0.9) ? random.between(8, 300) : random.between(300, 20_000);
    const message: SentMessage = this.#ledger.send({ publisher: client.clientId, topic, qos, retain, isEmpty, size });
    client.publish(message);
  }

  async #toggling({ client, record, random }: Toggler): Promise<void> {
    while (!this.#isOver) {
      if (client.state === 'open') {
        const filter = `load/${random.between(0, publisherCount - 1)}/${random.between(0, topicsEach - 1)}`;
        const last = record.changes.get(filter)?.at(-1);
        if (last?.kind === 'subscribe') await client.unsubscribe(filter);
        else await client.subscribe(filter, record.qos);
      }
      await delay(random.between(0, 20));
    }
  }

  async #flapping(client: Client, random: Random): Promise<void> {
    while (!this.#isOver) {
      await delay(random.between(5, 150));
      if (client.state === 'open') await (random.isLucky(0.5) ? client.leave() : client.abandon());
      else if (client.state === 'away' && this.#port !== null) await client.connect(this.#port);
    }
  }

  /** The broker is about to die, or to be told to stop. */
  beforeEnd(isByOrder: boolean): void {
    if (isByOrder) this.#ledger.stops++;
    else this.#ledger.crashes++;
    this.#ledger.isStopping = isByOrder;
    this.#port = null;
    for (const { client, record } of this.#willClients) {
      if (client.state !== 'open') continue;
      record.endedAt = Date.now();
      record.wasCut = true;
    }
  }

  /** Resolves when all connections to the dead broker are closed. */
  async afterEnd(): Promise<void> {
    await Promise.all(this.#all.map((client) => client.whenClosed()));
    this.#ledger.isStopping = false;
  }

  /** Those come back that are online; `everybody` at the end. Resolves when they have tried. */
  async comeBack(port: number, everybody: boolean): Promise<void> {
    this.#port = port;
    const isBack = ({ presence }: Subscriber) => presence !== 'leaver' && (everybody || presence !== 'offline');
    const subscribers = this.#subscribers.filter(isBack);
    const returning = this.#willClients.filter(({ record }) => record.fate === 'returns');
    for (const { client } of returning) client.hasWill = false;
    const clients = [...returning, ...this.#publishers, ...subscribers, ...this.#togglers, ...this.#readers];
    const connections = clients.map(async ({ client }) => {
      await delay(this.#random.between(0, 20));
      if (this.#port === port) await client.connect(port);
    });
    await Promise.all(connections);
    const isLate = Date.now() > this.#ledger.starts.at(-1)! + inTimeMs;
    for (const { client, record } of returning) {
      if (record.wasCut && record.delaySeconds === 0 && (isLate || client.state !== 'open'))
        record.expectation = 'either';
    }
  }

  /**
   * Ends the load, after a last message to every topic, and answers when all publishers have their acknowledgements.
   */
  async finish(port: number, deadlineMs: number): Promise<void> {
    this.#isOver = true;
    const isLate = delay(deadlineMs, true);
    if (await Promise.race([Promise.all(this.#playing).then(() => false), isLate])) {
      return this.#ledger.report('broker', 'publishers could not finish');
    }
    await this.comeBack(port, true);
    for (const { client, presence } of this.#subscribers) {
      if (client.state !== 'open' && presence !== 'leaver')
        this.#ledger.report('broker', `${client.clientId} could not come back`);
    }
    const deadline = Date.now() + deadlineMs;
    for (const { client } of this.#publishers) {
      while (client.unanswered > 0 && Date.now() < deadline) await delay(10);
      if (client.unanswered > 0) this.#ledger.report('broker', `${client.unanswered} of ${client.clientId} unanswered`);
    }
  }

  async close(): Promise<void> {
    this.#isOver = this.#isClosed = true;
    this.#port = null;
    await Promise.all(this.#all.map((client) => client.abandon()));
  }
}

/** One QoS for each, or a later message might be done before an earlier one. */
const retainedQoS = (n: number): QoS => (n % 2 === 0 ? 1 : 2);
