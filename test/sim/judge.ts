/**
 * The judge sees what the broker does, packet by packet, tells the oracle, and says when something does not hold. This
 * file has the story: what the broker decided, and how much of it is on disk. What is judged of it is in
 * `deliveries.ts` (PUBLISH to clients), `answers.ts`, `common-commits.ts`, `wills.ts`, `state.ts` (what the broker
 * knows and holds) and `missing.ts`.
 */
import type { Connection } from '../../src/broker/connection.ts';
import type { Counters } from '../../src/broker/counters.ts';
import type { CoreParts } from '../../src/core/parts.ts';
import type { Session } from '../../src/core/session.ts';
import type { DropReason } from '../../src/core/sink.ts';
import type { Message } from '../../src/protocol/message.ts';
import type { ControlPacket } from '../../src/protocol/packets.ts';
import type { LevelStore } from '../../src/store/level/level-store.ts';
import { CommonCommits } from './common-commits.ts';
import { type Decision, Decisions } from './decisions.ts';
import type { Mark, SimulatedDisk } from './disk.ts';
import { ToldDrops } from './drops.ts';
import type { Explained } from './explained.ts';
import { type Exchange, type InFlight, identifier, keyOf, type Link, type SentPublish } from './link.ts';
import { Memory } from './memory.ts';
import { type Entry, Model, type ModelSession, type QoS, type Routed } from './model.ts';
import type { Profile } from './profile.ts';
import { hasAnswerTo, hasAnswerToFilter } from './program.ts';
import type { Rules } from './rules.ts';
import { askingNeedsNoDisk, checkQoS0, checkTaken, connectNeedsNoDisk, isStored } from './service.ts';
import { lacksRoom } from './state.ts';
import { Wills } from './wills.ts';
import { Violation, type World } from './world.ts';

/** No round of the simulated event loop takes longer. */
const roundMs = 10;

export class Judge {
  model: Model;
  log: Entry[] = [];
  /** Rises with every broker process. */
  life = 0;
  /** What the broker gave up, over all its lives: all, and by whose it was. */
  dropped = 0;
  /** Without what had expired, and what a session left behind that was over. */
  droppedOwed = 0;
  readonly droppedOf = new Map<string, number>();
  /** Of that, what its counters of earlier lives said. */
  countedBefore = 0;
  core: CoreParts | null = null;
  counters: Counters | null = null;
  /** That the broker has. */
  connections: ReadonlySet<Connection> = new Set();
  /** Null: in memory. */
  store: LevelStore | null = null;
  /** The broker has been started, and it has not been looked at yet. */
  isStarting = false;
  /** When the broker's process was started. */
  upSince = 0;
  /** Packets that the broker came to. */
  traffic = 0;
  disk: SimulatedDisk | null = null;
  readonly world: World;
  readonly profile: Profile;
  /** Null: everybody may do everything. */
  readonly rules: Rules | null;
  readonly wills: Wills;
  readonly memory: Memory;
  readonly decisions: Decisions;
  readonly commonCommits: CommonCommits;
  readonly drops: ToldDrops;
  /** Null: nobody asks. */
  explained: Explained | null = null;
  readonly #linkByConnection = new WeakMap<object, Link>();
  /** Numbers of what was routed to a session that is kept. */
  readonly toBeStored = new Set<number>();
  /** In-flight messages by session. */
  inFlight = new Map<number, Map<number, InFlight>>();
  /** By client and packet identifier: what acknowledging a QoS 2 message promises. */
  readonly receivedMarks = new Map<string, Map<number, number>>();
  readonly links = new Set<Link>();
  /** A client asked to publish it, and nothing else may be routed. */
  readonly published = new Map<string, SentPublish>();
  /**
   * By session: the last number that was decided before a crash that came while it was connected, as far as the disk
   * knows.
   */
  readonly #openAtCrash = new Map<number, number>();
  /**
   * By session and identifier: what a client was sent and may answer at any time, though a crash made the broker forget
   * it.
   */
  readonly held = new Map<number, Map<number, Decision>>();
  /** How many came to their end, with or without something to write. */
  commits = 0;
  /** Something waits for a commit, and none is under way: since when, and after how many. Null: it is not so. */
  uncommitted: { readonly since: number; readonly commits: number } | null = null;
  /** The last run that did not end with an orderly stop. */
  #crashedIn = 0;
  queuesAtStart = new Map<string, { messages: number; bytes: number }>();
  #number = 0;
  #routedOnce = new Map<string, number>();
  readonly #exchanges = new Map<string, Exchange>();

  constructor(world: World, profile: Profile, rules: Rules | null) {
    this.world = world;
    this.profile = profile;
    this.rules = rules;
    this.model = this.#newModel();
    this.wills = new Wills(this);
    this.memory = new Memory(this);
    this.decisions = new Decisions(this);
    this.commonCommits = new CommonCommits(this);
    this.drops = new ToldDrops(this);
  }

  #newModel(): Model {
    const { queueQoS0, wills } = this.profile.settings;
    return new Model(queueQoS0, wills.restartGraceSeconds);
  }

  fail(invariant: string, message: string): never {
    throw new Violation(invariant, message);
  }

  check(condition: boolean, invariant: string, message: () => string): void {
    if (!condition) this.fail(invariant, message());
  }

  /** By the rules, and as far as the program's hooks have an answer at all. */
  mayPublish(clientId: string, topic: string): boolean {
    if (this.profile.hasSenselessHooks && !hasAnswerTo(topic)) return false;
    return this.rules?.mayPublish(clientId, topic) !== false;
  }

  /** What waits for its answer may be refused from now on. */
  rulesChanged(): void {
    for (const { owed } of this.links) {
      for (const exchange of [...owed.puback, ...owed.pubrec]) {
        exchange.hadOtherRules = true;
        exchange.isDenied ||= !this.mayPublish(exchange.sent.clientId, exchange.sent.topic);
      }
    }
  }

  /** The last one that was given to anything. */
  get number(): number {
    return this.#number;
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

  /** What a batch has that is filled now. */
  get mark(): Mark {
    return { entries: this.log.length, without: new Set(this.commonCommits.underWay) };
  }

  /** What the disk has of the story is all that there is; the rest of it never was. */
  rewind({ entries, without }: Mark, isOrderly: boolean): void {
    this.log.length = entries;
    if (without.size > 0) this.log = this.log.map((entry) => withoutSubscribers(entry, without));
    this.commonCommits.restarted();
    this.receivedMarks.clear();
    this.model = this.#newModel();
    this.wills.restarted();
    this.#routedOnce = new Map();
    for (const entry of this.log) {
      this.model.apply(entry);
      const isCounted = entry.kind === 'route' && entry.excluded !== everybody && entry.message.payload !== '';
      if (isCounted) this.#count(entry.message);
    }
    // After an orderly stop, all of it goes on as it was.
    if (isOrderly) return;
    this.#crashedIn = this.life;
    for (const [uid, inFlight] of this.inFlight) {
      const held = this.held.get(uid) ?? new Map<number, Decision>();
      for (const [id, { decision, qos }] of inFlight) if (qos === 1) held.set(id, decision);
      this.held.set(uid, held);
    }
    this.inFlight = new Map();
  }

  /**
   * The broker is done with it, and no crash can have taken that back: what it still has after one, it is not done
   * with.
   */
  isGone({ goneIn }: Decision): boolean {
    return goneIn > this.#crashedIn;
  }

  /**
   * The broker cannot know better: a crash came while the session was connected, and some of what waited may have been
   * sent.
   */
  mayHaveBeenSent({ uid, number }: Decision): boolean {
    return number <= (this.#openAtCrash.get(uid) ?? 0);
  }

  /** Before the broker starts again: connections that were open in the story's last line have just been lost. */
  reopened(): void {
    const at = this.world.time;
    // What new subscriptions are owed is given from the beginning again, as they are now.
    for (const { replays, subscriptions } of this.model.sessions.values()) {
      for (const [filter, { owed }] of replays) replays.set(filter, { options: subscriptions.get(filter)!, owed });
    }
    for (const { clientId, isConnected, expirySeconds, will, uid } of [...this.model.sessions.values()]) {
      if (!isConnected) continue;
      this.#openAtCrash.set(uid, this.#number);
      this.tell({ kind: 'disconnect', clientId, hasWill: true, expirySeconds: null, at, isByBroker: true });
      // Nothing of it was stored, since nothing of it was to outlive its connection.
      if (expirySeconds === 0 && will === null) this.tell({ kind: 'end', clientId, at });
    }
    this.tell({ kind: 'started', at });
  }

  restarted(core: CoreParts, counters: Counters, connections: ReadonlySet<Connection>): void {
    this.life++;
    this.countedBefore += this.counters?.droppedInAll ?? 0;
    this.core = core;
    this.counters = counters;
    this.connections = connections;
    this.upSince = this.world.time;
    this.uncommitted = null;
    this.isStarting = true;
  }

  isOf(connection: object, link: Link): void {
    this.#linkByConnection.set(connection, link);
  }

  linkBy(connection: object): Link | null {
    return this.#linkByConnection.get(connection) ?? null;
  }

  // What the broker decides

  onConnected(link: Link): void {
    link.uid = this.nextNumber();
    const { clientId, connect } = link;
    const before = this.model.sessions.get(clientId);
    this.tell({ kind: 'connect', clientId, ...connect, uid: link.uid });
    const session = this.model.sessions.get(clientId)!;
    link.connectedAt = this.#number;
    link.marks.set('connack', session.expirySeconds > 0 || connect.will !== null ? this.log.length : 0);
    link.uid = session.uid;
    link.hasSession = before === session;
    this.world.tell(() => `broker: ${link.name} is connected${link.hasSession ? ', session present' : ''}`);
    // Another connection of the client may wait to be let in, and its CONNACK will say that the disk has the end of
    // this session.
    for (const other of this.links) {
      if (other.clientId === clientId && !connectNeedsNoDisk(this, other)) other.asked.delete('connack');
    }
    this.wills.onConnected(clientId, connect.will);
    if (!this.inFlight.has(session.uid)) this.inFlight.set(session.uid, new Map());
  }

  /** The session's connection is gone, as far as the broker is concerned; its will follows from that. */
  onDetached(link: Link): void {
    if (link.isDetached) return;
    this.#disconnected(link);
    link.isDetached = true;
    this.#forget(link);
  }

  #disconnected(link: Link): void {
    const session = this.model.sessions.get(link.clientId);
    // Taken over by another connection, or over.
    if (session?.uid !== link.uid || this.#linkOf(session) !== link) return;
    const { clientId, newExpirySeconds, isWillCancelled } = link;
    const at = this.world.time;
    // A client whose CONNACK has not left was never connected.
    const hasWill = !isWillCancelled && session.isReady;
    const isByBroker = this.wills.isStopping;
    this.tell({ kind: 'disconnect', clientId, hasWill, expirySeconds: newExpirySeconds, at, isByBroker });
  }

  /** The client has found that its connection is gone. The broker may have to come to what it sent before. */
  onGone(link: Link): void {
    link.isGone = true;
    this.#forget(link);
  }

  #forget(link: Link): void {
    if (link.isGone && (link.isDetached || link.uid === 0)) this.links.delete(link);
  }

  onTakenOver({ clientId, isReady }: ModelSession): void {
    const at = this.world.time;
    this.tell({ kind: 'disconnect', clientId, hasWill: isReady, expirySeconds: null, at, isByBroker: false });
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
      // A connection that a bug ends within a round is gone as of the broker's time in that round.
      this.check(!session.isConnected && time >= due - roundMs, 'session expiry to the second', () => {
        return `${clientId} expired ${(due - time) / 1000} s early`;
      });
    }
    this.world.tell(() => `broker: the session of ${clientId} is over (${why})`);
    this.tell({ kind: 'end', clientId, at: time });
  }

  /** The publisher is told that there is no room: none of what its PUBLISH came to is routed. */
  onRefused(messages: readonly Message[], origin: Session | null, link: Link | null): void {
    const publisher = origin?.clientId ?? null;
    const key = keyOf(messages[0]!.payload.toString(), messages[0]!.topic.name);
    const exchange = link?.exchange ?? this.#exchanges.get(`${publisher} ${key}`) ?? null;
    const isForWantOfRoom = messages.some((message) => {
      const excluded = this.excludedFrom(message.topic.name, exchange?.hadOtherRules);
      return lacksRoom(this, messages, message, publisher, excluded);
    });
    this.check(isForWantOfRoom, 'a message is refused only for want of room', () => messages[0]!.topic.name);
    if (exchange !== null) exchange.isRefused = true;
  }

  /** `core.publish` was called, and gives the message to whom it is for. */
  onRouted(message: Message, origin: Session | null, link: Link | null, how: 'taken' | 'not retained'): Routed {
    const payload = message.payload.toString();
    const publisher = origin?.clientId ?? this.wills.clientOf(keyOf(payload, message.topic.name));
    const publisherUid = (publisher !== null && this.model.sessions.get(publisher)?.uid) || 0;
    const topic = message.topic.name;
    const key = keyOf(payload, topic);
    const isWill = this.wills.has(key);
    const exchange = link?.exchange ?? this.#exchanges.get(`${publisher} ${key}`) ?? null;
    if (isWill) this.wills.onRouted(key);
    else this.#checkRouted(message, key, exchange, publisherUid);
    if (how === 'not retained') {
      const isFull = this.core!.retained.count >= this.profile.settings.limits.retainedMessages;
      this.check(isFull || this.memory.mayRefuse, 'what is to be retained is retained', () => key);
    }
    const number = this.nextNumber();
    const { qos, retain, expiresAt } = message;
    const isRetained = retain && how === 'taken';
    const routed: Routed = { number, key, topic, payload, qos, retain, isRetained, expiresAt, publisher, publisherUid };
    const excluded = this.excludedFrom(topic);
    this.tell({ kind: 'route', message: routed, excluded });
    this.drops.routed(routed, excluded);
    // Now, because its clients may come back on other terms. [MQTT5 3.1.2-24]
    if (isStored(this, routed)) this.toBeStored.add(number);
    if (link !== null && !isWill) checkTaken(this, routed);
    this.world.tell(() => `broker: routes ${key} to ${topic}, QoS ${qos}${retain ? ', retained' : ''}`);
    if (!isWill && payload !== '') this.#count(routed);
    if (exchange !== null && !isWill) {
      exchange.numbers.push(number);
      exchange.marks.set(number, this.log.length);
      this.commonCommits.onRouted(exchange, number);
    }
    return routed;
  }

  /** Messages were given up; those that have expired or whose session is over are owed to nobody. */
  onDropped(reason: DropReason, clientId: string | null, count: number): void {
    this.dropped += count;
    if (reason === 'expired' || reason === 'sessionEnded') return;
    this.droppedOwed += count;
    if (clientId === null) return;
    this.droppedOf.set(clientId, (this.droppedOf.get(clientId) ?? 0) + count);
  }

  /** The broker is done with a message for a session: the client has it, or it was QoS 0 and is on its way. */
  done({ clientId, number, group, expected }: Decision): void {
    this.tell({ kind: 'done', clientId, number: group === null ? number : expected!.message.number, group });
  }

  onSubscribed(link: Link, clientId: string, filter: string, granted: number): void {
    const asked = link.subscribing.get(`${link.askingId} ${filter}`);
    if (asked === undefined) this.fail('only what was asked is subscribed', `${clientId}: ${filter}`);
    const mayBe = !this.profile.hasSenselessHooks || hasAnswerToFilter(filter);
    this.check(mayBe, 'only what is allowed is subscribed', () => `${clientId}: ${filter}`);
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
    const isDenied = !this.mayPublish(link.clientId, sent!.topic);
    const marks = (isDuplicate && this.receivedMarks.get(`${link.clientId} ${packetId}`)) || new Map<number, number>();
    link.exchange = { sent: sent!, isDuplicate, isDenied, hadOtherRules: false, numbers: [], isRefused: false, marks };
    this.#exchanges.set(`${link.clientId} ${sent!.key}`, link.exchange);
    this.explained?.comes(link, sent!, isDuplicate);
    if (packetId === 0) return;
    const type = sent!.qos === 1 ? 'puback' : 'pubrec';
    const waiting = link.unanswered.get(`${type} ${packetId}`) ?? [];
    waiting.push(link.exchange);
    link.owed[type].push(link.exchange);
    link.unanswered.set(`${type} ${packetId}`, waiting);
  }

  afterPublish(link: Link): void {
    checkQoS0(this, link);
    link.exchange = null;
  }

  /** The exchange that a hook or pipeline has taken its time for. */
  #unanswered(clientId: string, packetId: number): Exchange | null {
    const links = [...this.links].filter((link) => link.clientId === clientId);
    const waiting = links.flatMap(({ unanswered }) => unanswered.get(`pubrec ${packetId}`) ?? []);
    return waiting.at(-1) ?? null;
  }

  onReceived(clientId: string, packetId: number, link: Link | null): void {
    this.tell({ kind: 'received', clientId, packetId, isNew: true });
    const exchange = link?.exchange ?? this.#unanswered(clientId, packetId);
    if (exchange === null) return;
    exchange.marks.set(identifier, this.log.length);
    this.receivedMarks.set(`${clientId} ${packetId}`, exchange.marks);
  }

  onAck(link: Link, type: string, packetId: number): void {
    this.traffic++;
    this.world.tell(() => `broker <- ${link.name}: ${type.toUpperCase()} ${packetId}`);
    const session = this.model.sessions.get(link.clientId);
    if (type !== 'pubrel' || session?.uid !== link.uid || !session.received.has(packetId)) return;
    this.tell({ kind: 'received', clientId: link.clientId, packetId, isNew: false });
    this.#promise(link, `pubcomp ${packetId}`);
  }

  onPacket(link: Link, packet: ControlPacket): void {
    this.traffic++;
    const { time } = this.world;
    if (packet.cmd === 'connect' && connectNeedsNoDisk(this, link)) link.asked.set('connack', time);
    if (packet.cmd === 'subscribe' || packet.cmd === 'unsubscribe') {
      link.askingId = packet.messageId;
      const answer = packet.cmd === 'subscribe' ? 'suback' : 'unsuback';
      if (askingNeedsNoDisk(this, link)) link.asked.set(`${answer} ${packet.messageId}`, time);
    }
    if (packet.cmd !== 'disconnect') return;
    link.isWillCancelled = packet.reasonCode === 0;
    const { sessionExpiryInterval } = packet.properties;
    if (sessionExpiryInterval === undefined) return;
    link.newExpirySeconds = Math.min(sessionExpiryInterval, this.profile.settings.sessionExpiryMaximumSeconds);
  }

  /** `isAlways`: who might not receive it by any rules of this run. */
  excludedFrom(topic: string, isAlways = false): Set<string> {
    const excluded = new Set<string>();
    for (const clientId of this.model.sessions.keys()) {
      const mayReceive = isAlways ? this.rules?.mightReceive(clientId, topic) : this.rules?.mayReceive(clientId, topic);
      if (mayReceive === false) excluded.add(clientId);
    }
    return excluded;
  }

  #checkRouted(message: Message, key: string, exchange: Exchange | null, uid: number): void {
    const sent = exchange?.sent ?? this.published.get(key);
    this.check(sent !== undefined, 'nothing is routed that nobody published', () => key);
    this.check(exchange === null || !exchange.isDuplicate, 'QoS 2 exactly once, inbound [MQTT5 4.3.3-10]', () => {
      return `${key} was routed again when its PUBLISH came again`;
    });
    // A message that was split is published whole: the rules may change behind its first part.
    const isDecided = exchange === null || exchange.numbers.length > 0;
    const isAllowed = isDecided || this.mayPublish(exchange.sent.clientId, exchange.sent.topic);
    this.check(isAllowed, 'only what the rules allow is routed', () => key);
    const isSame = message.topic.name === sent!.topic && message.qos === sent!.qos && message.retain === sent!.retain;
    this.check(isSame || this.profile.pipeline !== 'none', 'routed as published', () => {
      return `${key} was sent to ${sent!.topic} and routed to ${message.topic.name}`;
    });
    this.check(
      sent!.qos < 2 || (this.#routedOnce.get(`${uid} ${key} ${message.topic.name}`) ?? 0) === 0,
      'QoS 2 exactly once, inbound [MQTT5 4.3.3-10]',
      () => {
        return `${key} was routed before`;
      },
    );
  }

  #count({ publisherUid, key: payload, topic }: Routed): void {
    const key = `${publisherUid} ${payload} ${topic}`;
    this.#routedOnce.set(key, (this.#routedOnce.get(key) ?? 0) + 1);
  }
}

const everybody: ReadonlySet<string> = Object.assign(new Set<string>(), { has: () => true });

/** What is retained is staged at once; nothing else of these messages was on disk. */
function withoutSubscribers(entry: Entry, messages: ReadonlySet<number>): Entry {
  if ((entry.kind !== 'route' && entry.kind !== 'found') || !messages.has(entry.message.number)) return entry;
  if (entry.kind === 'route') return { ...entry, excluded: everybody };
  return { kind: 'done', clientId: entry.clientId, number: entry.message.number, group: entry.group };
}
