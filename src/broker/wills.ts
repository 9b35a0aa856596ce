/**
 * Publishes a will that is due: it passes what a PUBLISH of its client would, in the name of that client.
 */
import type { Step } from '../base/scheduler.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import { Publication } from '../core/fan-out.ts';
import type { Prepared } from '../core/prepared.ts';
import { type PendingWill, publisherOf } from '../core/wills.ts';
import type { ProtocolError } from '../protocol/errors.ts';
import type { Message } from '../protocol/message.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import type { Blamable } from './boundary.ts';
import type { BrokerContext } from './broker-context.ts';
import { type Asker, whenStoreKeepsUp } from './late-answers.ts';
import { type Passage, pass } from './passage.ts';
import { mustBeStored } from './publish.ts';

/** `done` is called in the same go as the will is routed, or refused. */
export function publishWill(context: BrokerContext, message: Message, will: PendingWill, done: () => void): void {
  const passage = new WillPassage(context, message, will, done);
  passage.guard(() => {
    if (!context.storeHealth.isStrained || !mustBeStored(context, null, message)) pass(passage);
    else whenStoreKeepsUp(passage, () => pass(passage));
  });
}

/** Its client is gone, so it pays itself for a bug on the way: it is refused. */
class WillPassage implements Passage, Asker, Blamable {
  readonly isAbandoned = false;
  readonly isClosing = false;
  readonly context: BrokerContext;
  readonly message: Message;
  readonly identity: ClientIdentity;
  readonly #will: PendingWill;
  readonly #done: () => void;
  #isOver = false;

  constructor(context: BrokerContext, message: Message, will: PendingWill, done: () => void) {
    this.context = context;
    this.message = message;
    this.identity = publisherOf(will);
    this.#will = will;
    this.#done = done;
  }

  get clientId(): string {
    return this.identity.clientId;
  }

  get asker(): Asker {
    return this;
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
    this.context.core.sink.background(() => {
      if (step()) return true;
      done();
      return false;
    });
  }

  fail(error: ProtocolError): void {
    this.refused(error.reasonCode, error.message);
  }

  endByBug(): void {
    this.refused(ReasonCode.ImplementationSpecificError, 'internal error');
  }

  abandon(): void {
    this.#end();
  }

  refused(reasonCode: number, why?: string): void {
    if (!this.#isOver) this.context.core.sink.willRefused(this.message, this.#will, reasonCode, why);
    this.#end();
  }

  passed(messages: readonly Prepared[]): void {
    const { core } = this.context;
    const { topic, qos, retain } = this.message;
    // The rules once more, if it had to wait: they may have changed meanwhile.
    const code = this.#will.rights?.publish(topic, qos, retain) ?? ReasonCode.Success;
    if (isFailure(code)) return this.refused(code);
    // No Local goes by the client identifier, whose session may be another one by now. [MQTT5 3.8.3-3]
    const origin = core.directory.get(this.#will.clientId) ?? null;
    const publication = new Publication(core, messages, origin, () => this.#end());
    if (publication.begin()) core.sink.background(() => this.#step(publication));
  }

  #step(publication: Publication): boolean {
    let isLeft = false;
    this.guard(() => {
      isLeft = publication.step();
    });
    return isLeft;
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#done();
  }
}
