/** What the log has, for who did not get it as it came: a session that moves here, or is inherited. */
import type { Entry, Sequence } from '../contracts/cluster-engine.ts';
import type { Message } from '../protocol/message.ts';
import type { TopicTable } from '../protocol/topic-table.ts';
import type { Position } from './appender.ts';
import { FrameReader, type Origin } from './frame.ts';
import { FrameAssembly } from './frame-assembly.ts';
import type { LogTail } from './log-tail.ts';
import { asPublisher, type ReadPlace } from './moved-session.ts';
import { setPlace } from './places.ts';

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

/** So many entries are read at one time for the messages that a record names. */
const readsAtOnce = 32;

export class LogReader {
  readonly #options: LogReaderOptions;
  readonly #frames: FrameReader;

  constructor(options: LogReaderOptions) {
    this.#options = options;
    this.#frames = new FrameReader(options.topics);
  }

  /** What is in this frame, in order. */
  read(frame: Buffer, sequence: Sequence): Logged[] {
    const found: Logged[] = [];
    this.#frames.visit(frame, {
      message: (borrowed, origin, index) => {
        const message = borrowed.keep();
        message.publisher = origin === null ? null : asPublisher(origin.publisher);
        if (sequence > 0) setPlace(message, { sequence, index });
        found.push({ sequence, message, origin });
      },
      released: (origin) => found.push({ sequence, message: null, origin }),
    });
    return found;
  }

  /**
   * Gives what is in `(after, at]`, where `at` is what all sessions have at that moment; what comes later is given to
   * all sessions that are there then.
   */
  async catchUp(after: Sequence, use: (missed: readonly Logged[], at: Sequence) => void): Promise<void> {
    let start = after;
    for (;;) {
      const earlier = await this.#collect(start, after, use);
      if (earlier === null) return;
      // A frame that ends behind `after` began before that.
      start = earlier - 1;
    }
  }

  /** Reads from behind `start`. Returns from where it is to be read instead; null: `use` has had all behind `after`. */
  async #collect(
    start: Sequence,
    after: Sequence,
    use: (missed: readonly Logged[], at: Sequence) => void,
  ): Promise<Sequence | null> {
    const { tail, at, whenBetweenEntries, frameBytesMax } = this.#options;
    const found: Logged[] = [];
    const assembly = new FrameAssembly(frameBytesMax);
    let earlier: Sequence | null = null;
    const collect = (entry: Entry) => {
      const frame = assembly.add(entry);
      if (entry.sequence <= after) return;
      if (frame?.kind === 'incomplete') earlier ??= frame.firstPart;
      if (frame?.kind === 'messages') found.push(...this.read(frame.bytes, entry.sequence));
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
        if (!isIncomplete) use(found, end);
        resolve(isIncomplete ? earlier : null);
      });
    });
  }

  /** Reads the messages at these places. The tail has reached all of them. */
  async messagesAt(places: readonly Position[]): Promise<ReadPlace> {
    const sequences = [...new Set(places.map(({ sequence }) => sequence))];
    const found = new Map<Sequence, readonly Logged[]>();
    for (let from = 0; from < sequences.length; from += readsAtOnce) {
      const some = sequences.slice(from, from + readsAtOnce);
      await Promise.all(some.map(async (sequence) => found.set(sequence, await this.#entry(sequence))));
    }
    return ({ sequence, index }) => found.get(sequence)?.[index]?.message ?? null;
  }

  async #entry(sequence: Sequence): Promise<readonly Logged[]> {
    let logged: readonly Logged[] = [];
    for (let start = sequence - 1; ; ) {
      const assembly = new FrameAssembly(this.#options.frameBytesMax);
      let firstPart = sequence;
      await this.#options.tail.scan(start, sequence, (entry) => {
        const frame = assembly.add(entry);
        if (entry.sequence !== sequence) return;
        if (frame?.kind === 'incomplete') firstPart = frame.firstPart;
        if (frame?.kind === 'messages') logged = this.read(frame.bytes, sequence);
      });
      if (firstPart > start) return logged;
      start = firstPart - 1;
    }
  }
}
