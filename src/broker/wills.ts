/**
 * Publishes a will that is due: it passes what a PUBLISH of its client would, in the name of that client.
 */
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { Prepared } from '../core/prepared.ts';
import { type PendingWill, publisherOf } from '../core/wills.ts';
import type { Message } from '../protocol/message.ts';
import type { Asker } from './awaiting.ts';
import { type Passage, pass } from './passage.ts';
import type { Shell } from './shell.ts';

/** `done` is called in the same go as the will is routed, or refused. */
export function publishWill(shell: Shell, message: Message, will: PendingWill, done: () => void): void {
  pass(new WillPassage(shell, message, will, done));
}

class WillPassage implements Passage, Asker {
  readonly isAbandoned = false;
  readonly isClosing = false;
  readonly shell: Shell;
  readonly message: Message;
  readonly identity: ClientIdentity;
  readonly #will: PendingWill;
  readonly #done: () => void;

  constructor(shell: Shell, message: Message, will: PendingWill, done: () => void) {
    this.shell = shell;
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
    this.shell.boundary.forAll('the will of a client that is gone', run);
  }

  refused(reasonCode: number, why?: string): void {
    this.shell.core.sink.willRefused(this.message, this.#will, reasonCode, why);
    this.#done();
  }

  passed(messages: readonly Prepared[]): void {
    const { core } = this.shell;
    // No Local goes by the client identifier, whose session may be another one by now. [MQTT5 3.8.3-3]
    const origin = core.directory.get(this.#will.clientId) ?? null;
    for (const { message, forms } of messages) core.publish(message, origin, forms);
    this.#done();
  }
}
