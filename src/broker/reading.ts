/**
 * Whether a connection is read, and why not. Several reasons may hold at once; it is read when none does.
 *
 * For some of them also the packets that are here already wait: then it is parked. What was not read is not late for
 * its keep-alive. A transport may have reasons of its own not to read, see `net/`.
 */
import { assert } from '../base/assert.ts';
import type { Scheduler, Share, Step } from '../base/scheduler.ts';
import type { PacketGate } from '../codec/receiver.ts';
import type { ByteStream } from '../contracts/transport.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { BrokerContext } from './broker-context.ts';
import type { Output } from './output.ts';

/** Why it is not read: bits. */
const Pause = {
  /**
   * Something has to happen first: a hook or the disk answers, the queue of a bridge has room, steps of the last packet
   * are done, its pace allows more, a refusal is due, the client's older connection or its will is done with.
   */
  waits: 1,
  /** Its client has used up its time of this round. */
  hasNoTime: 2,
  /** It ends behind its last message. */
  isEnding: 4,
  /** It is owed as many answers as it may be. An answer costs a client little, and waits here for the disk. */
  isOwedAnswers: 8,
  /** There is no memory for the rest of its packet. */
  lacksMemory: 16,
  /** It does not read what it is sent, and its answers would grow without end. */
  clientDoesNotRead: 32,
} as const;

const reasonTexts: readonly (readonly [pause: number, text: string])[] = [
  [Pause.waits, 'a hook, a pipeline, the disk, the queue of a bridge or its pace lets an earlier packet wait'],
  [Pause.isEnding, 'its connection is ending'],
  [Pause.isOwedAnswers, 'it is owed as many answers as it may be (limits.receiveMaximum)'],
  [Pause.lacksMemory, 'there is no memory for the rest of its packet (limits.memoryBytes)'],
  [Pause.clientDoesNotRead, 'it does not read what it is sent'],
];

const parked = Pause.waits | Pause.hasNoTime | Pause.isEnding;

/** The connection that is read. */
export interface Readable {
  readonly context: BrokerContext;
  readonly stream: ByteStream;
  readonly share: Share;
  readonly session: ClientSession | null;
  readonly isClosing: boolean;
  /** Answers that wait for a commit. */
  readonly heldAnswers: number;
  /** Whether there is memory for what comes next of the packet under way. */
  readonly mayReceive: boolean;
  guard(run: () => void): void;
  /** Takes the packets that came while it was parked. */
  takeParked(): void;
  /** It could not be heard until now: only from now on can it be late. */
  restartKeepAlive(now: number): void;
}

export class Reading implements PacketGate {
  readonly #connection: Readable;
  readonly #scheduler: Scheduler;
  readonly #output: Output;
  /** Reasons of `Pause`. */
  #pauses = 0;
  /** Calls of `park` that have had no `unpark`. */
  #parks = 0;
  #isResuming = false;
  /** Steps of its last packet are queued. */
  #isWorking = false;
  /** What it had not taken when it was looked at last: one that takes nothing at all in its keep-alive time hangs. */
  #unsentBytes = 0;

  constructor(connection: Readable, output: Output) {
    this.#connection = connection;
    this.#scheduler = connection.context.scheduler;
    this.#output = output;
  }

  get isParked(): boolean {
    return (this.#pauses & parked) !== 0;
  }

  /** Why it is not read at this moment, in words; those that pass within a round are left out. */
  get reasons(): readonly string[] {
    return reasonTexts.filter(([pause]) => this.#has(pause)).map(([, text]) => text);
  }

  /** It ends as soon as its last message has reached everybody. */
  get isEnding(): boolean {
    return this.#has(Pause.isEnding);
  }

  /** What the client has sent before is still to be handled. */
  get isBehind(): boolean {
    return this.#isWorking || (this.#pauses & (Pause.hasNoTime | Pause.isEnding)) !== 0;
  }

  #has(pause: number): boolean {
    return (this.#pauses & pause) !== 0;
  }

  #pause(pause: number): void {
    this.#pauses |= pause;
    this.#connection.stream.pause();
  }

  /** Reads on, unless something is in the way. */
  #readOn(): void {
    if (this.#pauses !== 0 || this.#connection.isClosing) return;
    if (this.#isClientUnread) this.#pauseUntilDrained();
    else this.#connection.stream.resume();
  }

  /** It has been let off, and reads on unless something else is in the way. */
  #lift(pause: number, now: number): void {
    this.#pauses &= ~pause;
    this.#connection.restartKeepAlive(now);
    this.#readOn();
  }

  /**
   * Takes no further packet until each `park` has had its `unpark`: a hook is thinking, and may lead to another one.
   */
  park(): void {
    this.#parks++;
    this.#pause(Pause.waits);
  }

  unpark(): void {
    assert(this.#parks > 0, 'a connection that is not parked is unparked');
    if (--this.#parks > 0) return;
    this.#connection.share.run(() => this.#resume());
  }

  /** No packet is taken any more. */
  takeNoMore(): void {
    this.#pause(Pause.isEnding);
  }

  /** Takes the packets that have come meanwhile. Returns whether its time is used up before the last of them. */
  #resume(): boolean {
    const connection = this.#connection;
    // Its turn has come, whatever else it waits for: nothing is queued any more.
    this.#pauses &= ~Pause.hasNoTime;
    if (this.#parks > 0 || this.#has(Pause.isEnding)) return false;
    this.#pauses &= ~Pause.waits;
    if (connection.isClosing) return false;
    connection.restartKeepAlive(connection.context.core.now);
    this.#isResuming = true;
    connection.guard(() => {
      connection.takeParked();
      this.pauseIfOwedTooMany();
      this.#readOn();
    });
    this.#isResuming = false;
    return this.#has(Pause.hasNoTime);
  }

  /** Others are served before the next packet if this client has used up its time. */
  packetDone(): void {
    if (this.#scheduler.packetDone()) this.yield();
  }

  /** Its packets go on as soon as there is time. */
  yield(): void {
    if (this.isParked || this.#connection.isClosing) return;
    this.#pause(Pause.hasNoTime);
    if (!this.#isResuming) this.#connection.share.queue(() => this.#resume());
  }

  /** Works through this step until it is done, with others served in between. The next packet is taken after that. */
  work(step: Step): void {
    const connection = this.#connection;
    let hasParked = false;
    const isDone = connection.share.run(() => {
      let hasMore = false;
      connection.guard(() => (hasMore = step()));
      if (hasMore || !hasParked) return hasMore;
      this.#isWorking = false;
      this.unpark();
      return false;
    });
    if (isDone) return;
    hasParked = this.#isWorking = true;
    this.park();
  }

  /** Does this once others have been served. The next packet is taken after that. */
  workLater(run: () => void): void {
    this.park();
    this.#isWorking = true;
    this.#connection.share.queue(() => {
      this.#isWorking = false;
      this.#connection.guard(run);
      this.unpark();
      return false;
    });
  }

  /** It may have come to be owed more answers than it may be. */
  pauseIfOwedTooMany(): void {
    if (!this.#owesFew && !this.#has(Pause.isOwedAnswers)) this.#pause(Pause.isOwedAnswers);
  }

  get #owesFew(): boolean {
    const { heldAnswers, context } = this.#connection;
    return heldAnswers < context.settings.limits.receiveMaximum;
  }

  /** What has come of a packet may be all that there is memory for. Returns whether it waits for memory since now. */
  pauseIfMemoryShort(): boolean {
    const { session, mayReceive } = this.#connection;
    if (session === null || this.#has(Pause.lacksMemory) || mayReceive) return false;
    this.#pause(Pause.lacksMemory);
    return true;
  }

  memoryFound(): void {
    this.#lift(Pause.lacksMemory, this.#connection.context.core.now);
  }

  /**
   * Whether its keep-alive does not apply: it was not read for another reason, or has taken some of what it was sent
   * since this was asked last, once in a keep-alive time.
   */
  checkExcuse(): boolean {
    if (this.#has(~Pause.clientDoesNotRead)) return true;
    if (!this.#has(Pause.clientDoesNotRead)) return false;
    // Next to nothing is added while some of it is unsent: so it has read if that has changed.
    const before = this.#unsentBytes;
    this.#unsentBytes = this.#unsent;
    return this.#unsentBytes !== before;
  }

  get #unsent(): number {
    const { stream } = this.#connection;
    return this.#output.fullBytes + (stream.unsentBytes ?? stream.pendingBytes);
  }

  get #isClientUnread(): boolean {
    const { stream, context } = this.#connection;
    if (stream.pendingBytes === 0) return false;
    return this.#output.waitingBytes > 2 * context.memory.outputBytes;
  }

  /** The kernel was given everything, and may not have taken all of it. */
  flushed(): void {
    const { stream, context, session } = this.#connection;
    if (this.#pauses !== 0 && this.#has(Pause.isOwedAnswers) && this.#owesFew) {
      this.#lift(Pause.isOwedAnswers, context.core.now);
    }
    if (stream.pendingBytes === 0) return;
    if (session !== null && this.#output.waitingBytes > context.memory.outputBytes) session.isCongested = true;
    if (this.#isClientUnread) this.#pauseUntilDrained();
  }

  #pauseUntilDrained(): void {
    if (!this.#has(Pause.clientDoesNotRead)) this.#unsentBytes = this.#unsent;
    this.#pause(Pause.clientDoesNotRead);
  }

  /** The kernel has taken everything. */
  drained(): void {
    if (this.#has(Pause.clientDoesNotRead))
      this.#lift(Pause.clientDoesNotRead, this.#connection.context.advanceClock());
    else this.#readOn();
  }
}
