/**
 * Publishes in the name of a user who has no connection: a command of a key that publishes under the rules of one. Its
 * messages pass what a PUBLISH of that user would.
 */
import type { Rights } from '../contracts/access.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { Message } from '../protocol/message.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { isClosedToClients } from '../protocol/topic.ts';
import { AbsentPublisher } from './absent-publisher.ts';
import type { BrokerContext } from './broker-context.ts';
import type { RefusedBy } from './journal.ts';
import { isPiped } from './pipeline-messages.ts';
import { publish, ruledCode } from './publish.ts';

export interface User {
  readonly identity: ClientIdentity;
  /** Null: everything is allowed. */
  readonly rights: Rights | null;
}

/** What becomes of it: `reason` in the words of whoever refused it, if there are any. */
export type UserPublished = (reasonCode: number, reason: string | null) => void;

/** `done` is called once, at once or later, when the message has reached everybody or is refused. */
export function publishAs(context: BrokerContext, user: User, message: Message, done: UserPublished): void {
  const publisher = new UserPublisher(context, user, message, done);
  publisher.guard(() => {
    const [code, by] = refusalOf(context, user, message);
    if (isFailure(code)) publisher.refused(code, by);
    else publish(publisher, message);
  });
}

function refusalOf(context: BrokerContext, user: User, message: Message): [code: number, by: RefusedBy] {
  const { settings, storeHealth, core, pipeline } = context;
  const { topic, qos, retain } = message;
  if (qos > settings.maximumQoS) return [ReasonCode.QoSNotSupported, 'rules'];
  if (retain && !settings.retainAvailable) return [ReasonCode.RetainNotSupported, 'rules'];
  if (isClosedToClients(topic.name, settings.allowedDollarPrefixes)) return [ReasonCode.NotAuthorized, 'closedTopic'];
  // It would wait for a disk that takes nothing.
  if (storeHealth.isFailing && (isPiped(pipeline, topic) || core.mustStore(message, null))) {
    return [ReasonCode.QuotaExceeded, 'disk'];
  }
  return [ruledCode(user, message), 'rules'];
}

/** There is no connection that a bug on the way could cost: the message is refused. */
class UserPublisher extends AbsentPublisher {
  readonly whenFull = 'refuse';
  readonly origin = null;
  readonly #user: User;
  readonly #message: Message;
  readonly #done: UserPublished;
  #isOver = false;

  constructor(context: BrokerContext, user: User, message: Message, done: UserPublished) {
    super(context, user.identity);
    this.#user = user;
    this.#message = message;
    this.#done = done;
  }

  abandon(): void {
    this.#end(ReasonCode.ImplementationSpecificError, 'internal error');
  }

  ruledCode(): number {
    return ruledCode(this.#user, this.#message);
  }

  refused(reasonCode: number, by: RefusedBy, why?: string): void {
    if (this.#isOver) return;
    const { counters, journal } = this.context;
    counters.publishRefused++;
    journal.ownRefused(this.#message, reasonCode, by);
    this.#end(reasonCode, why ?? null);
  }

  published(reasonCode: number): void {
    if (isFailure(reasonCode)) this.refused(reasonCode, 'room');
    else this.#end(reasonCode, null);
  }

  #end(reasonCode: number, reason: string | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#done(reasonCode, reason);
  }
}
