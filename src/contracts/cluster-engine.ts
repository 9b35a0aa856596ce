/**
 * What a cluster of brokers is built on: streams that all nodes write and read, and a bus between nodes.
 *
 * The seam is as low as it can be: one request, one answer, and answers that may not come. Whatever repeats, fences,
 * watches or gives up is above it, so the simulation runs the same code over the engine in memory as a cluster runs
 * over NATS JetStream. One suite, `test/contract/cluster-engine.suite.ts`, holds every engine to this.
 *
 * An engine keeps no queue of its own. Who asks bounds how many requests are in flight.
 */

/** Of an entry in its stream: 1 for the first one, up to 2^53 - 1, and never used again. 0 stands for "none". */
export type Sequence = number;

export interface Entry {
  readonly sequence: Sequence;
  readonly subject: string;
  /** Whoever is given it may keep it, and does not change it. */
  readonly bytes: Uint8Array;
}

export interface StreamSettings {
  /** Lower-case letters, digits and `-`; at most 32. */
  readonly name: string;
  /**
   * `newestOfSubject`: an entry replaces the one before it of the same subject. Sequences of replaced entries are
   * gone, as those of purged and dropped ones are.
   */
  readonly keeps: 'everything' | 'newestOfSubject';
  /** `dropOldest`: the first entries go as new ones come, which `bounds().first` shows. */
  readonly whenFull: 'refuse' | 'dropOldest';
  /** Of all entries, with what the engine needs for each. From 64 KiB. */
  readonly bytesMax: number;
}

export type AppendOutcome =
  /** It survives whatever the engine promises to survive. */
  | { readonly state: 'stored'; readonly sequence: Sequence }
  /**
   * The newest entry of the subject is not the expected one but `last`, or there is none: 0. Where `last` is higher
   * than what was expected it may be this very entry, stored by an earlier attempt: `read(last)` tells.
   */
  | { readonly state: 'outdated'; readonly last: Sequence }
  /** Nothing was stored, and nothing will be before entries go. */
  | { readonly state: 'full' }
  /**
   * It is stored, or will be, or never. The engine may carry it out later than requests that came after it. So nobody
   * acts on it as a failure: repeat with the same expected sequence until the outcome is one of the others. `reason`
   * is for the log.
   */
  | { readonly state: 'unknown'; readonly reason: string };

export interface Bounds {
  /** Of the first entry that is there; beyond `last` where there is none. Never goes back. */
  readonly first: Sequence;
  /** The highest sequence that was ever given; 0: none was. */
  readonly last: Sequence;
}

/** Stops giving entries at once. */
export type StopTail = () => void;

/**
 * One order of entries, which is the same for whoever reads it.
 *
 * Requests take no order among each other, also those of one node: of two appends in flight the second may be stored
 * and the first not. All but `append` reject with `EngineUnavailable` where no answer comes.
 */
export interface EngineStream {
  readonly settings: StreamSettings;
  /**
   * Stores an entry if the newest one of its subject has the sequence `expected` (0: there is none). Of several
   * appends to a subject that expect the same, at most one is stored, whoever sends them and however often. So an
   * entry that somebody else appends to a subject refuses all that its owner has in flight: that is the fence.
   *
   * `null` expects nothing: a repeat after `unknown` may store it twice.
   *
   * Beware of `expected` 0 after a purge: a subject whose newest entry is gone counts as one without any. Who is to be
   * fenced must have an entry that is not purged.
   *
   * Never rejects. `subject` is not empty; any characters; at most 65,535 bytes. At most `entryBytesMax` bytes.
   */
  append(subject: string, bytes: Uint8Array, expected: Sequence | null): Promise<AppendOutcome>;
  /**
   * The newest entry of a subject, or null. Sees each append whose outcome was told before the call, but for a moment
   * at a change of leader, when an old leader that does not know of it may answer. What follows from it is therefore
   * done by `append` with its sequence.
   */
  last(subject: string): Promise<Entry | null>;
  /**
   * As `last`, but perhaps as it was a while ago: cheap, for what is looked at again before anything follows from it.
   */
  peek(subject: string): Promise<Entry | null>;
  /** The entry of one sequence, or null: it is gone, or was never there. As new as `last`. */
  read(sequence: Sequence): Promise<Entry | null>;
  /**
   * Visits the entries in `(after, to]` that are still there, in order and each once; resolves behind the last one.
   * `to` is at most `bounds().last` or what a tail has reached. An entry that is replaced or purged meanwhile may be
   * visited or not. What was visited before a rejection stays visited: go on behind it.
   */
  scan(after: Sequence, to: Sequence, visit: (entry: Entry) => void): Promise<void>;
  bounds(): Promise<Bounds>;
  /**
   * Gives all entries behind `after`, in order and each once, those to come as well. Resolves once the engine follows
   * the stream. A tail may stand still and never say so, when servers of the engine die: who needs it compares what it
   * has reached with what must be there, stops it, and starts another behind the last entry.
   */
  tail(after: Sequence, onEntry: (entry: Entry) => void): Promise<StopTail>;
  /** Takes entries up to a sequence away, for ever. */
  purge(upTo: Sequence): Promise<void>;
  /** Takes all entries of a subject away. */
  purgeSubject(subject: string): Promise<void>;
}

/** Called with what came, and who listens to `subject`; for answers see `EngineBus.answer`. */
export type OnMessage = (bytes: Uint8Array) => void;

/**
 * Messages between nodes that are connected now. At most once: what cannot be delivered is gone. Messages of one node
 * about one subject arrive in the order in which they were sent, or not at all.
 */
export interface EngineBus {
  /**
   * Asks whoever answers `subject`. Rejects with `NobodyAnswers`, at once, where no node does; with
   * `EngineUnavailable` after `timeoutMs`, when the question may have arrived. Nobody answers for a node whose
   * connection has ended, some 50 ms after its end at the latest.
   */
  request(subject: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  /** Only one node at a time answers a subject. A rejection is passed to `failed`, and nothing is answered. */
  answer(subject: string, handler: (bytes: Uint8Array) => Promise<Uint8Array>): () => void;
  /** To all other nodes that listen; not to this one. */
  broadcast(subject: string, bytes: Uint8Array): void;
  listen(subject: string, onMessage: OnMessage): () => void;
}

/** One node's access to it. */
export interface ClusterEngine {
  /** In one append, or one message on the bus: 512 KiB at least. */
  readonly entryBytesMax: number;
  readonly bus: EngineBus;
  /**
   * Makes the stream if there is none of this name. One that is there with other settings is refused, by an error that
   * names them. Rejects with `EngineUnavailable` while the engine cannot answer.
   */
  open(settings: StreamSettings): Promise<EngineStream>;
  /** Stops tails and listeners. What is in flight ends as `unknown`, or rejects. */
  close(): Promise<void>;
}

/** The engine did not answer. Nothing is known about what was asked; asking again is right. */
export class EngineUnavailable extends Error {
  override readonly name = 'EngineUnavailable';
}

/** Whoever answers this subject has not done so in time. */
export class NoAnswerInTime extends EngineUnavailable {}

/** No node answers this subject now. */
export class NobodyAnswers extends Error {
  override readonly name = 'NobodyAnswers';
}
