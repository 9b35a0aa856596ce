/**
 * A subscriber within the process: `broker.subscribe` of the library. To the core it is a session like any other, whose
 * channel calls a function instead of writing to a socket.
 */
import type { Share } from '../base/scheduler.ts';
import type { PublishHeader } from '../codec/publish.ts';
import type { PublishedMessage } from '../contracts/hooks.ts';
import { subscribe } from '../core/handlers/subscribe.ts';
import { attach, disconnected, ready } from '../core/lifecycle.ts';
import { asPublished } from '../core/prepared.ts';
import type { Session } from '../core/session.ts';
import type { Message } from '../protocol/message.ts';
import { parseFilter } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import type { ClientChannel } from './client-channel.ts';
import { opened } from './pipeline-messages.ts';

/** One that throws, or whose promise rejects, is logged; it gets the next message all the same. */
export type MessageHandler = (message: PublishedMessage) => unknown;

let lastNumber = 0;

export class LocalClient implements ClientChannel {
  heldAnswers = 0;
  readonly clientId = undefined;
  readonly share: Share;
  readonly #context: BrokerContext;
  readonly #filter: string;
  readonly #handler: MessageHandler;
  readonly #session: Session;
  #waiting: { message: Message; retain: boolean }[] = [];

  /** Throws if `topicFilter` is not valid. */
  constructor(context: BrokerContext, topicFilter: string, handler: MessageHandler) {
    const parsed = parseFilter(topicFilter, context.settings.limits);
    if (parsed === null) throw new TypeError(`Not a valid topic filter: ${JSON.stringify(topicFilter)}`);
    this.#context = context;
    this.share = context.scheduler.share();
    this.#filter = topicFilter;
    this.#handler = handler;
    context.advanceClock();
    const session = attach(context.core, `\0local/${++lastNumber}`, this);
    this.#session = session;
    // QoS 0: within the process nothing is lost on the way, so there is nothing to acknowledge.
    const options = { qos: 0, noLocal: false, retainAsPublished: true, retainHandling: 0, identifier: 0 } as const;
    const subscriberClass = asPublished;
    subscribe(context.core, session, topicFilter, parsed, { ...options, subscriberClass });
    ready(context.core, session);
  }

  fits(): boolean {
    return true;
  }

  /** The handler is called at the end of the round, when the core is at rest. */
  sendPublish(message: Message, header: PublishHeader): void {
    if (this.#waiting.length === 0) this.#context.outgoing.touch(this);
    this.#waiting.push({ message: message.keep(), retain: header.retain });
  }

  sendAck(): void {}

  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { message, retain } of waiting) {
      // A handler may have ended the subscription.
      if (this.#session.channel !== this) return;
      const { boundary } = this.#context;
      boundary.callProgram(`handler of ${this.#filter}`, () => this.#handler({ ...opened(message), retain }));
    }
  }

  fail(): void {
    this.close();
  }

  endByBug(): void {
    this.close();
  }

  abandon(): void {
    this.close();
  }

  close(): void {
    this.#waiting = [];
    if (this.#session.channel !== this) return;
    this.#context.advanceClock();
    disconnected(this.#context.core, this.#session, false);
  }
}
