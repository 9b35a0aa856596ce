/**
 * The judge sees what the broker does, packet by packet, tells the oracle, and says when something does not hold. This file has
 * the story (what the broker decided, and how much of it is on disk); `deliveries.ts` judges what clients are sent.
 */
import type { Counters } from '../../src/broker/counters.ts';
import type { Core } from '../../src/core/core.ts';
import type { Session } from '../../src/core/session.ts';
import type { Message } from '../../src/protocol/message.ts';
import type { ColdPacket } from '../../src/protocol/packets.ts';
import type { Deliveries } from './deliveries.ts';
import type { SimulatedDisk } from './disk.ts';
import { type Entry, Model, type ModelSession, type Options, type QoS, type Routed, type Will } from './model.ts';
import type { Packet, Wire } from './network.ts';
import type { Profile } from './profile.ts';
import { Violation, type World } from './world.ts';

/** How late the broker may be with what time brings: two looks at the clock, and the wheel's tenth of a second. */
export const toleranceMs = 350;

/** A PUBLISH as a client sent it. */
export interface SentPublish {
  readonly key: string;
  readonly topic: string;
  readonly payload: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly packetId: number;
  readonly expirySeconds: number;
  readonly clientId: string;
}

/** What the broker makes of one PUBLISH: from the packet to its answer. */
export interface Exchange {
  readonly sent: SentPublish;
  /** The second copy of a QoS 2 message: to be answered and no more. */
  readonly isDuplicate: boolean;
  readonly numbers: number[];
  isRefused: boolean;
  /** Up to here the story must be on disk before it is acknowledged. */
  mark: number;
}

/** A message under way to a client, by its packet identifier. */
export interface InFlight {
  readonly key: string;
  readonly number: number;
  readonly qos: QoS;
  readonly group: string | null;
  readonly isReplay: boolean;
  isReceived: boolean;
  /** PUBREL was sent, so that PUBREC came is on disk. */
  isReleased: boolean;
}

/** One network connection, as the judge knows it. */
export interface Link {
  readonly name: string;
  readonly clientId: string;
  readonly version: 4 | 5;
  readonly receiveMaximum: number;
  readonly packetBytesMax: number;
  readonly topicAliasMaximum: number;
  readonly keepAliveSeconds: number;
  readonly connect: { clean: boolean; expirySeconds: number; will: Will | null };
  /** What the client put on the wire and the broker has not come to yet. */
  readonly sent: SentPublish[];
  readonly subscribing: Map<string, Options>;
  /** Of the SUBSCRIBE or UNSUBSCRIBE that the broker is at. */
  askingId?: number;
  wire: Wire;
  uid: number;
  hasConnack: boolean;
  /** The number of the last entry when it connected. */
  connectedAt: number;
  isWillCancelled: boolean;
  newExpirySeconds: number | null;
  isDetached: boolean;
  exchange: Exchange | null;
  readonly unanswered: Map<string, Exchange[]>;
  readonly marks: Map<string, number>;
  readonly aliases: Map<number, string>;
  /** Packet identifiers sent on this connection and not settled. */
  readonly outstanding: Set<number>;
  /** By QoS: the highest number sent so far. */
  readonly last: number[];
  hadBacklog: boolean;
}

interface WillRecord {
  readonly clientId: string;
  published: number;
}

export class Judge {
  model: Model;
  log: Entry[] = [];
  /** Rises with every broker process. */
  life = 0;
  /** Drops that the broker counted, over all its lives. */
  droppedBefore = 0;
  core: Core | null = null;
  counters: Counters | null = null;
  /** When the broker's process was started. */
  upSince = 0;
  /** Packets that the broker came to. */
  traffic = 0;
  disk: SimulatedDisk | null = null;
  readonly world: World;
  readonly profile: Profile;
  readonly wills = new Map<string, WillRecord>();
  /** In-flight messages by session. */
  inFlight = new Map<number, Map<number, InFlight>>();
  readonly receivedMarks = new Map<string, number>();
  /** When each topic had which retained value: never taken back, since clients have seen it. */
  readonly retainedHistory = new Map<string, { key: string; from: number; to: number }[]>();
  readonly links = new Set<Link>();
  /** The life in which a message was routed. */
  readonly lifeOf = new Map<number, number>();
  /** A client asked to publish it, and nothing else may be routed. */
  readonly published = new Map<string, SentPublish>();
  queuesAtStart = new Map<string, { messages: number; bytes: number }>();
  #number = 0;
  #routedOnce = new Map<string, number>();
  readonly #connectedAt = new Set<string>();
  #lastRouted: Exchange | null = null;
  readonly #exchanges = new Map<string, Exchange>();
  #willsToCheck: { clientId: string; session: ModelSession | undefined; at: number; key: string }[] = [];

  constructor(world: World, profile: Profile) {
    this.world = world;
    this.profile = profile;
    this.model = new Model(profile.settings.queueQoS0);
  }

  fail(invariant: string, message: string): never {
    throw new Violation(invariant, message);
  }

  check(condition: boolean, invariant: string, message: () => string): void {
    if (!condition) this.fail(invariant, message());
  }

  nextNumber(): number {
    return ++this.#number;
  }

  tell(entry: Entry): void {
    this.log.push(entry);
    this.model.apply(entry);
  }

  /** How much of the story would survive what the store's durability promises to survive. */
  get safeMark(): number {
    const { durability } = this.profile;
    if (durability === 'none') return Number.POSITIVE_INFINITY;
    return durability === 'sync' ? this.disk!.syncedMark : this.disk!.writtenMark;
  }

  // The broker's process

  /** What the disk has of the story is all that there is; the rest of it never was. */
  rewind(mark: number): void {
    this.log.length = mark;
    this.model = new Model(this.profile.settings.queueQoS0);
    this.#routedOnce = new Map();
    for (const entry of this.log) {
      this.model.apply(entry);
      if (entry.kind === 'route' && entry.message.payload !== '') this.#count(entry.message);
    }
    this.inFlight = new Map();
  }

  /** Before the broker starts again: connections that were open in the story's last line have just been lost. */
  reopened(): void {
    const at = this.world.time;
    // They are remembered by the process only.
    for (const session of this.model.sessions.values()) session.replays.clear();
    for (const [topic, { key }] of this.model.retained) this.#noteRetained(topic, key);
    for (const { clientId, isConnected, expirySeconds, will } of [...this.model.sessions.values()]) {
      if (!isConnected) continue;
      this.tell({ kind: 'disconnect', clientId, hasWill: true, expirySeconds: null, at });
      // Nothing of it was stored, since nothing of it was to outlive its connection.
      if (expirySeconds === 0 && will === null) this.tell({ kind: 'end', clientId });
    }
  }

  restarted(core: Core, counters: Counters): void {
    this.life++;
    this.droppedBefore += this.counters?.droppedInAll ?? 0;
    this.core = core;
    this.counters = counters;
    this.upSince = this.world.time;
  }

  /** The broker has started: what it knows is what the disk had. */
  checkRestored(): void {
    const core = this.core!;
    for (const session of core.directory) {
      const expected = this.model.sessions.get(session.clientId);
      if (expected === undefined)
        this.fail('no session from nowhere', `${session.clientId} was over before the restart`);
      else this.#checkSession(session, expected);
    }
    for (const { clientId } of this.model.sessions.values()) {
      this.check(
        core.directory.get(clientId) !== undefined,
        'no session is lost',
        () => `${clientId} is not there any more`,
      );
    }
    this.checkRetained();
    this.queuesAtStart = new Map(
      [...core.directory].map(({ clientId, queue }) => [clientId, { messages: queue.length, bytes: queue.bytes }]),
    );
  }

  #checkSession(session: Session, expected: ModelSession): void {
    const subscriptions = (filters: Iterable<string>) => [...filters].sort().join(' ');
    const [has, should] = [subscriptions(session.subscriptions.keys()), subscriptions(expected.subscriptions.keys())];
    this.check(has === should, 'no subscription is lost', () => `${session.clientId} has [${has}], not [${should}]`);
    for (const each of session.subscriptions.values()) {
      const { qos, nl, rap, rh, id } = expected.subscriptions.get(each.topicFilter)!;
      const same =
        each.qos === qos && each.noLocal === nl && each.retainAsPublished === rap && each.retainHandling === rh;
      this.check(same && each.identifier === id, 'subscription options are kept', () => {
        return `${session.clientId} ${each.topicFilter}: ${JSON.stringify({ ...each, session: null })}`;
      });
    }
    const ids = (set: Iterable<number>) => [...set].sort((a, b) => a - b).join(' ');
    const [ids1, ids2] = [ids(session.received), ids(expected.received)];
    this.check(
      ids1 === ids2,
      'inbound QoS 2 identifiers are kept',
      () => `${session.clientId}: [${ids1}], not [${ids2}]`,
    );
    this.check(session.expirySeconds === expected.expirySeconds, 'session expiry is kept', () => {
      return `${session.clientId}: ${session.expirySeconds} s, not ${expected.expirySeconds} s`;
    });
  }

  /** Retained messages are the oracle's, apart from those that have expired. */
  checkRetained(): void {
    const { time } = this.world;
    const has = new Map([...this.core!.retained].map((each) => [each.topic.name, each]));
    for (const [topic, message] of this.model.retained) {
      const kept = has.get(topic);
      if (kept === undefined && message.expiresAt <= time) continue;
      this.check(kept?.payload.toString() === message.payload, 'retained equals the model', () => {
        return `${topic} has ${kept?.payload.toString().slice(0, 12) ?? 'nothing'}, not ${message.key}`;
      });
    }
    for (const topic of has.keys()) {
      this.check(this.model.retained.has(topic), 'retained equals the model', () => `${topic} should have nothing`);
    }
  }

  // What the broker decides

  onConnected(link: Link): void {
    link.uid = this.nextNumber();
    const { clientId, connect } = link;
    const before = this.model.sessions.get(clientId);
    this.#connectedAt.add(`${clientId} ${this.world.time}`);
    this.tell({ kind: 'connect', clientId, ...connect, uid: link.uid });
    const session = this.model.sessions.get(clientId)!;
    link.connectedAt = this.#number;
    link.marks.set('connack', session.expirySeconds > 0 || connect.will !== null ? this.log.length : 0);
    link.uid = session.uid;
    this.world.tell(() => `broker: ${link.name} is connected${before === session ? ', session present' : ''}`);
    if (connect.will !== null) this.wills.set(connect.will.key, { clientId, published: 0 });
    if (!this.inFlight.has(session.uid)) this.inFlight.set(session.uid, new Map());
  }

  /** The session's connection is gone, as far as the broker is concerned; its will follows from that. */
  onDetached(link: Link): void {
    if (link.isDetached) return;
    link.isDetached = true;
    const session = this.model.sessions.get(link.clientId);
    // Taken over by another connection, or over.
    if (session?.uid !== link.uid || this.#linkOf(session) !== link) return;
    const { clientId, newExpirySeconds, isWillCancelled } = link;
    const at = this.world.time;
    this.tell({ kind: 'disconnect', clientId, hasWill: !isWillCancelled, expirySeconds: newExpirySeconds, at });
  }

  #linkOf(session: ModelSession): Link | null {
    let found: Link | null = null;
    for (const link of this.links)
      if (link.uid === session.uid && link.connectedAt >= (found?.connectedAt ?? 0)) found = link;
    return found;
  }

  onSessionEnded(clientId: string, why: string): void {
    const session = this.model.sessions.get(clientId);
    if (session === undefined) return;
    const { time } = this.world;
    if (why === 'expired') {
      const due = session.disconnectedAt + session.expirySeconds * 1000;
      this.check(!session.isConnected && time >= due, 'session expiry to the second', () => {
        return `${clientId} expired ${(due - time) / 1000} s early`;
      });
    }
    this.world.tell(() => `broker: the session of ${clientId} is over (${why})`);
    this.tell({ kind: 'end', clientId });
  }

  /** `core.publish` was called, and returned this. */
  onRouted(message: Message, origin: Session | null, isFailure: boolean, link: Link | null): void {
    const payload = message.payload.toString();
    const publisher = origin?.clientId ?? null;
    const publisherUid = (publisher !== null && this.model.sessions.get(publisher)?.uid) || 0;
    const topic = message.topic.name;
    const key = keyOf(payload, topic);
    const will = this.wills.get(key);
    const exchange = link?.exchange ?? this.#exchanges.get(`${publisher} ${key}`) ?? null;
    if (will !== undefined) this.#onWill(key, will);
    else this.#checkRouted(message, key, exchange, publisherUid);
    if (isFailure) {
      if (exchange !== null) exchange.isRefused = true;
      return;
    }
    const number = this.nextNumber();
    this.lifeOf.set(number, this.life);
    const { qos, retain, expiresAt } = message;
    const routed: Routed = { number, key, topic, payload, qos, retain, expiresAt, publisher, publisherUid };
    this.tell({ kind: 'route', message: routed, excluded: this.#excluded(topic) });
    this.world.tell(() => `broker: routes ${key} to ${topic}, QoS ${qos}${retain ? ', retained' : ''}`);
    if (will === undefined && payload !== '') this.#count(routed);
    if (exchange !== null && will === undefined) {
      this.#lastRouted = exchange;
      exchange.numbers.push(number);
      exchange.mark = this.log.length;
    }
    if (retain) this.#noteRetained(topic, payload === '' ? null : key);
  }

  onSubscribed(link: Link, clientId: string, filter: string, granted: number): void {
    const asked = link.subscribing.get(`${link.askingId} ${filter}`);
    if (asked === undefined) this.fail('only what was asked is subscribed', `${clientId}: ${filter}`);
    const options = { ...asked!, qos: granted as QoS };
    this.tell({ kind: 'subscribe', clientId, filter, options, at: this.world.time });
    this.#promise(link, `suback ${link.askingId}`);
  }

  onUnsubscribed(link: Link, clientId: string, filter: string): void {
    this.tell({ kind: 'unsubscribe', clientId, filter });
    this.#promise(link, `unsuback ${link.askingId}`);
  }

  /** An answer that may leave only when the story up to here is on disk. */
  #promise(link: Link, what: string): void {
    const session = this.model.sessions.get(link.clientId);
    if (session !== undefined && session.expirySeconds > 0) link.marks.set(what, this.log.length);
  }

  // What the broker comes to

  onPublish(link: Link, message: Message, packetId: number): void {
    this.traffic++;
    const sent = link.sent.shift();
    const payload = message.payload.toString();
    this.check(
      sent?.payload === payload && sent.packetId === packetId,
      'packets come through as they were sent',
      () => {
        return `${link.name} sent ${sent?.key}, and the broker read ${payload.slice(0, 12)}`;
      },
    );
    const session = this.model.sessions.get(link.clientId);
    const isDuplicate = sent!.qos === 2 && session?.uid === link.uid && session.received.has(packetId);
    link.exchange = { sent: sent!, isDuplicate, numbers: [], isRefused: false, mark: 0 };
    this.#exchanges.set(`${link.clientId} ${sent!.key}`, link.exchange);
    if (packetId === 0) return;
    const type = sent!.qos === 1 ? 'puback' : 'pubrec';
    const waiting = link.unanswered.get(`${type} ${packetId}`) ?? [];
    waiting.push(link.exchange);
    link.unanswered.set(`${type} ${packetId}`, waiting);
    if (isDuplicate) link.exchange.mark = this.receivedMarks.get(`${link.clientId} ${packetId}`) ?? 0;
  }

  afterPublish(link: Link): void {
    link.exchange = null;
  }

  onReceived(clientId: string, packetId: number, link: Link | null): void {
    this.tell({ kind: 'received', clientId, packetId, isNew: true });
    const exchange = link?.exchange ?? this.#lastRouted;
    if (exchange === null) return;
    exchange.mark = this.log.length;
    this.receivedMarks.set(`${clientId} ${packetId}`, this.log.length);
  }

  onAck(link: Link, type: string, packetId: number): void {
    this.traffic++;
    const session = this.model.sessions.get(link.clientId);
    if (type !== 'pubrel' || session?.uid !== link.uid || !session.received.has(packetId)) return;
    this.tell({ kind: 'received', clientId: link.clientId, packetId, isNew: false });
    this.#promise(link, `pubcomp ${packetId}`);
  }

  onPacket(link: Link, packet: ColdPacket): void {
    if (packet.cmd !== 'pingreq') this.traffic++;
    if (packet.cmd === 'subscribe' || packet.cmd === 'unsubscribe') link.askingId = packet.messageId;
    if (packet.cmd !== 'disconnect') return;
    link.isWillCancelled = packet.reasonCode === 0;
    const { sessionExpiryInterval } = packet.properties;
    if (sessionExpiryInterval === undefined) return;
    link.newExpirySeconds = Math.min(sessionExpiryInterval, this.profile.settings.sessionExpiryMaximumSeconds);
  }

  #excluded(topic: string): Set<string> {
    const excluded = new Set<string>();
    for (const session of this.core!.directory) {
      if (session.rights?.receive(topic) === false) excluded.add(session.clientId);
    }
    return excluded;
  }

  #checkRouted(message: Message, key: string, exchange: Exchange | null, uid: number): void {
    const sent = exchange?.sent ?? this.published.get(key);
    this.check(sent !== undefined, 'nothing is routed that nobody published', () => key);
    this.check(exchange === null || !exchange.isDuplicate, 'QoS 2 exactly once, inbound [MQTT5 4.3.3-10]', () => {
      return `${key} was routed again when its PUBLISH came again`;
    });
    const isSame = message.topic.name === sent!.topic && message.qos === sent!.qos && message.retain === sent!.retain;
    this.check(isSame || this.profile.pipeline !== 'none', 'routed as published', () => {
      return `${key} was sent to ${sent!.topic} and routed to ${message.topic.name}`;
    });
    this.check(
      sent!.qos < 2 || (this.#routedOnce.get(`${uid} ${key}`) ?? 0) === 0,
      'QoS 2 exactly once, inbound [MQTT5 4.3.3-10]',
      () => {
        return `${key} was routed before`;
      },
    );
  }

  #count({ publisherUid, key: payload }: Routed): void {
    const key = `${publisherUid} ${payload}`;
    this.#routedOnce.set(key, (this.#routedOnce.get(key) ?? 0) + 1);
  }

  #noteRetained(topic: string, key: string | null): void {
    const history = this.retainedHistory.get(topic) ?? [];
    const last = history.at(-1);
    if (last !== undefined) last.to = this.world.time;
    if (key !== null) history.push({ key, from: this.world.time, to: Number.POSITIVE_INFINITY });
    this.retainedHistory.set(topic, history);
  }

  // Wills

  #onWill(key: string, will: WillRecord): void {
    const session = this.model.sessions.get(will.clientId);
    const isCurrent = session?.will?.key === key;
    // On its way through the pipeline, what it was due for may be over.
    if (this.profile.pipeline === 'async') {
      if (isCurrent) this.tell({ kind: 'willPublished', clientId: will.clientId });
      return;
    }
    this.#willsToCheck.push({
      clientId: will.clientId,
      session: isCurrent ? session : undefined,
      at: this.world.time,
      key,
    });
    this.world.tell(() => `broker: publishes the will of ${will.clientId}`);
    const was = isCurrent ? { ...session!, will: session!.will } : undefined;
    if (was !== undefined) this.#willsToCheck.at(-1)!.session = was;
    if (!isCurrent) return;
    const { clientId } = will;
    // Another connection is taking the session over: whether it is, is seen when the event is over.
    if (session!.isConnected) {
      this.tell({ kind: 'disconnect', clientId, hasWill: true, expirySeconds: null, at: this.world.time });
    }
    this.tell({ kind: 'willPublished', clientId });
  }

  /** Once the event is over, it is known why a will was published in it. */
  afterEvent(): void {
    for (const { clientId, session, at, key } of this.#willsToCheck) {
      if (session === undefined)
        this.fail('a will only when it is due [MQTT5 3.1.2-10]', `${key} of ${clientId} is not to be published`);
      const now = this.model.sessions.get(clientId);
      // It was connected when its will was published: then this very event has taken the connection from it.
      const isOver = now?.uid !== session.uid;
      const since = session.isConnected ? at : session.disconnectedAt;
      const delayMs = session.will!.delaySeconds * 1000;
      const isTakenOver = session.isConnected && (isOver || this.#connectedAt.has(`${clientId} ${at}`));
      this.check(
        !session.isConnected || isTakenOver || !now!.isConnected,
        'a will only when it is due [MQTT5 3.1.2-10]',
        () => {
          return `${clientId} is connected, and its will was published`;
        },
      );
      const isEarly = at < since + delayMs && !isOver;
      this.check(
        !isEarly,
        'a will not before its delay [MQTT5 3.1.3-9]',
        () => `${clientId}: ${at - since} of ${delayMs} ms`,
      );
    }
    this.#willsToCheck = [];
  }

  /** Whether something should have happened by now that did not. */
  checkOverdue(): void {
    if (this.world.time < this.upSince + toleranceMs) return;
    const late = this.world.time - toleranceMs;
    for (const session of this.model.sessions.values()) {
      if (session.isConnected) continue;
      const { clientId, disconnectedAt, expirySeconds, will } = session;
      const expiresAt = expirySeconds === 0xffffffff ? Number.POSITIVE_INFINITY : disconnectedAt + expirySeconds * 1000;
      this.check(
        expiresAt >= late,
        'session expiry to the second',
        () => `${clientId} should be over for ${late - expiresAt} ms`,
      );
      if (will === null || this.profile.pipeline !== 'none') continue;
      const due = Math.min(disconnectedAt + will.delaySeconds * 1000, expiresAt);
      this.check(
        due >= late,
        'a will when it is due [MQTT5 3.1.2-8]',
        () => `${clientId}'s was due at ${due - this.world.startedAt}`,
      );
    }
    for (const link of this.links) {
      if (link.isDetached || link.uid === 0 || link.keepAliveSeconds === 0 || link.wire.isPaused) continue;
      const due = link.wire.lastReadAt + link.keepAliveSeconds * 1500;
      this.check(due >= late, 'keep-alive [MQTT5 3.1.2-22]', () => `${link.name} is silent, and still connected`);
    }
  }

  /** Nothing grows beyond its bound. */
  checkBounds(): void {
    const { limits } = this.profile.settings;
    for (const session of this.core!.directory) {
      const { queue, window, clientId } = session;
      // What was under way when the broker was started waits again.
      const before = this.queuesAtStart.get(clientId);
      const messages = Math.max(limits.queueMessages, before?.messages ?? 0);
      const bytes = Math.max(limits.queueBytes, before?.bytes ?? 0);
      this.check(queue.length <= messages && queue.bytes <= bytes, 'queues are bounded', () => {
        return `${clientId}: ${queue.length} messages, ${queue.bytes} bytes`;
      });
      this.check(queue.length >= 0 && queue.bytes >= 0 && queue.spilled >= 0, 'queues are bounded', () => clientId);
      this.check(window.count <= 65_535, 'windows are bounded', () => `${clientId}: ${window.count}`);
    }
    this.check(this.core!.retained.count <= limits.retainedMessages, 'retained messages are bounded', () => '');
  }

  /** What was dropped was counted, and nothing else is missing. */
  checkMissing(deliveries: Deliveries): void {
    const missing = deliveries.missing();
    const dropped = this.droppedBefore + this.counters!.droppedInAll;
    const groups = deliveries.missingOfGroups();
    if (missing.length + groups.length <= dropped) return;
    const what = `${missing.length + groups.length} missing, ${dropped} counted as dropped:`;
    this.fail('nothing is lost [MQTT5 4.4]', `${what} ${[...missing, ...groups].slice(0, 5).join('; ')}`);
  }

  /** Everybody has gone for good. */
  checkNothingLeft(keys: readonly string[]): void {
    const { timers, directory, router, retained } = this.core!;
    const left = [
      ['timers', timers.count],
      ['sessions', directory.size],
      ['subscriptions', router.subscriptionCount],
      ['shared groups', router.sharedGroupCount],
      ['retained messages', retained.count],
      ['records', keys.filter((key) => key.charCodeAt(0) !== 0 && key.charCodeAt(0) !== 0x10).length],
    ] as const;
    const found = left.filter(([, count]) => count > 0).map(([what, count]) => `${count} ${what}`);
    const records = keys.map((key) => Buffer.from(key, 'latin1').toString('hex')).join(' ');
    this.check(found.length === 0, 'nothing is left', () => `${found.join(', ')} (${records})`);
  }
}

/** By what a message is recognised: the number that its payload begins with. */
export function keyOf(payload: string, topic: string): string {
  const end = payload.indexOf(' ');
  return payload === '' ? `empty ${topic}` : end === -1 ? payload : payload.slice(0, end);
}

export type { Packet };
