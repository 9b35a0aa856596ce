/**
 * Messages of the program, or of the broker itself, which pass no hook and no `onPublish`: one after the other, and one
 * that is for very many in steps, with everybody else served in between.
 */
import { Deque } from '../base/deque.ts';
import { followedBy, type Step } from '../base/scheduler.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { WhenFull } from '../core/fan-out.ts';
import type { Message } from '../protocol/message.ts';
import { removal } from '../protocol/publisher.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import type { BrokerContext } from './broker-context.ts';
import type { RefusedBy } from './journal.ts';
import type { Asker } from './late-answers.ts';
import { publish } from './publish.ts';
import type { Publisher } from './publisher.ts';

/** What becomes of one of them. */
export interface OwnPublication {
  /** Whether it is refused, as a client's would be, where it finds no room. */
  readonly mayRefuse: boolean;
  /** It has reached everybody, or is refused; with what had been staged before. */
  done(reasonCode: number, stagedBefore: number): void;
  /** A bug on its way. */
  failed(error: unknown): void;
}

/**
 * So many are published in a round, before others are served: also for a program that waits for each before the next,
 * which would otherwise keep the event loop to itself.
 */
const publishedPerRound = 64;

/** They are published in their order. There is no connection that could end for a bug: it fails the message. */
export class OwnMessages implements Asker {
  readonly context: BrokerContext;
  readonly identity = null;
  readonly clientId = undefined;
  readonly isClosing = false;
  /** True for $SYS, which tells of this process: it is not for other nodes, and does not wait for the disk. */
  readonly staysHere: boolean;
  /** The first one is on its way. */
  readonly #queue = new Deque<OwnPublisher>();
  #isPublishing = false;
  /** Of the scheduler, in which one was published last, and how many more may be in it. */
  #round = -1;
  #leftInRound = 0;

  constructor(context: BrokerContext, staysHere: boolean) {
    this.context = context;
    this.staysHere = staysHere;
  }

  /** `originId`: the client that published it, at this node or another one; null: none did. */
  publish(message: Message, publication: OwnPublication, originId: string | null = null): void {
    this.#queue.push(new OwnPublisher(this, message, publication, originId));
    this.#publishQueued();
  }

  /** The broker is about to close: what is on its way reaches everybody now. */
  finish(): void {
    this.#isPublishing = true;
    for (let first = this.#queue.peek(); first !== undefined; first = this.#queue.peek()) {
      if (first.isRunning) first.step();
      else if (!first.begin()) break;
    }
    this.#isPublishing = false;
  }

  /** The first one is over. */
  next(): void {
    this.#queue.shift();
    this.context.outgoing.atOnce(() => this.#publishQueued());
  }

  /** Some of them: very many may have come to wait behind one. */
  #publishQueued(): void {
    if (this.#isPublishing) return;
    this.#isPublishing = true;
    const { round } = this.context.scheduler;
    if (this.#round !== round) this.#leftInRound = publishedPerRound;
    this.#round = round;
    while (this.#leftInRound > 0 && this.#queue.peek()?.begin() === true) this.#leftInRound--;
    this.#isPublishing = false;
    if (this.#leftInRound > 0 || this.#queue.length === 0) return;
    this.#isPublishing = true;
    this.context.sink.background(() => {
      this.#isPublishing = false;
      // Others have been served, be it in the same round.
      this.#leftInRound = publishedPerRound;
      this.#publishQueued();
      return false;
    });
  }

  park(): void {}
  unpark(): void {}

  guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#queue.peek()?.failed(error);
    }
  }

  inItsTime(run: () => void): void {
    run();
  }

  inSteps(step: Step, done: () => void): void {
    this.context.sink.background(followedBy(step, done));
  }
}

class OwnPublisher implements Publisher {
  readonly asker: OwnMessages;
  readonly passesHooks = false;
  readonly isAbandoned = false;
  readonly #message: Message;
  readonly #publication: OwnPublication;
  readonly #originId: string | null;
  #stagedBefore = 0;
  #hasBegun = false;
  /** What is left of one that is for very many. */
  #rest: Step | null = null;

  constructor(queue: OwnMessages, message: Message, publication: OwnPublication, originId: string | null) {
    this.asker = queue;
    this.#message = message;
    this.#publication = publication;
    this.#originId = originId;
  }

  get origin(): ClientSession | null {
    return this.#originId === null ? null : (this.asker.context.core.findSession(this.#originId) ?? null);
  }

  get staysHere(): boolean {
    return this.asker.staysHere;
  }

  /** Those behind it wait as well. */
  get waitsForDisk(): boolean {
    return !this.asker.staysHere;
  }

  get whenFull(): WhenFull {
    return this.#publication.mayRefuse ? 'refuse' : 'drop';
  }

  /** Steps of it are left. */
  get isRunning(): boolean {
    return this.#rest !== null;
  }

  /** Returns false if it is on its way already. */
  begin(): boolean {
    if (this.#hasBegun) return false;
    this.#hasBegun = true;
    this.#stagedBefore = this.asker.context.store.staged;
    this.asker.guard(() => {
      if (this.#message.publisher === removal) this.#remove();
      else publish(this, this.#message);
    });
    return true;
  }

  #remove(): void {
    this.asker.context.core.deleteRetained(this.#message.topic);
    this.#end(ReasonCode.Success);
  }

  ruledCode(): number {
    return ReasonCode.Success;
  }

  refused(reasonCode: number, by: RefusedBy): void {
    this.asker.context.journal.ownRefused(this.#message, reasonCode, by);
    this.#end(reasonCode);
  }

  published(reasonCode: number): void {
    if (isFailure(reasonCode)) this.asker.context.journal.ownRefused(this.#message, reasonCode, 'room');
    this.#end(reasonCode);
  }

  #end(reasonCode: number): void {
    this.#publication.done(reasonCode, this.#stagedBefore);
    this.asker.next();
  }

  failed(error: unknown): void {
    this.#rest = null;
    this.#publication.failed(error);
    this.asker.next();
  }

  work(step: Step): void {
    this.#rest = step;
    this.asker.context.sink.background(() => this.step());
  }

  /** Returns whether anything is left of it. */
  step(): boolean {
    const rest = this.#rest;
    if (rest === null) return false;
    // A step that fails is not tried again.
    this.#rest = null;
    this.asker.guard(() => {
      if (this.asker.context.outgoing.inBulk(rest)) this.#rest = rest;
    });
    return this.isRunning;
  }
}
