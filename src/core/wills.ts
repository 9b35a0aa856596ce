/**
 * The wills of clients that are gone: those that wait whether their client comes back, and those on their way through
 * rules, hooks and pipelines. [MQTT5 3.1.2.5]
 *
 * While a client is connected, its will is its session's. From then on it stands for itself, so that neither another
 * connection nor the end of the session can lose it or publish it twice. What waits, or is under way for later rounds,
 * has a record in the store, which goes in the same commit in which the published message comes.
 */

import { Account, Category, type Ledger } from '../base/ledger.ts';
import { ShardedMap } from '../base/sharded-map.ts';
import { Timer, type TimerWheel } from '../base/timer-wheel.ts';
import type { AccessPolicy } from '../contracts/access.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { SessionStore, StoredPendingWill } from '../contracts/session-store.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import type { Message } from '../protocol/message.ts';
import { isFailure } from '../protocol/reason-codes.ts';
import { hold, letGo, nameBytes, willBytes } from './footprint.ts';
import { PendingWill } from './pending-will.ts';
import type { Session } from './session.ts';
import type { Sink } from './sink.ts';

export interface WillsOptions {
  readonly settings: BrokerSettings;
  readonly store: SessionStore;
  readonly sink: Sink;
  readonly timers: TimerWheel;
  readonly access: AccessPolicy | null;
  readonly now: () => number;
  readonly ledger: Ledger;
}

export class Wills {
  readonly #options: WillsOptions;
  /** Of those that wait or are under way: their clients are gone. */
  readonly #account: Account;
  readonly #charged = new Set<PendingWill>();
  /** By client identifier. Whoever comes back takes out its own, so there is one of each client. */
  readonly #waiting = new ShardedMap<string, PendingWill>();
  /** By client identifier: the last of those that are under way. */
  readonly #underWay = new Map<string, PendingWill>();
  #count = 0;
  #isStopping = false;
  #isDraining = false;
  /** Those of clients that a drain has sent away: they wait for its end, or for the next start of the broker. */
  readonly #heldBack = new Set<PendingWill>();
  #whenIdle: (() => void)[] = [];

  constructor(options: WillsOptions) {
    this.#options = options;
    this.#account = new Account(options.ledger);
  }

  /** How many of them there are. */
  get count(): number {
    return this.#waiting.size + this.#count;
  }

  /** The broker stops: the connections that it ends from now on are not their clients' fault. */
  stop(): void {
    const { store, settings } = this.#options;
    this.#isStopping = store.outlivesProcess && settings.wills.restartGraceSeconds > 0;
    // Nothing outlives this broker.
    if (!this.#isStopping) for (const pending of this.#heldBack) this.#publish(pending);
  }

  /** The broker sends its clients away, which is not their fault; or it takes clients again. */
  drain(isDraining: boolean): void {
    this.#isDraining = isDraining && this.#options.settings.wills.restartGraceSeconds > 0;
    if (!isDraining) for (const pending of this.#heldBack) this.#waitAgain(pending, null);
  }

  /** Resolves once none is under way. */
  async idle(): Promise<void> {
    if (this.#count > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** The last will of this client that is under way: what the client publishes next comes behind it. */
  underWayOf(clientId: string): PendingWill | null {
    return this.#underWay.get(clientId) ?? null;
  }

  /** The will of a client that is gone, which waits for its delay. */
  waitingOf(clientId: string): PendingWill | undefined {
    return this.#waiting.get(clientId);
  }

  /** The session's connection is gone. [MQTT5 3.1.2-8] */
  leave(session: Session): void {
    const pending = takeWill(session);
    if (pending === null) return;
    if (this.#isStopping) return this.#keep(pending, null);
    if (this.#isDraining) return this.#holdBack(pending);
    if (pending.delaySeconds === 0) return this.#publish(pending);
    const dueAt = this.#options.now() + pending.delaySeconds * 1000;
    this.#keep(pending, dueAt);
    this.#wait(pending, dueAt);
  }

  /** A will that waits for its delay is published when the session ends before. [MQTT5 3.1.3-9] */
  sessionEnded(clientId: string): void {
    const waiting = this.#waiting.get(clientId);
    if (waiting === undefined || this.#heldBack.has(waiting)) return;
    if (waiting.graceUntil <= this.#options.now()) return this.#publish(waiting);
    this.#wait(waiting, waiting.graceUntil);
  }

  /** A will that is due is published before its client is let in. */
  fireIfDue(clientId: string): void {
    const { timers, now } = this.#options;
    timers.fireIfDue(this.#waiting.get(clientId)?.timer ?? null, now());
  }

  /** The client is back, which calls off what waits. Somebody else under its name is not the client. */
  clientIsBack(clientId: string, identity: ClientIdentity | null): void {
    const waiting = this.#waiting.get(clientId);
    if (waiting === undefined) return;
    const isSomebodyElse = waiting.identity !== null && identity?.username !== waiting.identity.username;
    if (isSomebodyElse) return this.#publish(waiting);
    this.#end(waiting);
  }

  /** Puts back those of the last run. */
  restore(stored: Iterable<StoredPendingWill>): void {
    for (const each of stored) {
      const { identity } = each;
      const rights = identity === null ? null : (this.#options.access?.rightsOf(identity) ?? null);
      const pending = new PendingWill(each, each.will, rights);
      pending.number = each.number;
      this.#waitAgain(pending, each.dueAt);
    }
  }

  /** A will of the last run, which its session's record had: the client was connected, or left at that time. */
  restoreOf(pending: PendingWill, leftAt: number | null): void {
    const dueAt = leftAt === null ? null : leftAt + pending.delaySeconds * 1000;
    this.#keep(pending, dueAt);
    this.#waitAgain(pending, dueAt);
  }

  #waitAgain(pending: PendingWill, dueAt: number | null): void {
    if (dueAt !== null) return this.#wait(pending, dueAt);
    // The broker's own end took the connection: the client has the grace to come back, or the delay if that is longer.
    const { settings, now } = this.#options;
    const { restartGraceSeconds } = settings.wills;
    pending.graceUntil = now() + restartGraceSeconds * 1000;
    this.#wait(pending, now() + Math.max(restartGraceSeconds, pending.delaySeconds) * 1000);
  }

  #holdBack(pending: PendingWill): void {
    this.#keep(pending, null);
    this.#add(pending);
    this.#heldBack.add(pending);
  }

  #add(pending: PendingWill): void {
    const other = this.#waiting.get(pending.clientId);
    // After a crash: one was on its way, and its client had connected with the next one.
    if (other !== undefined && other !== pending) this.#publish(other);
    this.#waiting.set(pending.clientId, pending);
    this.#charge(pending);
  }

  #wait(pending: PendingWill, dueAt: number): void {
    this.#add(pending);
    this.#heldBack.delete(pending);
    pending.timer ??= new Timer(() => this.#publish(pending));
    this.#options.timers.set(pending.timer, dueAt);
  }

  /** `dueAt`: null if its wait begins with the next start of the broker. */
  #keep(pending: PendingWill, dueAt: number | null): void {
    const { store } = this.#options;
    if (pending.number === 0) pending.number = store.nextMessageId();
    const { number, clientId, protocolVersion, identity, message, delaySeconds } = pending;
    store.putWill({ number, clientId, protocolVersion, identity, dueAt, will: { message, delaySeconds } });
  }

  #stopWaiting(pending: PendingWill): void {
    this.#options.timers.cancel(pending.timer);
    this.#heldBack.delete(pending);
    if (this.#waiting.get(pending.clientId) === pending) this.#waiting.delete(pending.clientId);
  }

  [Symbol.iterator](): Iterator<PendingWill> {
    return this.#charged.values();
  }

  #charge(pending: PendingWill): void {
    if (this.#charged.has(pending)) return;
    this.#charged.add(pending);
    hold(this.#account, Category.wills, pending.message, willBytes + nameBytes(pending.clientId));
  }

  /** It is not to be published, or has been. */
  #end(pending: PendingWill): void {
    this.#stopWaiting(pending);
    if (this.#charged.delete(pending)) {
      letGo(this.#account, Category.wills, pending.message, willBytes + nameBytes(pending.clientId));
    }
    if (pending.number > 0) this.#options.store.removeWill(pending.number);
    if (pending.isUnderWay) this.#passed(pending);
  }

  #begin(pending: PendingWill): void {
    pending.isUnderWay = true;
    this.#charge(pending);
    this.#count++;
    pending.behind = this.underWayOf(pending.clientId);
    this.#underWay.set(pending.clientId, pending);
  }

  #passed(pending: PendingWill): void {
    pending.isUnderWay = false;
    pending.behind = null;
    this.#count--;
    if (this.#underWay.get(pending.clientId) === pending) this.#underWay.delete(pending.clientId);
    for (const call of pending.whenPassed) call();
    if (this.#count > 0) return;
    for (const call of this.#whenIdle.splice(0)) call();
  }

  #publish(pending: PendingWill): void {
    const { sink, now } = this.#options;
    this.#stopWaiting(pending);
    const message = stamped(pending.message, now());
    // It was allowed when the client connected; the rules may have changed.
    const code = pending.rights?.publish(message.topic, message.qos, message.retain) ?? 0;
    if (isFailure(code)) {
      sink.willRefused(message, pending, code);
      return this.#end(pending);
    }
    this.#begin(pending);
    sink.publishWill(message, pending, () => this.#end(pending));
    // It takes its time: should the process end meanwhile, the next one publishes it.
    if (pending.isUnderWay) this.#keep(pending, now());
  }
}

/** Takes the will off its session: the client is gone. */
export function takeWill(session: Session): PendingWill | null {
  const { clientId, traits, identity, rights, will } = session;
  if (will === null) return null;
  session.will = null;
  // Nobody can come back to a session that ends with its connection. [MQTT5 3.1.3-9]
  const delaySeconds = session.outlivesConnection ? will.delaySeconds : 0;
  return new PendingWill({ clientId, protocolVersion: traits.version, identity }, { ...will, delaySeconds }, rights);
}

/** A will's expiry counts from its publication. [MQTT5 3.1.3.2.4] */
function stamped(message: Message, now: number): Message {
  const will = message.renumbered(0);
  // Its time of expiry is its own.
  will.content = null;
  if (will.expirySeconds >= 0) will.expiresAt = now + will.expirySeconds * 1000;
  return will;
}
