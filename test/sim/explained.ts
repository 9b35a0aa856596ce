/**
 * Whether `explain` tells the truth: it is asked about a PUBLISH that the broker is about to come to, and what then
 * becomes of the message is held against its answer. Nothing happens in between, so the answer has to be right, and
 * not only plausible. Where something did all the same (a hook takes its time, a message goes to its subscribers in
 * several rounds), nothing is judged.
 */
import type { Random } from '../../scripts/crash/random.ts';
import type { BrokerContext } from '../../src/broker/broker-context.ts';
import type { Connection } from '../../src/broker/connection.ts';
import { Drops } from '../../src/broker/drops.ts';
import { type ExplainRequest, explain } from '../../src/broker/explain.ts';
import type { RefusedBy } from '../../src/broker/journal.ts';
import type { ExplainStep, Explanation } from '../../src/contracts/explain.ts';
import type { Message } from '../../src/protocol/message.ts';
import { matches, parseFilter } from '../../src/protocol/topic.ts';
import type { Judge } from './judge.ts';
import { keyOf, type Link, type SentPublish } from './link.ts';
import type { Routed } from './model.ts';

const invariant = 'explain tells what becomes of a message';

/** Of the packets that may be a PUBLISH, so many are asked about. */
const askedPart = 0.5;
/** Of these, so many are asked without a receiver, and of the others so many about one to whom it is to go. */
const forAllPart = 0.15;
const ofReceiversPart = 0.7;

/** What really became of a message at the receiver: where it got to, and no further. */
type Outcome =
  /** It was given to the connection. */
  | 'sent'
  /** It waits in the session's queue. */
  | 'queued'
  /** The receiver is none of those that it goes to. */
  | 'not given'
  | ExplainStep;

type Recipients = ReturnType<Judge['model']['recipients']>;

interface Foretold {
  readonly link: Link;
  readonly sent: SentPublish;
  readonly to: string;
  /** By which shared subscription it would come, as the oracle has it; null: by one of its own, or by none. */
  readonly group: string | null;
  readonly answer: Explanation;
  /** What the judge had seen when it was asked. */
  readonly traffic: number;
  readonly entries: number;
  readonly at: number;
  /** By the broker's clock, which is read again when the bytes come. */
  readonly clock: number;
  /** What is routed has a higher number, unless it is a message before it that looks the same. */
  after: number;
  /** Another message was sent to it since, dropped for it, or put into its queue. */
  hasReceiverChanged: boolean;
}

const stepsBy: Readonly<Record<RefusedBy, ExplainStep>> = {
  closedTopic: 'topic',
  rules: 'rules',
  hook: 'hook',
  pipeline: 'pipeline',
  cluster: 'cluster',
  disk: 'disk',
  memory: 'memory',
  room: 'room',
};

const stepsOf: Readonly<Record<string, ExplainStep>> = {
  noLocal: 'subscription',
  clientAway: 'connection',
  slowConsumer: 'connection',
  packetTooLarge: 'packetSize',
  queueFull: 'queue',
  expired: 'expiry',
  notAuthorized: 'readRules',
};

export class Explained {
  /** Answers that were held against what happened, and those of them in which the message was not sent at once. */
  judged = 0;
  mishaps = 0;
  /** By what became of the message. */
  readonly outcomes = new Map<string, number>();
  readonly #judge: Judge;
  readonly #random: Random;
  readonly #clients: number;
  /** For the PUBLISH that comes next. */
  #next: Foretold | null = null;
  /** For the message that is on its way. */
  #watched: Foretold | null = null;
  /** The core gives the watched message to its receiver; what has become of it so far. */
  #given: { outcome: Outcome | null } | null = null;

  constructor(judge: Judge, random: Random, clients: number) {
    this.#judge = judge;
    this.#clients = clients;
    this.#random = random;
  }

  /** Before bytes of a client reach the broker. Null: nothing is asked. */
  beforeArrival(link: Link): Promise<void> | null {
    this.#next = this.#watched = null;
    const sent = link.sent[0];
    const { core, model } = this.#judge;
    if (sent === undefined || core === null || link.isDetached || model.sessions.get(link.clientId)?.uid !== link.uid)
      return null;
    if (!this.#random.isLucky(askedPart)) return null;
    return this.#ask(link, sent);
  }

  async #ask(link: Link, sent: SentPublish): Promise<void> {
    const judge: Judge = this.#judge;
    const { topic, qos, retain, payload } = sent;
    const { own, groups } = this.#recipients(topic, link.clientId);
    const to = this.#random.isLucky(forAllPart) ? null : this.#pick(own, groups);
    const sinceSeconds = this.#random.isLucky(0.25) ? 10_000 : null;
    const request: ExplainRequest = {
      ...{ topic, from: link.clientId, to, qos, retain, sinceSeconds, topicAlias: null },
      ...{ payload, payloadBytes: null, expirySeconds: sent.expirySeconds < 0 ? null : sent.expirySeconds },
    };
    const { context } = link.connection as Connection;
    const [traffic, entries, at] = [judge.traffic, judge.log.length, judge.world.time];
    const atOnce = withoutRounds(context);
    const isClosing = false;
    const answer = await explain(atOnce, request, { isClosing, trials: null, drops: new Drops(atOnce) });
    if (answer.drops !== null) judge.drops.checkHistory(answer.drops, topic, link.clientId, to);
    if (to === null) return this.#checkReceivers(answer, topic);
    const isOwn = [...own.keys()].some(({ clientId }) => clientId === to);
    const group = isOwn ? null : (firstGroup(judge, to, topic, groups) ?? null);
    const clock = judge.core!.delivering.now;
    this.#next = { link, sent, to, group, answer, traffic, entries, at, clock, after: 0, hasReceiverChanged: false };
  }

  #pick(own: Recipients['own'], groups: Recipients['groups']): string {
    const members = [...groups.values()].flatMap((each) => [...each.keys()]);
    const receivers = [...[...own.keys()].map(({ clientId }) => clientId), ...members];
    if (receivers.length > 0 && this.#random.isLucky(ofReceiversPart)) return this.#random.pick(receivers);
    return `c${this.#random.between(1, this.#clients)}`;
  }

  #recipients(topic: string, publisher: string | null): Recipients {
    const { model, rules } = this.#judge;
    const excluded = [...model.sessions.keys()].filter((each) => rules?.mayReceive(each, topic) === false);
    return model.recipients(topic, publisher, new Set(excluded));
  }

  /** Without a receiver, it says how many there are. */
  #checkReceivers({ receivers, findings }: Explanation, topic: string): void {
    const { own, groups } = this.#recipients(topic, null);
    if (receivers === null) return;
    const isRight = receivers.sessions === own.size && receivers.sharedGroups === groups.size;
    this.#judge.check(isRight, invariant, () => {
      const { sessions, sharedGroups } = receivers;
      return `${topic} has ${sessions} and ${sharedGroups} receivers, and not ${own.size} and ${groups.size}`;
    });
    const saysNobody = findings.some(({ step, verdict }) => step === 'subscription' && verdict === 'stops');
    this.#judge.check(saysNobody === (own.size + groups.size === 0), invariant, () => `whether anybody gets ${topic}`);
  }

  /** What was asked about is not what comes now: it came in pieces, or waits. */
  afterArrival(): void {
    this.#next = null;
  }

  // What becomes of it

  /** The broker has come to a PUBLISH. */
  comes(link: Link, sent: SentPublish, isDuplicate: boolean): void {
    const next = this.#next;
    this.#next = this.#watched = null;
    const isIt = next?.link === link && next.sent === sent && this.#judge.traffic === next.traffic + 1;
    if (!isIt || isDuplicate || this.#judge.log.length !== next.entries) return;
    next.after = this.#judge.number;
    this.#watched = next;
  }

  /** It is refused, or ends in a pipeline. */
  refused(link: Link, by: RefusedBy): void {
    if (this.#watched?.link === link) this.#conclude(stepsBy[by]);
  }

  /** Its publisher is disconnected. */
  failed(link: Link): void {
    if (this.#watched?.link === link) this.#conclude('limits');
  }

  endedInPipeline(): void {
    if (this.#watched !== null) this.#conclude('pipeline');
  }

  skippedForNoLocal(clientId: string, { payload, topic }: Message): void {
    const { to, group } = this.#watched ?? {};
    if (to === clientId && group === null && this.#isWatched(keyOf(payload.toString(), topic.name), topic.name)) {
      this.#conclude('subscription');
    }
  }

  /** It has been given to all whom it goes to. */
  routed({ key, topic, number }: Routed): void {
    if (this.#isWatched(key, topic, number)) this.#conclude('not given');
  }

  /** `give` gives the message to a session. */
  giving(clientId: string, routed: Routed | null, group: string | null, give: () => void): void {
    const watched = this.#watched;
    const isIt = watched !== null && routed !== null && watched.to === clientId && watched.group === group;
    if (!isIt || !this.#isWatched(routed.key, routed.topic, routed.number)) return give();
    const given = { outcome: null as Outcome | null };
    this.#given = given;
    try {
      give();
    } finally {
      this.#given = null;
    }
    if (given.outcome !== null) return this.#conclude(given.outcome);
    this.#judge.fail(invariant, `${routed.key} is given to ${clientId}, and nothing is told of what became of it`);
  }

  /** What the core says of the session meanwhile; the last of it counts. */
  happens(clientId: string, what: 'sent' | 'queued' | string): void {
    const foretold = this.#watched ?? this.#next;
    if (foretold?.to !== clientId) return;
    // Another message was on its way to the same client before.
    if (this.#given === null) foretold.hasReceiverChanged = true;
    else this.#given.outcome = what === 'sent' || what === 'queued' ? what : stepsOf[what]!;
  }

  #isWatched(key: string, topic: string, number = Number.POSITIVE_INFINITY): boolean {
    const watched = this.#watched;
    return watched?.sent.key === key && watched.sent.topic === topic && number > watched.after;
  }

  /** Whether all that has happened since it was asked is the message's own doing. */
  #isUndisturbed({ traffic, entries, at, sent }: Foretold): boolean {
    const { log, world, traffic: now } = this.#judge;
    if (now !== traffic + 1 || world.time !== at) return false;
    return log.slice(entries).every((entry) => {
      if (entry.kind === 'route' || entry.kind === 'found') return entry.message.key === sent.key;
      return ['queued', 'done', 'received'].includes(entry.kind);
    });
  }

  #conclude(outcome: Outcome): void {
    const watched = this.#watched!;
    this.#watched = null;
    const judge: Judge = this.#judge;
    const { answer, sent, to } = watched;
    // Of memory there is less by the message itself once it is here, and more by what has made room for it elsewhere.
    const wantsRoom = [outcome, answer.step].some((each) => ['queued', 'queue', 'room'].includes(each ?? ''));
    const isForMemory = wantsRoom && judge.memory.hasTaken;
    // What fills a queue may have expired meanwhile.
    const hasClockMoved = judge.core!.delivering.now !== watched.clock;
    const isForTime = hasClockMoved && answer.step === 'queue';
    if (!this.#isUndisturbed(watched) || watched.hasReceiverChanged || isForMemory || isForTime) return;
    this.judged++;
    if (outcome !== 'sent') this.mishaps++;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    const { queuePolicy } = judge.profile.settings.limits;
    // How many of the oldest have expired, and whether that is enough, it leaves open.
    const isLeftOpen = outcome === 'queue' && queuePolicy !== 'drop-oldest' && dependsOn(answer, 'queue');
    judge.check(isLeftOpen || agrees(answer, outcome), invariant, () => {
      const said = `${answer.arrives}, ${answer.step}: ${answer.conclusion}`;
      return `${sent.key} to ${sent.topic} for ${to} (${said}), and really: ${outcome}`;
    });
  }
}

/** Steps that the program decides, which cannot be asked. */
const ofProgram: readonly ExplainStep[] = ['hook', 'pipeline'];
const notGiven: readonly ExplainStep[] = ['session', 'subscription', 'readRules'];

const dependsOn = ({ findings }: Explanation, step: ExplainStep): boolean =>
  findings.some((each) => each.step === step && each.verdict === 'depends');

function agrees(answer: Explanation, outcome: Outcome): boolean {
  const stop = answer.findings.find(({ verdict }) => verdict === 'stops')?.step ?? null;
  const depends = (step: ExplainStep) => dependsOn(answer, step);
  switch (outcome) {
    case 'sent':
      return stop === null && !depends('connection');
    case 'queued':
      if (stop === 'session') return true;
      // It may expire before it has waited at all.
      return depends('connection') && (stop === null || stop === 'expiry');
    case 'not given':
      return depends('subscription') || (stop !== null && notGiven.includes(stop));
    default:
      if (stop === outcome) return true;
      // The program is asked before what `explain` found behind it.
      if (ofProgram.includes(outcome) || outcome === 'limits') return depends(outcome);
      // What a pipeline makes of it may find no room.
      if (outcome === 'room') return depends('pipeline');
      // The receiver's time is up, and the session ends with the next look at the clock.
      return stop === 'session' && (outcome === 'connection' || outcome === 'queue');
  }
}

/** The shared subscription of a client by which it may get a message: the first one that matches, as it subscribed. */
function firstGroup(
  { model }: Judge,
  clientId: string,
  topic: string,
  groups: ReadonlyMap<string, unknown>,
): string | undefined {
  for (const filter of model.sessions.get(clientId)?.subscriptions.keys() ?? []) {
    const { shareName, filter: plain } = parseFilter(filter)!;
    const name = `${shareName}/${plain}`;
    if (shareName !== null && matches(plain, topic) && groups.has(name)) return name;
  }
  return undefined;
}

/** What is done in the background is done at once, so that nothing else happens before there is an answer. */
function withoutRounds(context: BrokerContext): BrokerContext {
  const queueBackground = (step: () => boolean) => {
    while (step());
  };
  // The clock is read when the bytes come, and what is due then happens then.
  const advanceClock = () => context.core.now;
  return Object.create(context, {
    scheduler: { value: { jobs: { queueBackground }, clock: () => 0 } },
    advanceClock: { value: advanceClock },
    // For cursors, which nobody uses: the run's own chance stays as it is.
    randomBytes: { value: (count: number) => Buffer.alloc(count) },
  }) as BrokerContext;
}
