/**
 * Publishes a will that is due: it passes what a PUBLISH of its client would, in the name of that client.
 */
import { followedBy, type Step } from '../base/scheduler.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { PendingWill } from '../core/pending-will.ts';
import type { ProtocolError } from '../protocol/errors.ts';
import type { Message } from '../protocol/message.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Blamable } from './boundary.ts';
import type { BrokerContext } from './broker-context.ts';
import type { RefusedBy } from './journal.ts';
import type { Asker } from './late-answers.ts';
import { type Publisher, publish, ruledCode } from './publish.ts';

/** `done` is called in the same go as the will is routed, or refused. */
export function publishWill(context: BrokerContext, message: Message, will: PendingWill, done: () => void): void {
  const publisher = new WillPublisher(context, message, will, done);
  publisher.guard(() => publish(publisher, message));
}

/** Its client is gone, so it pays itself for a bug on the way: it is refused. */
class WillPublisher implements Publisher, Asker, Blamable {
  readonly passesHooks = true;
  readonly staysHere = false;
  readonly waitsForDisk = true;
  readonly isRefusable = false;
  readonly isAbandoned = false;
  readonly isClosing = false;
  readonly context: BrokerContext;
  readonly identity: ClientIdentity;
  readonly #message: Message;
  readonly #will: PendingWill;
  readonly #done: () => void;
  #isOver = false;

  constructor(context: BrokerContext, message: Message, will: PendingWill, done: () => void) {
    this.context = context;
    this.identity = will.publisher;
    this.#message = message;
    this.#will = will;
    this.#done = done;
  }

  get clientId(): string {
    return this.identity.clientId;
  }

  get asker(): Asker {
    return this;
  }

  /** No Local goes by the client identifier, whose session may be another one by now. [MQTT5 3.8.3-3] */
  get origin(): ClientSession | null {
    return this.context.core.findSession(this.#will.clientId) ?? null;
  }

  /** Nothing of its client waits behind it. */
  park(): void {}
  unpark(): void {}

  guard(run: () => void): void {
    this.context.boundary.forOne(this, run);
  }

  inItsTime(run: () => void): void {
    run();
  }

  inSteps(step: Step, done: () => void): void {
    this.context.sink.background(followedBy(step, done));
  }

  fail(error: ProtocolError): void {
    this.refused(error.reasonCode, 'pipeline', error.message);
  }

  endByBug(): void {
    this.refused(ReasonCode.ImplementationSpecificError, 'pipeline', 'internal error');
  }

  abandon(): void {
    this.published();
  }

  ruledCode(): number {
    return ruledCode(this.#will, this.#message);
  }

  refused(reasonCode: number, by: RefusedBy, inWords?: string): void {
    const why = inWords ?? (by === 'rules' ? undefined : `the ${by} refused it`);
    if (!this.#isOver) this.context.sink.willRefused(this.#message, this.#will, reasonCode, why);
    this.published();
  }

  published(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#done();
  }

  work(step: Step): void {
    this.context.sink.background(() => {
      let isLeft = false;
      this.guard(() => (isLeft = step()));
      return isLeft;
    });
  }
}
