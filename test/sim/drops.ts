/**
 * Whether the ring of drops tells the truth: all that was dropped or refused is in it, with its reason, publisher,
 * topic and recipient, and nothing else is. What was is seen where it was decided; that the reason given there is the
 * right one follows from what the oracle knows.
 */
import type { BrokerContext } from '../../src/broker/broker-context.ts';
import type { RefusedBy } from '../../src/broker/journal.ts';
import { type DropReasonName, type DropView, dropReasonTexts } from '../../src/contracts/drops.ts';
import type { Session } from '../../src/core/session.ts';
import type { DropReason, SkipReason } from '../../src/core/sink.ts';
import type { Message } from '../../src/protocol/message.ts';
import { matches, parseFilter } from '../../src/protocol/topic.ts';
import type { Judge } from './judge.ts';
import { keyOf } from './link.ts';
import type { QoS, Routed } from './model.ts';
import { hasAnswerTo, hasAnswerToFilter } from './program.ts';
import { isWaitingForDisk } from './state.ts';

const isTrue = 'what is dropped or refused is told with its cause';
const isKept = 'the ring of drops has what was dropped and refused';

interface Told {
  readonly reason: DropReasonName;
  /** See `protocol/publisher.ts`. */
  readonly publisher: string | null;
  readonly topic: string | null;
  readonly qos: number | null;
  readonly recipient: string | null;
}

/** A message that nobody had subscribed to, by its number in the log of decisions. */
interface Unwanted {
  readonly topic: string;
  readonly number: number;
}

const keyOfDrop = ({ reason, publisher, topic, qos, recipient }: Told) =>
  `${reason} ${publisher} ${topic} ${qos} ${recipient}`.replaceAll('\0', '');

const reasonsBy: Readonly<Record<RefusedBy, DropReasonName>> = {
  closedTopic: 'publishNotAllowed',
  rules: 'publishNotAllowed',
  hook: 'publishNotAllowed',
  pipeline: 'pipelineRejected',
  cluster: 'clusterRefused',
  disk: 'diskFailing',
  memory: 'memoryFull',
  room: 'noRoom',
};

export class ToldDrops {
  /** In this run of the broker: how often, by what they are. */
  #told = new Map<string, number>();
  /** Entries that they take at most, by reason. */
  #entries = new Map<DropReasonName, number>();
  /** Messages that nobody had subscribed to, by topic. */
  #unmatched = new Map<string, number>();
  /** The same by their keys: the rules may change before a message has been given to all. */
  readonly #unwanted = new Map<string, Unwanted>();
  #context: BrokerContext | null = null;
  /** The message that is being given to a session, by its key. */
  #giving = '';
  readonly #judge: Judge;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  /** Another process of the broker. */
  restarted(context: BrokerContext): void {
    this.#told = new Map();
    this.#entries = new Map();
    this.#unmatched = new Map();
    this.#unwanted.clear();
    this.#context = context;
    this.#watch(context);
  }

  /** Listens where refusals are reported. What the core drops, `probe.ts` tells. */
  #watch({ journal }: BrokerContext): void {
    const judge: Judge = this.#judge;
    const { publishRefused, subscribeRefused, willNotAllowed, willRefused, failed, endedInPipeline } =
      Object.getPrototypeOf(journal) as typeof journal;
    journal.publishRefused = (connection, message, code, by, why, stage) => {
      const link = judge.linkBy(connection)!;
      this.#checkRefused(by, link.clientId, message);
      this.#tell({ ...ofMessage(message), reason: reasonsBy[by], publisher: link.clientId, recipient: null });
      judge.explained?.refused(link, by);
      publishRefused.call(journal, connection, message, code, by, why, stage);
    };
    journal.subscribeRefused = (connection, filter, qos, code, by, why) => {
      const { clientId } = judge.linkBy(connection)!;
      this.#tell({ reason: 'subscribeRefused', publisher: clientId, topic: filter, qos, recipient: null });
      const isRight = by !== 'hook' || (judge.profile.hasSenselessHooks && !hasAnswerToFilter(filter));
      judge.check(isRight, isTrue, () => `${clientId}: ${filter} is refused by ${by}`);
      subscribeRefused.call(journal, connection, filter, qos, code, by, why);
    };
    journal.willNotAllowed = (connection, will, code, by) => {
      const { clientId } = judge.linkBy(connection)!;
      this.#tell({ ...will, reason: 'willNotAllowed', publisher: clientId, recipient: null });
      willNotAllowed.call(journal, connection, will, code, by);
    };
    journal.willRefused = (identity, message, code, why) => {
      const publisher = `will:${judge.wills.clientOf(keyOfMessage(message))}`;
      this.#tell({ ...ofMessage(message), reason: 'willRefused', publisher, recipient: null });
      willRefused.call(journal, identity, message, code, why);
    };
    journal.failed = (connection, error, wasAnswered) => {
      const link = judge.linkBy(connection);
      const publisher = connection.identity === null ? null : link!.clientId;
      const reason = wasAnswered
        ? 'protocolError'
        : connection.ticket.hasFailed
          ? 'authenticationFailed'
          : 'connectRefused';
      this.#tell({ reason, publisher, topic: null, qos: null, recipient: null });
      if (link !== null) judge.explained?.failed(link);
      failed.call(journal, connection, error, wasAnswered);
    };
    journal.endedInPipeline = (message, end) => {
      judge.check(judge.profile.pipeline !== 'none', isTrue, () => `a pipeline ends ${message.topic.name}`);
      this.#tell({
        ...ofMessage(message),
        reason: 'pipelineDropped',
        publisher: this.#publisherOf(message),
        recipient: null,
      });
      judge.explained?.endedInPipeline();
      endedInPipeline.call(journal, message, end);
    };
  }

  #tell(told: Told, count = 1): void {
    const key = keyOfDrop(told);
    this.#told.set(key, (this.#told.get(key) ?? 0) + count);
    this.#entries.set(told.reason, (this.#entries.get(told.reason) ?? 0) + 1);
  }

  // What the core drops

  /** `isNew`: it has just been published, and is not a retained one. */
  giving(message: Message, isNew: boolean): void {
    this.#giving = keyOfMessage(message);
    if (isNew) this.#isWanted(this.#giving, message.topic.name);
  }

  /** `session`: for whom; of what is refused for want of room, whose queue has none. */
  dropped(reason: DropReason | SkipReason, session: Session | null, message: Message | null, count: number): void {
    if (reason === 'willRefused' || reason === 'pipelineFailed') return;
    this.#checkDropped(reason, session, message);
    if (reason === 'notAuthorized' && session === null && message !== null)
      this.#isWanted(keyOfMessage(message), message.topic.name);
    const publisher = message === null ? null : this.#publisherOf(message);
    const of = message === null ? { topic: null, qos: null } : ofMessage(message);
    this.#tell({ ...of, reason, publisher, recipient: session?.clientId ?? null }, count);
  }

  /** Whose message it is, by its payload; what clears a topic is told apart by nothing. */
  #publisherOf(message: Message): string | null {
    const { wills, published } = this.#judge;
    const key = keyOfMessage(message);
    const will = wills.clientOf(key);
    const known = will !== null ? `will:${will}` : (published.get(key)?.clientId ?? null);
    const said = message.publisher === null ? null : message.publisher.replace('\0', '');
    if (said === null || message.payloadBytes === 0) return said;
    this.#judge.check(said === known, isTrue, () => `${key} of ${known} is told to be of ${said}`);
    return known;
  }

  #checkDropped(reason: DropReason | SkipReason, session: Session | null, message: Message | null): void {
    const judge: Judge = this.#judge;
    const what = () => `${message === null ? 'messages' : keyOfMessage(message)} for ${session?.clientId}: ${reason}`;
    // The oracle of reasons is part of asking.
    if (judge.explained !== null) judge.check(this.#isTrue(reason, session, message), isTrue, what);
  }

  #isTrue(reason: DropReason | SkipReason, session: Session | null, message: Message | null): boolean {
    const judge: Judge = this.#judge;
    const { world, model, rules, profile } = judge;
    const { clientId = '' } = session ?? {};
    const owner = model.sessions.get(clientId);
    const topic = message?.topic.name ?? '';
    const hasExpired = message !== null && message.expiresAt <= world.time;
    switch (reason) {
      case 'expired':
        return message === null || hasExpired;
      case 'queueFull':
        return (
          message === null || message.expiresAt > judge.core!.delivering.now || this.#giving === keyOfMessage(message)
        );
      case 'clientAway':
        return owner?.isReady !== true && !profile.settings.queueQoS0;
      case 'slowConsumer':
        return owner?.isReady === true && this.#isReadSlowly(owner.uid);
      case 'noLocal': {
        const { own } = model.recipients(topic, clientId, new Set());
        return ![...own.keys()].some((each) => each.clientId === clientId);
      }
      case 'notAuthorized':
        return session === null || rules?.mayReceive(clientId, topic) === false;
      case 'sessionEnded':
        return session?.isEnded === true || owner === undefined;
      case 'noSharedMember':
      case 'packetTooLarge':
      case 'retainedLimit':
        return true;
      default:
        return false;
    }
  }

  /** Something that was written to it has not been read. */
  #isReadSlowly(uid: number): boolean {
    return [...this.#judge.links].some((link) => {
      return link.uid === uid && (link.written.length > 0 || link.wire.pendingBytes > 0 || link.wire.isDraining);
    });
  }

  #checkRefused(by: RefusedBy, clientId: string, message: Message): void {
    const judge: Judge = this.#judge;
    const topic = message.topic.name;
    const isRight = {
      closedTopic: () => false,
      rules: () => judge.rules?.mayPublish(clientId, topic) === false,
      hook: () => judge.profile.hasSenselessHooks && !hasAnswerTo(topic),
      pipeline: () => judge.profile.pipeline !== 'none',
      cluster: () => false,
      disk: () => isWaitingForDisk(judge),
      memory: () => judge.memory.mayRefuse,
      room: () => true,
    }[by];
    judge.check(isRight(), isTrue, () => `${keyOfMessage(message)} of ${clientId} is refused by ${by}`);
  }

  // Topics that nobody wants

  /** A message is routed. */
  routed({ number, key, topic, expiresAt }: Routed, excluded: ReadonlySet<string>): void {
    // By the broker's clock, which may not have been read yet.
    if (expiresAt < this.#judge.core!.delivering.now) return;
    this.#unwanted.delete(key);
    if (!this.#hasSubscribers(topic, excluded)) this.#noteUnwanted(key, { topic, number });
  }

  /** Who has subscribed with No Local, and published it, has subscribed. */
  #hasSubscribers(topic: string, excluded: ReadonlySet<string>): boolean {
    const { own, groups } = this.#judge.model.recipients(topic, null, excluded);
    // The will of a session that ends goes out when its subscriptions are gone, and the oracle hears of that behind it.
    const isThere = (clientId: string) => {
      const session = this.#judge.core!.directory.get(clientId);
      if (session === undefined || session.isEnded) return false;
      return [...session.subscriptions.keys()].some((each) => matches(parseFilter(each)!.filter, topic));
    };
    const isOwn = [...own.keys()].some(({ clientId }) => isThere(clientId));
    return isOwn || [...groups.values()].some((members) => [...members.keys()].some(isThere));
  }

  #noteUnwanted(key: string, unwanted: Unwanted): void {
    this.#unmatched.set(unwanted.topic, (this.#unmatched.get(unwanted.topic) ?? 0) + 1);
    this.#unwanted.set(key, unwanted);
  }

  /** The broker says so; who had subscribed when it was routed may have gone since. */
  unmatched(message: Message, number: number): void {
    const [key, topic] = [keyOfMessage(message), message.topic.name];
    if (this.#unwanted.get(key)?.topic === topic) return;
    if (!this.#hasSubscribers(topic, this.#judge.excludedFrom(topic))) this.#noteUnwanted(key, { topic, number });
  }

  /** Somebody may have it now, or it is dropped since nobody may any more. */
  #isWanted(key: string, topic: string): void {
    if (this.#unwanted.get(key)?.topic !== topic) return;
    this.#unwanted.delete(key);
    const others = this.#unmatched.get(topic)! - 1;
    if (others > 0) this.#unmatched.set(topic, others);
    else this.#unmatched.delete(topic);
  }

  // What the broker says

  /** The ring has all of it and nothing else. */
  check(): void {
    if (this.#context === null) return;
    const { journal, settings } = this.#context;
    const judge: Judge = this.#judge;
    const most = settings.diagnostics.drops;
    const found = new Map<string, number>();
    const walk = journal.drops.walk();
    for (let next = walk.next(); next.done !== true; next = walk.next()) {
      const { reason, publisher, topic, qos, recipient, count, time, lastTime } = next.value!;
      const key = keyOfDrop({ reason, publisher, topic, qos: qos < 0 ? null : qos, recipient });
      found.set(key, (found.get(key) ?? 0) + count);
      const isInTime = judge.upSince <= time && time <= lastTime && lastTime <= judge.world.time;
      judge.check(isInTime, isKept, () => `${key} was dropped at ${time} and ${lastTime}`);
    }
    for (const key of new Set([...found.keys(), ...this.#told.keys()])) {
      const [reason] = key.split(' ') as [DropReasonName];
      // The oldest ones have left the ring.
      const isWhole = (this.#entries.get(reason) ?? 0) <= most;
      const [has, told] = [found.get(key) ?? 0, this.#told.get(key) ?? 0];
      judge.check(isWhole ? has === told : has <= told, isKept, () => `it has ${has} of "${key}", and not ${told}`);
    }
    const topics = journal.unmatchedTopics.walk();
    const unmatched = new Map(this.#unmatched);
    const notTold = this.#mayNotBeTold();
    for (let next = topics.next(); next.done !== true; next = topics.next()) {
      const { topic, count } = next.value!;
      const told = unmatched.get(topic) ?? 0;
      unmatched.delete(topic);
      const isRight = count <= told && count >= told - (notTold.get(topic) ?? 0);
      judge.check(isRight, isKept, () => `${count} messages to ${topic} for nobody, and not ${told}`);
    }
    for (const [topic, told] of unmatched) {
      judge.check(told <= (notTold.get(topic) ?? 0), isKept, () => `nobody had subscribed to ${topic}`);
    }
  }

  /** Those of the unwanted that are still on their way: the broker tells of them at the end of it. By topic. */
  #mayNotBeTold(): Map<string, number> {
    const { underWay } = this.#judge.commonCommits;
    const counts = new Map<string, number>();
    for (const { topic, number } of this.#unwanted.values()) {
      if (underWay.has(number)) counts.set(topic, (counts.get(topic) ?? 0) + 1);
    }
    return counts;
  }

  /** What `explain` tells of a topic: nothing that is not so, and of whom it was asked. */
  checkHistory(drops: readonly DropView[], topic: string, from: string, to: string | null): void {
    for (const { reason, publisher, topic: of, qos, recipient, kind } of drops) {
      const by = publisher === null ? null : `${publisher.kind === 'will' ? 'will:' : ''}${publisher.clientId}`;
      const told = this.#told.get(keyOfDrop({ reason, publisher: by, topic: of, qos, recipient }));
      const isAsked = (to === null || recipient === null || recipient === to) && (by === null || by.endsWith(from));
      const isRight = told !== undefined && isAsked && kind === dropReasonTexts[reason].kind;
      this.#judge.check(isRight && of !== null && matches(topic, of), isKept, () => `explain tells of ${reason} ${of}`);
    }
  }
}

const ofMessage = ({ topic, qos }: Message): { topic: string; qos: QoS } => ({ topic: topic.name, qos });
const keyOfMessage = ({ payload, topic }: Message): string => keyOf(payload.toString(), topic.name);
