/**
 * Whether what is dropped from a queue for a new message had to be: one makes room for one, unless it is a matter of
 * bytes.
 */
import type { Session } from '../../src/core/session.ts';
import type { Judge } from './judge.ts';

const invariant = 'one message makes room for one';

export class MakingRoom {
  readonly #judge: Judge;
  readonly #session: Session;
  readonly #bytes: number;
  /** Of the queue, before the next drop. */
  #before: { readonly messages: number; readonly bytes: number };
  #drops = 0;

  /** `bytes`: of the message that is to be queued. */
  constructor(judge: Judge, session: Session, bytes: number) {
    this.#judge = judge;
    this.#session = session;
    this.#bytes = bytes;
    this.#before = { messages: session.queue.length, bytes: session.queue.bytes };
  }

  dropped(session: Session): void {
    if (session !== this.#session) return;
    const judge: Judge = this.#judge;
    const { queueMessages, queueBytes } = judge.profile.settings.limits;
    const { messages, bytes } = this.#before;
    const isForBytes = bytes + this.#bytes > queueBytes;
    const isForMemory = !session.queue.isPaged && judge.memory.mayRefuse;
    const isRight = isForBytes || isForMemory || (messages >= queueMessages && this.#drops === 0);
    judge.check(isRight, invariant, () => `${session.clientId} had ${messages} messages, of ${queueMessages}`);
    this.#drops++;
    this.#before = { messages: session.queue.length, bytes: session.queue.bytes };
  }
}
