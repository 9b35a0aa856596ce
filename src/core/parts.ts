/**
 * What the core consists of, put together, and what concerns several of its parts. None of it is for callers from
 * outside, who have `Core`.
 */
import { Account, type Ledger } from '../base/ledger.ts';
import type { TimerWheel } from '../base/timer-wheel.ts';
import type { AccessPolicy } from '../contracts/access.ts';
import type { SharedSubscriptions } from '../contracts/cluster.ts';
import type { SessionStore } from '../contracts/session-store.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import type { AckType, PacketId } from '../protocol/packets.ts';
import { Delivering } from './delivering.ts';
import { LocalDirectory, type SessionDirectory } from './directory.ts';
import { Distributor } from './distributor.ts';
import { RetainedMessages } from './retained.ts';
import { Retention } from './retention.ts';
import { LocalRouter, type Router } from './router.ts';
import type { Session } from './session.ts';
import { QueueTotals } from './session-queue.ts';
import type { Sink } from './sink.ts';
import { defaultStepSizes, type StepSizes } from './step-sizes.ts';
import { UnstoredEnds } from './unstored-ends.ts';
import { Wills } from './wills.ts';

export interface CoreOptions {
  readonly settings: BrokerSettings;
  readonly store: SessionStore;
  readonly sink: Sink;
  /** Null: everybody may do everything. */
  readonly access: AccessPolicy | null;
  /** The core advances it. The caller may set timers of its own in it. */
  readonly timers: TimerWheel;
  /** What clients take of memory is charged there, by the core and by the caller. */
  readonly ledger: Ledger;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Null: members of shared subscriptions are all here. */
  readonly shared?: SharedSubscriptions | null;
  /** Default: `defaultStepSizes`. */
  readonly stepSizes?: Partial<StepSizes> | undefined;
}

/** Of each session, so often the acknowledgement of a message is timed. */
const timingRoundMs = 1_000;

export class CoreParts {
  readonly settings: BrokerSettings;
  readonly store: SessionStore;
  readonly sink: Sink;
  readonly access: AccessPolicy | null;
  readonly timers: TimerWheel;
  readonly ledger: Ledger;
  readonly stepSizes: StepSizes;
  readonly shared: SharedSubscriptions | null;
  readonly router: Router = new LocalRouter();
  readonly directory: SessionDirectory = new LocalDirectory();
  readonly unstoredEnds: UnstoredEnds;
  readonly retained: RetainedMessages;
  readonly retention: Retention;
  readonly wills: Wills;
  readonly delivering: Delivering;
  readonly distributor: Distributor;
  /** What waits in the queues of all sessions. */
  readonly queued = new QueueTotals();
  #now: number;
  /** More timers are due than one step fires. */
  #hasDueTimers = false;
  /** Subscriptions of sessions that have ended are being taken out of the router. */
  #isClearing = false;
  #isOver = false;

  constructor({ settings, store, sink, access, timers, ledger, now, shared = null, stepSizes }: CoreOptions) {
    this.shared = shared;
    this.settings = settings;
    this.store = store;
    this.sink = sink;
    this.access = access;
    this.timers = timers;
    this.ledger = ledger;
    this.stepSizes = { ...defaultStepSizes, ...stepSizes };
    this.unstoredEnds = new UnstoredEnds(store);
    this.retained = new RetainedMessages(new Account(ledger));
    this.wills = new Wills({ settings, store, sink, access, timers, ledger, now: () => this.#now });
    this.delivering = new Delivering(settings, store, sink, this.router, this.stepSizes, shared);
    const { delivering, retained, router } = this;
    const { limits } = settings;
    this.retention = new Retention({
      limits,
      store,
      sink,
      retained,
      now: () => this.#now,
      perStep: this.stepSizes.retained,
    });
    const { retention } = this;
    this.distributor = new Distributor({
      settings,
      store,
      sink,
      router,
      delivering,
      retention,
      shared,
      sessionOf: (clientId) => this.directory.get(clientId),
      stepSizes: this.stepSizes,
    });
    this.#now = delivering.now = now;
  }

  get now(): number {
    return this.#now;
  }

  advance(now: number): void {
    this.#now = this.delivering.now = now;
    this.delivering.timingRound = Math.trunc(now / timingRoundMs) & 0x3fff_ffff;
    if (this.#hasDueTimers || !this.#fireTimers()) return;
    this.#hasDueTimers = true;
    this.sink.background(() => (this.#hasDueTimers = !this.#isOver && this.#fireTimers()));
  }

  /** Returns whether more are due. */
  #fireTimers(): boolean {
    return !this.timers.advance(this.#now, this.stepSizes.timers);
  }

  /** Nothing that is left for the background is done any more. */
  end(): void {
    this.#isOver = true;
    this.delivering.redistribution.end();
    this.retention.end();
  }

  /**
   * Of a session that has ended: nothing reaches it any more, and its subscriptions are taken out in the background if
   * they are many.
   */
  removeSubscriptions(session: Session): void {
    this.router.removeAll(session.subscriptions.values(), this.stepSizes.subscriptions);
    session.unsubscribedAll();
    if (!this.router.hasRemains || this.#isClearing) return;
    this.#isClearing = true;
    this.sink.background(() => {
      this.router.clear(this.stepSizes.subscriptions);
      return (this.#isClearing = this.router.hasRemains);
    });
  }

  /** Of a session that has ended: what the store has of it goes in the background if it is much. */
  removeStored(sid: number): void {
    const removeSome = () => this.store.removeSession(sid, this.stepSizes.records);
    if (removeSome()) this.sink.storing(() => !this.#isOver && removeSome());
  }

  rightsChanged(topics: readonly string[] | null): void {
    this.router.rightsChanged(topics);
    this.delivering.rightsChanges++;
  }

  rightsChangedOf(session: Session): void {
    this.router.rightsChangedOf(session);
    this.delivering.rightsChanges++;
  }

  /** Answers at once, unless something was staged since `stagedBefore`: then the answer waits until that is durable. */
  answer(session: Session, type: AckType, packetId: PacketId, reasonCode: number, stagedBefore: number): void {
    if (this.store.staged === stagedBefore) this.sink.acknowledge(session, type, packetId, reasonCode);
    else this.sink.acknowledgeStored(session, type, packetId, reasonCode);
  }
}
