/**
 * The oracle: what an MQTT broker is, said as simply as possible. It is told what the broker decided to do in which
 * order, and says who is to get what. It keeps everything, forgets nothing on its own, and has neither windows nor
 * queues nor a store: what a crash leaves is found by telling a new one the same story up to where the disk has it.
 */
import { matches, parseFilter } from '../../src/protocol/topic.ts';

export type QoS = 0 | 1 | 2;

export interface Options {
  readonly qos: QoS;
  readonly nl: boolean;
  readonly rap: boolean;
  readonly rh: 0 | 1 | 2;
  readonly id: number;
}

/** An application message as the broker routed it. */
export interface Routed {
  /** Of this act of routing: no two have the same, also after a crash. */
  readonly number: number;
  /** What makes it recognisable to who gets it. */
  readonly key: string;
  readonly topic: string;
  readonly payload: string;
  readonly qos: QoS;
  readonly retain: boolean;
  /** It is to be retained, and there was room for it. */
  readonly isRetained: boolean;
  readonly expiresAt: number;
  /** The client it came from; null for the broker's own. */
  readonly publisher: string | null;
  /** Of the publisher's session. */
  readonly publisherUid: number;
}

export interface Will {
  readonly key: string;
  readonly delaySeconds: number;
}

/** The will of a client that is gone, until it is published, refused or called off. */
export interface LeftWill extends Will {
  readonly clientId: string;
  /** The broker's own end took the connection, so it waits from the next start on. */
  isLeftBehind: boolean;
  dueAt: number;
  /** Until then the return of its client calls it off, whatever becomes of the session. */
  graceUntil: number;
  /** It was due, and goes through rules and pipeline. */
  isUnderWay: boolean;
}

/** What the broker decided, in its order. */
export type Entry =
  | { kind: 'connect'; clientId: string; clean: boolean; expirySeconds: number; will: Will | null; uid: number }
  /** `isByBroker`: it stops, or has crashed. */
  | {
      kind: 'disconnect';
      clientId: string;
      hasWill: boolean;
      expirySeconds: number | null;
      at: number;
      isByBroker: boolean;
    }
  /** Its CONNACK is on its way. */
  | { kind: 'ready'; clientId: string }
  | { kind: 'end'; clientId: string; at: number }
  | { kind: 'subscribe'; clientId: string; filter: string; options: Options; at: number }
  | { kind: 'unsubscribe'; clientId: string; filter: string }
  | { kind: 'route'; message: Routed; excluded: ReadonlySet<string> }
  /**
   * A message that is given to its subscribers some at a time finds one that has come back meanwhile, or that the rules
   * have come to allow. `group`: by a shared subscription. `qos`: as it is given, by the subscriptions that there were
   * when it was routed.
   */
  | { kind: 'found'; clientId: string; message: Routed; group: string | null; qos: QoS }
  /** A retained message goes to a new subscription, as the topic has it now. */
  | { kind: 'replay'; clientId: string; filter: string; topic: string; number: number }
  /** QoS 0 to a client that is there waits behind others. */
  | { kind: 'queued'; clientId: string; number: number }
  /** The broker is done with a delivery: the client has it. */
  | { kind: 'done'; clientId: string; number: number; group: string | null }
  | { kind: 'received'; clientId: string; packetId: number; isNew: boolean }
  | { kind: 'started'; at: number }
  | { kind: 'willDue'; key: string; at: number }
  /** It is published, or refused. */
  | { kind: 'willDone'; key: string }
  | { kind: 'retainedGone'; topic: string };

/** One message for one session. */
export interface Expected {
  readonly message: Routed;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly ids: readonly number[];
}

/** A message for one member of a shared subscription. */
export interface GroupExpected {
  readonly message: Routed;
  readonly name: string;
  /** Who was a member then. */
  readonly members: ReadonlyMap<string, Options>;
  /** Of these, those whose session has ended since. */
  readonly ended: Set<string>;
  /** The last member left while it was owed: it may be for nobody, or for who comes next. */
  isOrphaned: boolean;
}

export interface Replay {
  /** As it was subscribed: options that come later, and do not ask for retained messages again, leave this as it is. */
  readonly options: Options;
  /** By topic. */
  readonly owed: Map<string, Expected>;
}

export interface ModelSession {
  readonly uid: number;
  readonly clientId: string;
  expirySeconds: number;
  /** It outlived a connection, or is to. */
  isKept: boolean;
  isConnected: boolean;
  isReady: boolean;
  disconnectedAt: number;
  /** Of the client that is connected. */
  will: Will | null;
  readonly subscriptions: Map<string, Options>;
  /** QoS 1 and 2, and QoS 0 that is kept, until done; by number. */
  readonly expected: Map<number, Expected>;
  /** QoS 0 to a client that was there: of this connection. */
  fleeting: Expected[];
  /** Retained messages owed to new subscriptions, by filter. */
  readonly replays: Map<string, Replay>;
  readonly received: Set<number>;
}

/** What it is owed, and has not been given. */
export function owedTo(session: ModelSession, number: number): Expected | null {
  return session.expected.get(number) ?? session.fleeting.find(({ message }) => message.number === number) ?? null;
}

const targetExcludingOrigin = (filter: string) => parseFilter(filter)!;

export class Model {
  readonly sessions = new Map<string, ModelSession>();
  readonly retained = new Map<string, Routed>();
  readonly groups = new Map<number, GroupExpected[]>();
  /** By number: whose subscriptions matched when it was routed, by session. */
  readonly #routedTo = new Map<number, ReadonlyMap<ModelSession, readonly Options[]>>();
  /** By their keys. */
  readonly wills = new Map<string, LeftWill>();
  readonly queuesQoS0: boolean;
  readonly graceSeconds: number;

  /** `graceSeconds`: of wills that the broker's own end left behind. */
  constructor(queuesQoS0: boolean, graceSeconds: number) {
    this.queuesQoS0 = queuesQoS0;
    this.graceSeconds = graceSeconds;
  }

  apply(entry: Entry): void {
    if (entry.kind === 'route') return this.#route(entry.message, entry.excluded);
    if (entry.kind === 'retainedGone') return void this.retained.delete(entry.topic);
    if (entry.kind === 'connect') return this.#connect(entry);
    if (entry.kind === 'started') return this.#started(entry.at);
    if (entry.kind === 'willDone') return void this.wills.delete(entry.key);
    if (entry.kind === 'willDue') return this.#willDue(entry.key, entry.at);
    const session = this.sessions.get(entry.clientId);
    if (session === undefined) return;
    switch (entry.kind) {
      case 'ready':
        session.isReady = true;
        return;
      case 'disconnect':
        session.isConnected = session.isReady = false;
        session.disconnectedAt = entry.at;
        session.fleeting = [];
        if (entry.hasWill && session.will !== null) this.#leave(session, session.will, entry.at, entry.isByBroker);
        session.will = null;
        if (entry.expirySeconds !== null) session.expirySeconds = entry.expirySeconds;
        return;
      case 'end':
        // Nobody can come back for the will any more, but for one that waits for the broker's sake.
        for (const will of this.#waiting(entry.clientId)) {
          if (!will.isLeftBehind || entry.at >= will.graceUntil) will.dueAt = Math.min(will.dueAt, entry.at);
          else will.dueAt = Math.min(will.dueAt, will.graceUntil);
        }
        this.sessions.delete(entry.clientId);
        for (const owed of [...this.groups.values()].flat()) owed.ended.add(entry.clientId);
        return this.#orphan(session.subscriptions.keys());
      case 'subscribe':
        return this.#subscribe(session, entry.filter, entry.options, entry.at);
      case 'unsubscribe':
        session.subscriptions.delete(entry.filter);
        session.replays.delete(entry.filter);
        return this.#orphan([entry.filter]);
      case 'found': {
        const { topic, publisher, number } = entry.message;
        const { own: all, groups } = this.recipients(topic, publisher, new Set());
        if (entry.group !== null) {
          const members = groups.get(entry.group) ?? new Map();
          const owed = {
            message: entry.message,
            name: entry.group,
            members,
            ended: new Set<string>(),
            isOrphaned: false,
          };
          if (members.has(entry.clientId)) this.groups.set(number, [...(this.groups.get(number) ?? []), owed]);
          return;
        }
        // Which it may have left meanwhile.
        const own = this.#routedTo.get(number)?.get(session) ?? all.get(session);
        // Only QoS 0 is not owed already.
        const mayBe = own !== undefined && (session.isReady || this.queuesQoS0);
        if (mayBe && entry.qos === 0) {
          const asGiven = own.map((options) => ({ ...options, qos: 0 as const }));
          this.#expect(session, entry.message, asGiven);
        }
        return;
      }
      case 'replay':
        return this.#replay(session, entry.filter, entry.topic, entry.number);
      case 'queued': {
        const waiting = session.fleeting.find(({ message }) => message.number === entry.number);
        if (waiting !== undefined && session.isKept) session.expected.set(entry.number, waiting);
        return;
      }
      case 'done':
        if (entry.group !== null) return this.#groupDone(entry.number, entry.group);
        session.expected.delete(entry.number);
        session.fleeting = session.fleeting.filter(({ message }) => message.number !== entry.number);
        return;
      case 'received':
        if (entry.isNew) session.received.add(entry.packetId);
        else session.received.delete(entry.packetId);
        return;
    }
  }

  /** These filters have one subscriber less. */
  #orphan(filters: Iterable<string>): void {
    for (const filter of filters) {
      if ([...this.sessions.values()].some(({ subscriptions }) => subscriptions.has(filter))) continue;
      for (const owed of [...this.groups.values()].flat()) if (`$share/${owed.name}` === filter) owed.isOrphaned = true;
    }
  }

  // Wills

  #waiting(clientId: string): LeftWill[] {
    return [...this.wills.values()].filter((will) => will.clientId === clientId && !will.isUnderWay);
  }

  #leave({ clientId }: ModelSession, will: Will, at: number, isLeftBehind: boolean): void {
    const dueAt = isLeftBehind ? Number.POSITIVE_INFINITY : at + will.delaySeconds * 1000;
    this.wills.set(will.key, { ...will, clientId, isLeftBehind, dueAt, graceUntil: dueAt, isUnderWay: false });
  }

  #willDue(key: string, at: number): void {
    const will = this.wills.get(key);
    if (will !== undefined) Object.assign(will, { dueAt: at, isUnderWay: true, isLeftBehind: false });
  }

  #started(at: number): void {
    for (const will of this.wills.values()) {
      will.isUnderWay = false;
      if (!will.isLeftBehind) continue;
      will.graceUntil = at + this.graceSeconds * 1000;
      will.dueAt = at + Math.max(this.graceSeconds, will.delaySeconds) * 1000;
    }
  }

  #groupDone(number: number, group: string): void {
    const left = (this.groups.get(number) ?? []).filter(({ name }) => name !== group);
    if (left.length === 0) this.groups.delete(number);
    else this.groups.set(number, left);
  }

  #connect({ clientId, clean, expirySeconds, will, uid }: Extract<Entry, { kind: 'connect' }>): void {
    for (const { key } of this.#waiting(clientId)) this.wills.delete(key);
    const old = this.sessions.get(clientId);
    const isNew = clean || old === undefined || (old.isConnected && old.expirySeconds === 0);
    const session: ModelSession = isNew
      ? {
          ...{
            uid,
            clientId,
            expirySeconds,
            isKept: false,
            isConnected: true,
            isReady: false,
            disconnectedAt: 0,
            will,
            fleeting: [],
          },
          ...{ subscriptions: new Map(), expected: new Map(), replays: new Map(), received: new Set() },
        }
      : old;
    Object.assign(session, { expirySeconds, isConnected: true, isReady: false, will });
    session.isKept ||= expirySeconds > 0;
    this.sessions.set(clientId, session);
  }

  /** Retained messages go to a new subscription, unless it said otherwise; to a shared one never. */
  #subscribe(session: ModelSession, filter: string, options: Options, at: number): void {
    const isNew = !session.subscriptions.has(filter);
    session.subscriptions.set(filter, options);
    const parsed = targetExcludingOrigin(filter);
    if (parsed.shareName !== null || options.rh === 2 || (options.rh === 1 && !isNew)) return;
    const owed = new Map<string, Expected>();
    session.replays.set(filter, { options, owed });
    for (const message of this.retained.values()) {
      if (!matches(parsed.filter, message.topic) || message.expiresAt <= at) continue;
      const qos = Math.min(message.qos, options.qos) as QoS;
      owed.set(message.topic, { message, qos, retain: true, ids: options.id > 0 ? [options.id] : [] });
    }
  }

  #replay(session: ModelSession, filter: string, topic: string, number: number): void {
    const message = this.retained.get(topic);
    const replay = session.replays.get(filter);
    if (message === undefined || replay === undefined) return;
    replay.owed.delete(topic);
    const { options } = replay;
    const qos = Math.min(message.qos, options.qos) as QoS;
    if (qos === 0) return;
    session.expected.set(number, { message, qos, retain: true, ids: options.id > 0 ? [options.id] : [] });
  }

  /** Whose subscriptions match: their own, by session, and shared ones, by name and client. */
  recipients(topic: string, publisher: string | null, excluded: ReadonlySet<string>) {
    const own = new Map<ModelSession, Options[]>();
    const groups = new Map<string, Map<string, Options>>();
    for (const session of this.sessions.values()) {
      if (excluded.has(session.clientId)) continue;
      for (const [filter, options] of session.subscriptions) {
        const parsed = targetExcludingOrigin(filter);
        if (!matches(parsed.filter, topic)) continue;
        const name = `${parsed.shareName}/${parsed.filter}`;
        if (parsed.shareName !== null) groups.set(name, (groups.get(name) ?? new Map()).set(session.clientId, options));
        else if (!options.nl || session.clientId !== publisher)
          own.set(session, [...(own.get(session) ?? []), options]);
      }
    }
    return { own, groups };
  }

  #route(message: Routed, excluded: ReadonlySet<string>): void {
    const { topic } = message;
    if (message.isRetained) {
      if (message.payload === '') this.retained.delete(topic);
      else this.retained.set(topic, message);
    } else if (message.retain) {
      // For want of room: rather nothing than the message before it.
      this.retained.delete(topic);
    }
    const { own, groups } = this.recipients(topic, message.publisher, excluded);
    this.#routedTo.set(message.number, own);
    for (const [session, options] of own) this.#expect(session, message, options);
    if (groups.size === 0) return;
    const owed = Array.from(groups, ([name, members]) => {
      return { message, name, members, ended: new Set<string>(), isOrphaned: false };
    });
    this.groups.set(message.number, owed);
  }

  /** Overlapping subscriptions: one copy, at the highest QoS, with all identifiers. */
  #expect(session: ModelSession, message: Routed, own: readonly Options[]): void {
    const qos = Math.min(message.qos, Math.max(...own.map((each) => each.qos))) as QoS;
    const ids = own.map(({ id }) => id).filter((id) => id > 0);
    const expected = { message, qos, retain: message.retain && own.some(({ rap }) => rap), ids };
    const isKept = qos > 0 || (this.queuesQoS0 && !session.isReady && session.isKept);
    if (isKept) session.expected.set(message.number, expected);
    else if (session.isReady) session.fleeting.push(expected);
  }
}
