/**
 * What the broker decided to send: one message for one session, as it stands in its queue. Several copies of one
 * message may be on their way to a client (sent again by its publisher, retained, by a shared subscription), and on the
 * wire they look alike. So the judge follows each from where the core gives it to a session (`probe.ts`) to the
 * connection, and holds it to what the oracle says of that very copy.
 */
import type { Session } from '../../src/core/session.ts';
import type { Message } from '../../src/protocol/message.ts';
import { matches, parseFilter } from '../../src/protocol/topic.ts';
import type { Judge } from './judge.ts';
import { type Expected, type ModelSession, type Options, owedTo, type QoS, type Replay, type Routed } from './model.ts';

export interface Decision {
  /** Rises: a session is to be sent what was decided in this order. */
  readonly number: number;
  readonly clientId: string;
  /** Of the session; 0: the oracle does not know it. */
  readonly uid: number;
  /** Null: the oracle says that nothing is owed. */
  readonly expected: Expected | null;
  /** The shared subscription that it came by. */
  readonly group: string | null;
  /** The new subscription that a retained message is for. */
  readonly filter: string | null;
  /** The session outlives its connection, so the store has it. */
  readonly isKept: boolean;
  /** The run of the broker in which it was taken. */
  readonly life: number;
  /** How often it was given to a connection, and how often a kernel took it. */
  writes: number;
  arrivals: number;
  /** When it got a packet identifier, which one, and for which connection. */
  begunAt: number;
  packetId: number;
  begunFor: object | null;
  /** QoS 2, and too large for the client's new Maximum Packet Size: it was released instead of being sent again. */
  isSkipped: boolean;
  /** In this run of the broker, it was done with it; a crash may have taken that back: see `Judge.isGone`. */
  goneIn: number;
}

export class Decisions {
  /** Where a delivery is, there is what was decided. */
  readonly #byDelivery = new WeakMap<object, Decision>();
  /** By session number and message number in the store: they outlive the process. */
  #byRecord = new Map<string, Decision>();
  /** By session and packet identifier: the last one that was begun with it. */
  readonly #begun = new Map<string, Decision>();
  /** What was decided once and cannot be decided again. */
  readonly #taken = new Set<string>();
  /** By message and shared subscription: who was given it, one after the other. */
  readonly #ofGroup = new Map<string, Decision[]>();
  /** By session and message: copies of which the store need not have anything, since they were dropped and counted. */
  readonly #unstaged = new Set<string>();
  /** Retained messages that a new subscription was given. */
  readonly #given = new WeakMap<Replay, Set<number>>();
  readonly #judge: Judge;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  /** The store has nothing of it. */
  forgetRecords(): void {
    this.#byRecord = new Map();
  }

  /** A copy for a session, as `core.publish` gives it. */
  take(session: Session, routed: Routed, group: string | null, qos: QoS): Decision {
    const { number, key } = routed;
    const { clientId } = session;
    const judge: Judge = this.#judge;
    const owner = this.#owner(session);
    // The oracle does not know a session that ended with the last process, and the broker not yet that it has.
    const who = group ?? owner?.uid ?? clientId;
    judge.check(!this.#taken.has(`${number} ${who}`), 'a message goes to everybody once [MQTT5 3.3.4]', () => {
      return `${key} (routed as ${number}) goes to ${group ?? clientId} again`;
    });
    this.#taken.add(`${number} ${who}`);
    // It may have come, or come back, while the message was given to others.
    const mayBeNew = judge.profile.hasSmallSteps && owner !== undefined;
    if (group === null) {
      if (mayBeNew && owedTo(owner, number) === null)
        judge.tell({ kind: 'found', clientId, message: routed, group, qos });
      return this.#make(session, number, owner === undefined ? null : owedTo(owner, number));
    }
    const owed = judge.model.groups.get(number)?.find(({ name }) => name === group);
    if (mayBeNew && owed === undefined) judge.tell({ kind: 'found', clientId, message: routed, group, qos });
    if (mayBeNew) return this.passOn(session, routed, group);
    return this.#shared(session, owed?.message, group, owed?.members.get(clientId));
  }

  /** A message of a shared subscription goes to another member. */
  passOn(session: Session, routed: Routed | undefined, group: string): Decision {
    const owed = this.#judge.model.groups.get(routed?.number ?? 0)?.find(({ name }) => name === group);
    const options = this.#owner(session)?.subscriptions.get(`$share/${group}`);
    return this.#shared(session, owed?.message, group, options);
  }

  #shared(session: Session, message: Routed | undefined, group: string, options: Options | undefined): Decision {
    const number = this.#judge.nextNumber();
    if (message === undefined || options === undefined) return this.#make(session, number, null, group);
    const expected = expectedOf(message, options, message.retain && options.rap);
    const decision = this.#make(session, number, expected, group);
    const at = `${message.number} ${group}`;
    this.#ofGroup.set(at, [...(this.#ofGroup.get(at) ?? []), decision]);
    return decision;
  }

  /** The members of a shared subscription that were given a message, in whichever run of the broker. */
  ofGroup(number: number, group: string): readonly Decision[] {
    return this.#ofGroup.get(`${number} ${group}`) ?? [];
  }

  /** A retained message for a new subscription: what the topic has now. */
  replay(session: Session, message: Message): Decision {
    const { model } = this.#judge;
    const owner = this.#owner(session);
    const filter = session.replays[0]!.subscription.topicFilter;
    const topic = message.topic.name;
    const number = this.#judge.nextNumber();
    const replay = owner?.replays.get(filter);
    const kept = model.retained.get(topic);
    if (replay === undefined || kept === undefined) return this.#make(session, number, null);
    if (!matches(parseFilter(filter)!.filter, topic)) return this.#make(session, number, null);
    const given = this.#given.get(replay) ?? new Set();
    this.#given.set(replay, given);
    this.#judge.check(!given.has(kept.number), 'a retained message comes once for a subscription', () => {
      return `${session.clientId} ${filter} gets ${kept.key} again`;
    });
    given.add(kept.number);
    this.#judge.tell({ kind: 'replay', clientId: session.clientId, filter, topic, number });
    return this.#make(session, number, expectedOf(kept, replay.options, true), null, filter);
  }

  #owner({ clientId }: Session): ModelSession | undefined {
    return this.#judge.model.sessions.get(clientId);
  }

  #make(
    session: Session,
    number: number,
    expected: Expected | null,
    group: string | null = null,
    filter: string | null = null,
  ): Decision {
    const { clientId } = session;
    const { life } = this.#judge;
    const { uid = 0, isKept = false } = this.#owner(session) ?? {};
    return {
      ...{ number, clientId, uid, isKept, expected, group, filter, life },
      ...{ writes: 0, arrivals: 0, begunAt: 0, packetId: 0, begunFor: null, isSkipped: false, goneIn: 0 },
    };
  }

  // Where it is kept

  isIn(delivery: object, decision: Decision): void {
    this.#byDelivery.set(delivery, decision);
  }

  inRecord(sid: number, messageId: number): Decision | undefined {
    return this.#byRecord.get(`${sid} ${messageId}`);
  }

  isInRecord(sid: number, messageId: number, decision: Decision): void {
    this.#byRecord.set(`${sid} ${messageId}`, decision);
  }

  recordGone(sid: number, messageId: number): void {
    const decision = this.#byRecord.get(`${sid} ${messageId}`);
    if (decision !== undefined) decision.goneIn = this.#judge.life;
  }

  /** A copy is dropped when it is given to its session, or for a later one: no answer waits until the store has it. */
  droppedUnstaged(session: Session, { number }: Routed): void {
    const owner = this.#owner(session);
    if (owner !== undefined) this.#unstaged.add(`${owner.uid} ${number}`);
  }

  wasDroppedUnstaged({ uid }: ModelSession, { number }: Routed): boolean {
    return this.#unstaged.has(`${uid} ${number}`);
  }

  of(session: Session, delivery: { readonly message: Message } | null | undefined): Decision | null {
    if (delivery === null || delivery === undefined) return null;
    const record = `${session.sid} ${delivery.message.id}`;
    return this.#byDelivery.get(delivery) ?? this.#byRecord.get(record) ?? null;
  }

  /** It is put into a queue or into the store. */
  waits({ clientId, number, expected, uid }: Decision): void {
    // A session that ends with the connection that the last process had: it is there until it is its turn.
    if (uid === 0 && this.#judge.isStarting) return;
    this.#judge.check(expected !== null, 'nothing is kept that nobody subscribed to', () => clientId);
    if (expected!.qos === 0) this.#judge.tell({ kind: 'queued', clientId, number });
  }

  // On its way

  /** It has a packet identifier. */
  begins(session: Session, decision: Decision, packetId: number): void {
    this.#checkMayReceive(decision);
    decision.begunAt = this.#judge.world.time;
    decision.packetId = packetId;
    decision.begunFor = session.channel;
    this.#begun.set(`${decision.uid} ${packetId}`, decision);
  }

  #checkMayReceive(decision: Decision): void {
    const what = () =>
      `${decision.clientId} gets ${decision.expected!.message.key} to ${decision.expected!.message.topic}`;
    this.#judge.check(this.#mayReceive(decision), 'nobody is given what they may not read', what);
  }

  #mayReceive({ clientId, expected }: Decision): boolean {
    const { rules } = this.#judge;
    return rules === null || expected === null || rules.mayReceive(clientId, expected.message.topic);
  }

  begunAs(uid: number, packetId: number): Decision | undefined {
    return this.#begun.get(`${uid} ${packetId}`);
  }

  /**
   * A QoS 2 message is released without having been answered: it is too large to be sent again, or the rules forbid it
   * now.
   */
  skipped({ clientId, packetBytesMax }: Session, decision: Decision | null): void {
    const judge: Judge = this.#judge;
    if (decision === null || (packetBytesMax === Number.POSITIVE_INFINITY && this.#mayReceive(decision)))
      judge.fail('PUBREL only after PUBREC [MQTT5 4.3.3-6]', `${clientId} has not answered`);
    decision.isSkipped = true;
  }

  /** It is given to a connection: then it must be owed. */
  written(decision: Decision | null, session: Session): Decision {
    const judge: Judge = this.#judge;
    const { clientId } = session;
    if (decision === null) judge.fail('nothing is sent that was not decided', clientId);
    const { expected, number, group, uid, filter } = decision;
    const owner = this.#owner(session);
    const isOwner = owner?.uid === uid && decision.clientId === clientId;
    const routed = expected?.message.number ?? 0;
    const isOwed =
      group === null
        ? (owner !== undefined && owedTo(owner, number) !== null) || (filter !== null && expected?.qos === 0)
        : judge.model.groups.get(routed)?.some(({ name }) => name === group) === true;
    judge.check(isOwner && expected !== null && isOwed, 'no delivery that nobody subscribed to [MQTT5 3.3.4]', () => {
      const what = expected === null ? 'a message' : `${expected.message.key} (routed as ${routed})`;
      const how = group === null ? (filter === null ? '' : ` retained, for ${filter}`) : ` by ${group}`;
      return `${clientId} is sent ${what}${how}`;
    });
    decision.writes++;
    this.#checkMayReceive(decision);
    // QoS 0 is done with as soon as it is written.
    if (expected!.qos === 0) {
      judge.done(decision);
    } else if (judge.isGone(decision)) {
      judge.fail('nothing is sent that was given up', `${clientId} is sent ${expected!.message.key}`);
    }
    return decision;
  }
}

function expectedOf(message: Routed, options: Options, retain: boolean): Expected {
  const qos = Math.min(message.qos, options.qos) as QoS;
  return { message, qos, retain, ids: options.id > 0 ? [options.id] : [] };
}
