/** What the log has, for who did not get it as it came: a session that moves here, or is inherited. */
import type { Entry, Sequence } from '../contracts/cluster-engine.ts';
import type { Message } from '../protocol/message.ts';
import type { TopicTable } from '../protocol/topic-table.ts';
import { type Content, FrameReader, type Origin } from './frame.ts';
import { FrameAssembly, type Whole } from './frame-assembly.ts';
import type { LogTail } from './log-tail.ts';
import { asPublisher, type ReadPlace } from './moved-session.ts';
import type { Position } from './places.ts';
import { setPlace } from './places.ts';
import { decodeShared, type SharedHeader } from './shared-frame.ts';

/** What a frame says of shared subscriptions, with the messages that go on to other members. */
export interface LoggedShared extends SharedHeader {
  readonly sequence: Sequence;
  readonly messages: readonly Message[];
}

/** Something that a frame of the log has. */
export type Logged =
  /** It owns its bytes. */
  | { readonly sequence: Sequence; readonly message: Message; readonly origin: Origin | null }
  /** The client has released a packet identifier. */
  | { readonly sequence: Sequence; readonly message: null; readonly origin: Origin };

export interface LogReaderOptions {
  readonly tail: LogTail;
  readonly topics: TopicTable;
  readonly frameBytesMax: number;
  /** The last entry that was given, or is being given, to the sessions here. */
  readonly at: () => Sequence;
  readonly whenBetweenEntries: (callback: (at: Sequence) => void) => void;
}

/** So many runs of entries are read at one time for the messages that a record names, … */
const readsAtOnce = 32;
/** … each of so many at most. Entries between two that are wanted cost less than another request. */
const runMax = 500;
const gapMax = 16;

type Use = (missed: readonly Logged[], shared: readonly LoggedShared[], at: Sequence) => void;

/** By sequence and then by index; null: not found yet, or gone. */
type Wanted = Map<Sequence, Map<number, Message | null>>;

export class LogReader {
  readonly #options: LogReaderOptions;
  readonly #frames: FrameReader;

  constructor(options: LogReaderOptions) {
    this.#options = options;
    this.#frames = new FrameReader(options.topics);
  }

  /** What is in this frame, which ends with the entry `sequence`, in order. */
  read(frame: Whole, sequence: Sequence): Logged[] {
    const place = { sequence, firstPart: frame.firstPart, isCopy: isCopy(frame) };
    const found: Logged[] = [];
    this.#frames.visit(frame, {
      message: (borrowed, origin, index) => {
        const message = kept(borrowed, origin);
        setPlace(message, { ...place, index });
        found.push({ sequence, message, origin });
      },
      released: (origin) => found.push({ sequence, message: null, origin }),
    });
    return found;
  }

  /** Of a frame of kind `shared`. */
  readShared(frame: Extract<Whole, { kind: 'shared' }>, sequence: Sequence): LoggedShared {
    const messages = this.read(frame, sequence).flatMap(({ message }) => message ?? []);
    return { ...decodeShared(frame.says, messages.length), sequence, messages };
  }

  /** Messages of a frame that the log does not have. */
  readUnlogged(frame: Content): Message[] {
    const found: Message[] = [];
    const message = (borrowed: Message, origin: Origin | null) => void found.push(kept(borrowed, origin));
    this.#frames.visit(frame, { message, released: () => {} });
    return found;
  }

  /**
   * Gives what is in `(after, at]`, where `at` is what all sessions have at that moment; what comes later is given to
   * all sessions that are there then.
   */
  async catchUp(after: Sequence, use: Use): Promise<void> {
    let start = after;
    for (;;) {
      const earlier = await this.#collect(start, after, use);
      if (earlier === null) return;
      // A frame that ends behind `after` began before that.
      start = earlier - 1;
    }
  }

  /** Reads from behind `start`. Returns from where it is to be read instead; null: `use` has had all behind `after`. */
  async #collect(start: Sequence, after: Sequence, use: Use): Promise<Sequence | null> {
    const { tail, at, whenBetweenEntries, frameBytesMax } = this.#options;
    const found: Logged[] = [];
    const shared: LoggedShared[] = [];
    const assembly = new FrameAssembly(frameBytesMax);
    let earlier: Sequence | null = null;
    const collect = (entry: Entry) => {
      const frame = assembly.add(entry);
      if (entry.sequence <= after) return;
      if (frame?.kind === 'incomplete') earlier ??= frame.firstPart;
      if (frame?.kind === 'messages') found.push(...this.read(frame, entry.sequence));
      if (frame?.kind === 'shared') shared.push(this.readShared(frame, entry.sequence));
    };
    let from = start;
    // What the ring does not have is read from the log, and meanwhile more comes.
    while (from < tail.ringAfter && from < at()) {
      const to = Math.min(at(), tail.ringAfter);
      await tail.scan(from, to, collect);
      from = to;
    }
    return new Promise((resolve) => {
      whenBetweenEntries((end) => {
        for (let each = from + 1; each <= end; each++) {
          const entry = tail.recent(each);
          if (entry !== null) collect(entry);
        }
        const isIncomplete = earlier !== null && earlier <= start;
        if (!isIncomplete) use(found, shared, end);
        resolve(isIncomplete ? earlier : null);
      });
    });
  }

  /** Reads the messages at these places. The tail has reached all of them. */
  async messagesAt(places: readonly Position[]): Promise<ReadPlace> {
    const wanted: Wanted = new Map();
    for (const { sequence, index } of places) {
      const ofEntry = wanted.get(sequence);
      if (ofEntry === undefined) wanted.set(sequence, new Map([[index, null]]));
      else ofEntry.set(index, null);
    }
    const runs = runsOf([...wanted.keys()]).values();
    const readSome = async () => {
      for (const { first, last } of runs) await this.#readRun(first, last, wanted);
    };
    await Promise.all(Array.from({ length: readsAtOnce }, readSome));
    return ({ sequence, index }) => wanted.get(sequence)?.get(index) ?? null;
  }

  /** Finds what is wanted of the entries from `first` to `last`. */
  async #readRun(first: Sequence, last: Sequence, wanted: Wanted): Promise<void> {
    const assembly = new FrameAssembly(this.#options.frameBytesMax);
    const cut: { readonly firstPart: Sequence; readonly end: Sequence }[] = [];
    await this.#options.tail.scan(first - 1, last, (entry) => {
      const frame = assembly.add(entry);
      const ofEntry = wanted.get(entry.sequence);
      if (ofEntry === undefined) return;
      if (frame?.kind === 'incomplete') cut.push({ firstPart: frame.firstPart, end: entry.sequence });
      else if (frame !== null && 'bytes' in frame) this.#find(frame, entry.sequence, ofEntry);
    });
    // A frame that began before this run, or what is left of it: where its beginning is gone, it is.
    for (const { firstPart, end } of cut) if (firstPart < first) await this.#readRun(firstPart, end, wanted);
  }

  #find(frame: Whole, sequence: Sequence, ofEntry: Map<number, Message | null>): void {
    const place = { sequence, firstPart: frame.firstPart, isCopy: isCopy(frame) };
    this.#frames.visit(frame, {
      message: (borrowed, origin, index) => {
        if (!ofEntry.has(index)) return;
        const message = kept(borrowed, origin);
        setPlace(message, { ...place, index });
        ofEntry.set(index, message);
      },
      released: () => {},
    });
  }
}

/** It owns its bytes from now on. */
function kept(borrowed: Message, origin: Origin | null): Message {
  const message = borrowed.keep();
  message.publisher = origin === null ? null : asPublisher(origin.publisher);
  return message;
}

function runsOf(sequences: readonly Sequence[]): { readonly first: Sequence; last: Sequence }[] {
  const runs: { readonly first: Sequence; last: Sequence }[] = [];
  for (const sequence of [...sequences].sort((one, other) => one - other)) {
    const run = runs.at(-1);
    if (run !== undefined && sequence - run.last <= gapMax && sequence - run.first < runMax) run.last = sequence;
    else runs.push({ first: sequence, last: sequence });
  }
  return runs;
}

const isCopy = ({ kind }: Whole) => kind === 'waiting' || kind === 'retained';
