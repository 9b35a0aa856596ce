/**
 * What goes out over a bridge whose entries of `topics` have priorities or pipelines. Each combination of these has a
 * lane, which is a durable session with a queue of its own (`lane.ts`); the session of the bridge itself has no
 * subscriptions then. It is handed as many messages as the peer takes now, those of the highest priority first, each
 * under its name at the peer. So what waits does so in the lanes, and a message that comes later may overtake it.
 *
 * Order per topic holds: a topic has one lane. When the settings give topics other lanes, these are lanes of a new
 * generation, and those before are emptied first.
 */
import type { BrokerContext } from '../broker/broker-context.ts';
import type { ClientSession, OwnQueueLimits } from '../core/client-session.ts';
import type { Message } from '../protocol/message.ts';
import { Lane, type LaneOptions } from './lane.ts';
import type { Link } from './link.ts';
import { subscribeOut } from './out-filters.ts';
import type { Batch } from './out-pace.ts';
import type { OutEntry } from './peer-demand.ts';
import { ageNote, QueueAge } from './queue-age.ts';
import { atPeer, type TopicEntry, type TopicMap } from './topic-map.ts';

export interface LanesOptions extends Pick<LaneOptions, 'context' | 'identity' | 'unsendable'> {
  /** Of the bridge. */
  readonly name: string;
  readonly topics: TopicMap;
  /** What is retained has gone for these. */
  readonly filtersSoFar: ReadonlySet<string>;
  /** What is to be subscribed to at first. */
  readonly wanted: readonly OutEntry[];
  /** The session of the bridge, and what begins the names of those of lanes. */
  readonly main: () => ClientSession;
  readonly prefix: string;
  readonly limits: OwnQueueLimits;
  readonly maxAgeSeconds: number;
  /** Null: it is not connected. */
  readonly link: () => Link | null;
}

/** Lanes that there are, in a note. */
interface Known {
  readonly generation: number;
  /** Which topics have which lane. */
  readonly layout: string;
  readonly lanes: readonly LaneName[];
}

interface LaneName {
  readonly generation: number;
  readonly priority: number;
  readonly pipeline: string | null;
}

const noteOf = (bridge: string) => `bridge/lanes/${bridge}`;

const wantsLanes = (entries: readonly TopicEntry[]) =>
  entries.some(({ priority, pipeline }) => pipeline !== null || priority !== entries[0]!.priority);

const layoutOf = (entries: readonly TopicEntry[]) =>
  JSON.stringify(entries.map(({ filter, priority, pipeline }) => [filter, priority, pipeline]));

const sessionOf = (prefix: string, { generation, priority, pipeline }: LaneName) =>
  `${prefix}/${generation}.${priority}.${pipeline ?? ''}`;

function knownOf({ notes }: BrokerContext, bridge: string): Known | null {
  const note = notes.get(noteOf(bridge));
  return note === null ? null : JSON.parse(note.toString());
}

const ageName = (bridge: string, { sid }: ClientSession) => `${bridge}/${sid}`;

const isSame = (one: LaneName, other: LaneName) =>
  one.generation === other.generation && one.priority === other.priority && one.pipeline === other.pipeline;

export class Lanes {
  readonly #options: LanesOptions;
  readonly #context: BrokerContext;
  /** In the order in which they are asked. */
  #lanes: Lane[] = [];
  #known: Known;
  /** What was handed on is not stored yet. */
  #isStoring = false;
  #waitsForDisk = false;
  #served = 0;

  private constructor(options: LanesOptions, known: Known) {
    this.#options = options;
    this.#context = options.context;
    this.#known = known;
  }

  /** What was handed on is to go once the disk has it. */
  get isStoring(): boolean {
    return this.#isStoring;
  }

  /** Null: the session of the bridge does without. What earlier settings have left in lanes is ended if it is empty. */
  static open(options: LanesOptions): Lanes | null {
    const { context, name, topics, filtersSoFar } = options;
    const lanes = new Lanes(options, knownOf(context, name) ?? { generation: 0, layout: '', lanes: [] });
    lanes.#dropEmpty();
    if (!wantsLanes(topics.entries) && lanes.#known.lanes.length === 0) return null;
    lanes.#open(filtersSoFar);
    return lanes;
  }

  /** Those of an earlier generation, and all if none is wanted. */
  #dropEmpty(): void {
    const { core } = this.#context;
    const isWanted = wantsLanes(this.#options.topics.entries);
    const isCurrent = isWanted && this.#known.layout === layoutOf(this.#options.topics.entries);
    const left = this.#known.lanes.filter((each) => {
      const session = core.findSession(this.#nameOf(each));
      if (session === undefined) return false;
      if (isCurrent && each.generation === this.#known.generation) return true;
      if (session.queue.length + session.window.count > 0) return true;
      endLane(this.#context, this.#options.name, session);
      return false;
    });
    this.#remember({ ...this.#known, lanes: left });
  }

  #remember(known: Known): void {
    const { notes } = this.#context;
    this.#known = known;
    // The generation goes on to count: a lane that is emptied later must not have the name of a new one.
    if (known.generation === 0) return;
    notes.put(noteOf(this.#options.name), Buffer.from(JSON.stringify(known)));
  }

  #nameOf(name: LaneName): string {
    return sessionOf(this.#options.prefix, name);
  }

  #open(known: ReadonlySet<string>): void {
    const { topics } = this.#options;
    const layout = layoutOf(topics.entries);
    const generation = layout === this.#known.layout ? this.#known.generation : this.#known.generation + 1;
    const wanted: LaneName[] = [];
    for (const { priority, pipeline } of topics.entries) {
      const each = { generation, priority, pipeline };
      if (!wanted.some((other) => isSame(each, other))) wanted.push(each);
    }
    const retired = this.#known.lanes.filter((each) => each.generation !== generation);
    this.#remember({ generation, layout, lanes: [...retired, ...wanted] });
    this.#lanes = [...retired, ...wanted].map((each) => this.#openOne(each));
    this.#lanes.sort(({ options: one }, { options: other }) => {
      return one.generation - other.generation || other.priority - one.priority;
    });
    for (const lane of this.#lanes) {
      lane.isRetired = lane.options.generation !== generation;
      this.#appoint(lane);
      this.#subscribe(lane, this.#options.wanted, known, false);
    }
    for (const lane of this.#lanes) lane.begin();
  }

  #openOne(name: LaneName): Lane {
    const { context, topics, identity, unsendable, maxAgeSeconds } = this.#options;
    const lane = new Lane({
      ...{ ...name, name: this.#nameOf(name), context, topics, identity, unsendable },
      giveNow: (message) => this.#giveNow(message),
      onReady: () => this.look(),
    });
    const { core } = context;
    core.limitQueue(lane.session, this.#options.limits);
    const age = ageName(this.#options.name, lane.session);
    lane.age = new QueueAge(context, age, maxAgeSeconds, () => (lane.isOpen ? lane.session : null));
    lane.age.begin();
    return lane;
  }

  #isOf({ isRetired, options }: Lane, { priority, pipeline }: TopicEntry): boolean {
    return !isRetired && priority === options.priority && pipeline === options.pipeline;
  }

  /** Where filters overlap, the first entry has a topic. What earlier settings have left goes by here. */
  #appoint(lane: Lane): void {
    const receives = (topicName: string) => {
      const entry = this.#options.topics.entryOf(topicName);
      return entry !== null && this.#isOf(lane, entry);
    };
    this.#context.core.appoint(lane.session, this.#options.main(), lane.isRetired ? null : receives);
  }

  #subscribe(lane: Lane, wanted: readonly OutEntry[], known: ReadonlySet<string>, isSame: boolean): void {
    const { context, name } = this.#options;
    const own = wanted.filter(({ entry }) => this.#isOf(lane, entry));
    subscribeOut({ context, session: lane.session, name, wanted: own, qosMax: 1, known, isSame });
  }

  /** The peer wants something else. */
  subscribeAnew(wanted: readonly OutEntry[]): void {
    for (const lane of this.#lanes) this.#subscribe(lane, wanted, new Set(lane.session.subscriptions.keys()), true);
  }

  // What there is

  /** Messages that wait for the peer. */
  get length(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.length, 0);
  }

  get bytes(): number {
    return this.#lanes.reduce((sum, { session }) => sum + session.queue.bytes, 0);
  }

  /** Of the queue that has the most, from 0 to 1. */
  get fullness(): number {
    return Math.max(0, ...this.#lanes.map(({ session }) => session.queue.bytes / this.#options.limits.queueBytes));
  }

  // Handing on

  /** The peer may take more, or there is more for it. */
  look(): void {
    const { storeHealth } = this.#context;
    if (this.#isStoring || this.#waitsForDisk || this.#lanes.length === 0) return;
    if (!storeHealth.isStrained) return this.#handOn();
    this.#waitsForDisk = true;
    storeHealth.wait(this, () => {
      this.#waitsForDisk = false;
      this.#context.timeOfRound();
      this.look();
    });
  }

  #handOn(): void {
    const { commits } = this.#context;
    this.#settleEmpty();
    const link = this.#readyLink();
    if (link === null) return;
    const main = this.#options.main();
    const { batch } = link;
    let given = 0;
    let bytes = 0;
    let lane = this.#next();
    while (
      lane !== null &&
      !main.isCongested &&
      (given === 0 || (given < main.window.room && fits(batch, given, bytes)))
    ) {
      for (const message of lane.first!.messages) {
        bytes += message.size;
        if (message.qos > 0) given++;
        this.#give(main, message);
      }
      lane.servedAt = ++this.#served;
      lane.settleFirst();
      this.#settleEmpty();
      lane = this.#next();
    }
    if (given === 0) return;
    main.isCongested = true;
    this.#isStoring = true;
    // Sent before it is stored here, a message would be sent again by its lane after a crash, and taken for another
    // one.
    commits.whenStored(link, () => {
      this.#isStoring = false;
      this.#options.link()?.sendOn();
      this.look();
    });
  }

  /** Connected, and with room for a message that would go at once. */
  #readyLink(): Link | null {
    const link = this.#options.link();
    if (link?.session == null) return null;
    const { queue, window, isCongested } = link.session;
    return queue.length === 0 && window.room > 0 && !isCongested ? link : null;
  }

  /** What waits in a queue is not sent before the disk has it. */
  #give(main: ClientSession, message: Message): void {
    if (message.qos === 0) return this.#giveNow(message);
    main.isCongested = true;
    this.#context.core.give(main, message, message.qos, atPeer);
    main.isCongested = false;
  }

  #giveNow(message: Message): void {
    const main = this.#options.main();
    const { isCongested } = main;
    // What waits for the disk does not make the peer a slow reader.
    if (this.#isStoring) main.isCongested = false;
    this.#context.core.give(main, message, 0, atPeer);
    main.isCongested ||= isCongested;
  }

  /** Of what was dropped, or can never be sent, nothing is handed on. */
  #settleEmpty(): void {
    for (const lane of [...this.#lanes]) {
      for (let { first } = lane; first !== null && first.messages.length === 0; { first } = lane) lane.settleFirst();
      if (lane.isRetired && lane.length === 0) this.#retire(lane);
    }
  }

  #retire(lane: Lane): void {
    lane.end();
    this.#lanes = this.#lanes.filter((each) => each !== lane);
    const lanes = this.#known.lanes.filter((each) => !isSame(each, lane.options));
    this.#remember({ ...this.#known, lanes });
  }

  /** Null: there is nothing, or it has to wait for what is before it. */
  #next(): Lane | null {
    let next: Lane | null = null;
    for (const lane of this.#lanes) {
      const { options } = lane;
      if (lane.isRetired && lane.first === null) return next;
      if (next !== null) {
        const { generation, priority } = next.options;
        if (options.generation !== generation || options.priority !== priority) return next;
      }
      if (lane.first !== null && (next === null || lane.servedAt < next.servedAt)) next = lane;
    }
    return next;
  }

  // The end

  /** The bridge goes, and comes back. */
  close(): void {
    this.#context.storeHealth.forget(this);
    for (const lane of this.#lanes) lane.abandon();
    this.#lanes = [];
  }
}

/** Whether one more may go with as many before. A slow link is to be free for what comes next. */
function fits(batch: Batch | null, given: number, bytes: number): boolean {
  return batch === null || (given < batch.messages && bytes < batch.bytes);
}

function* lanesOf(context: BrokerContext, bridge: string, prefix: string): Generator<ClientSession> {
  for (const each of knownOf(context, bridge)?.lanes ?? []) {
    const session = context.core.findSession(sessionOf(prefix, each));
    if (session !== undefined) yield session;
  }
}

/** What the lanes of a bridge subscribe to, opened or not. */
export function filtersOfLanes(context: BrokerContext, bridge: string, prefix: string): string[] {
  return [...lanesOf(context, bridge, prefix)].flatMap(({ subscriptions }) => [...subscriptions.keys()]);
}

function endLane({ core, notes }: BrokerContext, bridge: string, session: ClientSession): void {
  notes.delete(ageNote(ageName(bridge, session)));
  core.endSession(session);
}

/** All lanes of a bridge that is gone. Returns how many messages waited there. */
export function removeLanes(context: BrokerContext, bridge: string, prefix: string): number {
  let dropped = 0;
  for (const session of lanesOf(context, bridge, prefix)) {
    dropped += session.queue.length + session.window.count;
    endLane(context, bridge, session);
  }
  context.notes.delete(noteOf(bridge));
  return dropped;
}
