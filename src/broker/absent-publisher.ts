/**
 * A publisher without a connection, whose messages pass what a PUBLISH of its client would. Nothing of that client
 * waits behind them, and there is no connection that a bug on the way could cost: the message is refused.
 */
import { followedBy, type Step } from '../base/scheduler.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { WhenFull } from '../core/fan-out.ts';
import type { ProtocolError } from '../protocol/errors.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Blamable } from './boundary.ts';
import type { BrokerContext } from './broker-context.ts';
import type { RefusedBy } from './journal.ts';
import type { Asker } from './late-answers.ts';
import type { Publisher } from './publisher.ts';

export abstract class AbsentPublisher implements Publisher, Asker, Blamable {
  readonly passesHooks = true;
  readonly staysHere = false;
  readonly waitsForDisk = true;
  readonly isAbandoned = false;
  readonly isClosing = false;
  readonly context: BrokerContext;
  readonly identity: ClientIdentity;

  constructor(context: BrokerContext, identity: ClientIdentity) {
    this.context = context;
    this.identity = identity;
  }

  abstract readonly whenFull: WhenFull;
  abstract get origin(): ClientSession | null;
  abstract ruledCode(): number;
  abstract refused(reasonCode: number, by: RefusedBy, why?: string): void;
  abstract published(reasonCode: number): void;
  /** Ends at once: a bug kept it from being refused. */
  abstract abandon(): void;

  get clientId(): string {
    return this.identity.clientId;
  }

  get asker(): Asker {
    return this;
  }

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

  work(step: Step): void {
    this.context.sink.background(() => {
      let isLeft = false;
      this.guard(() => (isLeft = step()));
      return isLeft;
    });
  }
}
