/**
 * Publishes a will that is due: it passes what a PUBLISH of its client would, in the name of that client, and in its
 * order.
 */
import { Timer } from '../base/timer-wheel.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { PendingWill } from '../core/pending-will.ts';
import type { Message } from '../protocol/message.ts';
import { AbsentPublisher } from './absent-publisher.ts';
import type { BrokerContext } from './broker-context.ts';
import type { RefusedBy } from './journal.ts';
import { publish, ruledCode } from './publish.ts';

/** So long what a client publishes waits for an earlier will of it: a step that hangs must not keep it out. */
const patienceMs = 5_000;

/** `done` is called in the same go as the will has reached everybody, or is refused. */
export function publishWill(context: BrokerContext, message: Message, will: PendingWill, done: () => void): void {
  const publisher = new WillPublisher(context, message, will, done);
  const begin = () => publisher.guard(() => publish(publisher, message));
  if (will.behind === null) begin();
  else whenPassed(context, will.behind, begin);
}

/** Calls back once this will, which is under way, has reached everybody, or has had its time. */
export function whenPassed({ core, timers }: BrokerContext, will: PendingWill, then: () => void): void {
  const passed = () => {
    timers.cancel(timer);
    will.whenPassed.delete(passed);
    then();
  };
  const timer = new Timer(passed);
  timers.set(timer, core.now + patienceMs);
  will.whenPassed.add(passed);
}

/** Its client is gone, so it pays itself for a bug on the way: it is refused. */
class WillPublisher extends AbsentPublisher {
  readonly whenFull = 'drop';
  readonly #message: Message;
  readonly #will: PendingWill;
  readonly #done: () => void;
  #isOver = false;

  constructor(context: BrokerContext, message: Message, will: PendingWill, done: () => void) {
    super(context, will.publisher);
    this.#message = message;
    this.#will = will;
    this.#done = done;
  }

  /** No Local goes by the client identifier, whose session may be another one by now. [MQTT5 3.8.3-3] */
  get origin(): ClientSession | null {
    return this.context.core.findSession(this.#will.clientId) ?? null;
  }

  get willOf(): string {
    return this.#will.clientId;
  }

  abandon(): void {
    this.#end();
  }

  ruledCode(): number {
    return ruledCode(this.#will, this.#message);
  }

  refused(reasonCode: number, by: RefusedBy, inWords?: string): void {
    const why = inWords ?? (by === 'rules' ? undefined : `the ${by} refused it`);
    if (!this.#isOver) this.context.sink.willRefused(this.#message, this.#will, reasonCode, why);
    this.#end();
  }

  published(): void {
    if (!this.#isOver) this.context.journal.willPublished(this.#will, this.#message);
    this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#done();
  }
}
