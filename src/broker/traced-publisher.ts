/** Whoever publishes a message that has a span, which hears what becomes of it before them. */
import type { Step } from '../base/scheduler.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { WhenFull } from '../core/fan-out.ts';
import type { PacketId } from '../protocol/packets.ts';
import type { RefusedBy } from './journal.ts';
import type { Asker } from './late-answers.ts';
import type { PublishSpan } from './message-spans.ts';
import type { Publisher } from './publisher.ts';

export class TracedPublisher implements Publisher {
  readonly #publisher: Publisher;
  readonly #span: PublishSpan;

  constructor(publisher: Publisher, span: PublishSpan) {
    this.#publisher = publisher;
    this.#span = span;
  }

  get asker(): Asker {
    return this.#publisher.asker;
  }

  get origin(): ClientSession | null {
    return this.#publisher.origin;
  }

  get packetId(): PacketId {
    return this.#publisher.packetId ?? 0;
  }

  get willOf(): string | null {
    return this.#publisher.willOf ?? null;
  }

  get passesHooks(): boolean {
    return this.#publisher.passesHooks;
  }

  get bridgePipeline(): string | null {
    return this.#publisher.bridgePipeline ?? null;
  }

  get staysHere(): boolean {
    return this.#publisher.staysHere;
  }

  get waitsForDisk(): boolean {
    return this.#publisher.waitsForDisk;
  }

  get whenFull(): WhenFull {
    return this.#publisher.whenFull;
  }

  get isAbandoned(): boolean {
    return this.#publisher.isAbandoned;
  }

  ruledCode(): number {
    return this.#publisher.ruledCode();
  }

  refused(reasonCode: number, by: RefusedBy, why?: string, stage?: string): void {
    this.#span.refused(reasonCode, by, why);
    this.#publisher.refused(reasonCode, by, why, stage);
  }

  published(reasonCode: number): void {
    this.#span.published(reasonCode);
    this.#publisher.published(reasonCode);
  }

  work(step: Step): void {
    this.#publisher.work(step);
  }
}
