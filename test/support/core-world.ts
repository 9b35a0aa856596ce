/** A core without a broker around it, and clients of it in a few words. */
import { Ledger } from '../../src/base/ledger.ts';
import { TimerWheel } from '../../src/base/timer-wheel.ts';
import type { SharedSubscriptions } from '../../src/contracts/cluster.ts';
import {
  type Backlog,
  type DeliverySummary,
  queuedBytes,
  type SessionStore,
  type StoredDelivery,
} from '../../src/contracts/session-store.ts';
import { type BrokerSettings, defaultSettings, type Limits } from '../../src/contracts/settings.ts';
import type { SessionWill } from '../../src/core/client-session.ts';
import { Core, partsOf } from '../../src/core/core.ts';
import { subscribe } from '../../src/core/handlers/subscribe.ts';
import { connect, disconnected, ready } from '../../src/core/lifecycle.ts';
import type { CoreParts } from '../../src/core/parts.ts';
import type { Session } from '../../src/core/session.ts';
import type { Sink } from '../../src/core/sink.ts';
import { Message } from '../../src/protocol/message.ts';
import type { QoS } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { parseFilter, Topic } from '../../src/protocol/topic.ts';
import { traitsOf } from '../../src/protocol/traits.ts';
import { MemoryStore } from '../../src/store/memory.ts';

export const start = 1_700_000_000_000;

/** Remembers when each session that is stored was left, and what was stored for it. */
export class RecordingStore extends MemoryStore {
  readonly leftAt: (number | null)[] = [];
  /** The numbers of the messages that were stored for each session. */
  readonly stored: [sid: number, messageId: number][] = [];
  override putSession(session?: { disconnectedAt: number | null }): void {
    this.leftAt.push(session!.disconnectedAt);
  }
  override putDelivery(sid?: number, delivery?: { message: Message }): void {
    this.stored.push([sid!, delivery!.message.id]);
  }
}

/** Keeps deliveries as a store on disk does, without a disk. */
export class PagingStore extends MemoryStore {
  override readonly canPage = true as boolean as false;
  #deliveries: { readonly sid: number; readonly delivery: StoredDelivery }[] = [];
  readonly #claimed = new Set<number>();

  override putDelivery(sid?: number, delivery?: StoredDelivery): void {
    this.#deliveries.push({ sid: sid!, delivery: delivery! });
  }

  override removeDelivery(sid?: number, messageId?: number): void {
    this.#deliveries = this.#deliveries.filter((each) => each.sid !== sid || each.delivery.message.id !== messageId);
  }

  override claimDelivery(_sid?: number, messageId?: number): void {
    this.#claimed.add(messageId!);
  }

  override peekDelivery(sid?: number, after?: number) {
    const first = this.#waiting(sid!, after!)[0];
    if (first === undefined) return null as DeliverySummary | null as null;
    const { message, subscriptionIds } = first;
    const summary: DeliverySummary = {
      messageId: message.id,
      bytes: queuedBytes(message, subscriptionIds),
      expiresAt: message.expiresAt,
    };
    return summary as DeliverySummary | null as null;
  }

  #waiting(sid: number, after: number): StoredDelivery[] {
    const own = this.#deliveries.filter((each) => each.sid === sid).map(({ delivery }) => delivery);
    return own.filter(({ message: { id } }) => id > after && !this.#claimed.has(id));
  }

  override readDeliveries(
    sid?: number,
    after?: number,
    _bytes?: number,
    done?: (deliveries: readonly StoredDelivery[], damaged: Backlog) => void,
  ): void {
    done!(this.#waiting(sid!, after!).slice(0, 50), { messages: 0, bytes: 0 });
  }
}

/** A core with timers and a ledger of its own, where everybody may do everything. */
export function aCore(parts: {
  settings: BrokerSettings;
  store: SessionStore;
  sink: Sink;
  now: number;
  shared?: SharedSubscriptions | null;
}): Core {
  const ledger = Ledger.limitedTo(parts.settings.limits.memoryBytes);
  return new Core({ ...parts, ledger, timers: new TimerWheel(parts.now), access: null });
}

/** A core, and in `told` what it says. Clients take QoS 1 and 2 messages of any number. */
export class World {
  readonly told: string[] = [];
  /** What waits for a commit; null: nothing does. */
  waiting: (() => void)[] | null = null;
  readonly store = new RecordingStore();
  readonly door: Core;
  /** What is behind the door. */
  readonly core: CoreParts;
  /** What is asked for retained messages in another form. */
  renderVariant: Sink['renderVariant'] = (message, _class, done) => done(message);

  /** `store`: default one that remembers nothing but what was put. `shared`: of other nodes. */
  constructor(
    limits: Partial<Limits> = {},
    queueQoS0 = false,
    store?: SessionStore,
    shared: SharedSubscriptions | null = null,
  ) {
    const settings = { ...defaultSettings, queueQoS0, limits: { ...defaultSettings.limits, ...limits } };
    this.door = aCore({ settings, store: store ?? this.store, sink: this.#sink(), now: start, shared });
    this.core = partsOf(this.door);
  }

  #sink(): Sink {
    return {
      publish: ({ clientId }, message, qos) => void this.told.push(`${clientId} gets ${message.payload} by QoS ${qos}`),
      obstacle: ({ packetBytesMax }, message) => (message.size <= packetBytesMax ? null : 'packetTooLarge'),
      failed: (_, error) => {
        throw error;
      },
      whenStored: (callback) => (this.waiting === null ? callback() : void this.waiting.push(callback)),
      work: (_session, step) => {
        while (step());
      },
      background: (step) => {
        while (step());
      },
      storing: (step) => {
        while (step());
      },
      acknowledge: ({ clientId }, type, packetId) => void this.told.push(`${clientId} gets ${type} for ${packetId}`),
      acknowledgeStored: ({ clientId }, type, id) => void this.told.push(`${clientId} gets ${type} for ${id}`),
      disconnect: () => {},
      renderVariant: (...asked) => this.renderVariant(...asked),
      publishWill: ({ payload }, _, done) => {
        this.told.push(`will ${payload}`);
        done();
      },
      willRefused: ({ payload }) => void this.told.push(`refused: will ${payload}`),
      dropped: (reason) => void this.told.push(`dropped: ${reason}`),
      noRoom: (reason) => void this.told.push(`dropped: ${reason}`),
      skipped: () => {},
      unmatched: () => {},
      slow: () => {},
      queued: () => {},
      sessionEnded: () => {},
    };
  }

  /** Up to the CONNACK, which has not left. */
  connecting(clientId: string, packetBytesMax = Number.POSITIVE_INFINITY, will: SessionWill | null = null): Session {
    const client = { clientId, traits: traitsOf[5], clean: false, expirySeconds: 1_000, receiveMaximum: 65_535 };
    return connect(this.core, { ...client, packetBytesMax, will, channel: {}, identity: null }).session;
  }

  connected(clientId: string, packetBytesMax?: number): Session {
    const session = this.connecting(clientId, packetBytesMax);
    ready(this.core, session);
    return session;
  }

  member(clientId: string, qos: QoS, ...filters: string[]): Session {
    const session = this.connected(clientId);
    for (const filter of filters) this.subscribe(session, qos, filter);
    return session;
  }

  subscribe(session: Session, qos: QoS, filter: string, noLocal = false, subscriberClass: string | null = null) {
    const options = { qos, noLocal, retainAsPublished: false, retainHandling: 0, identifier: 0 } as const;
    return subscribe(this.core, session, filter, parseFilter(filter)!, { ...options, subscriberClass });
  }

  leave(...sessions: Session[]): void {
    for (const session of sessions) disconnected(this.core, session, true);
  }

  publish(payload: string, qos: QoS = 1, expiresAt = Number.POSITIVE_INFINITY, origin: Session | null = null) {
    const message = Message.of(Topic.of('a'), Buffer.from(payload), { qos });
    message.expiresAt = expiresAt;
    return this.core.distributor.publish(message, origin);
  }

  /** As the PUBLISH of a client that can be told that there is no room. */
  publishOrRefuse(payload: string, origin: Session | null = null) {
    const message = Message.of(Topic.of('a'), Buffer.from(payload), { qos: 1 });
    return this.refuses(message, origin) ? ReasonCode.QuotaExceeded : this.core.distributor.publish(message, origin);
  }

  refuses(message: Message, origin: Session | null): boolean {
    if (!this.core.distributor.mayLackRoom(message, origin)) return false;
    const check = this.core.distributor.checkRoom([{ message, forms: null }], origin);
    for (;;) {
      const isRefused = check.step();
      if (isRefused !== null) return isRefused;
    }
  }
}
