/** The formats that a subscriber may ask for with the user property `accept` in SUBSCRIBE. */
import type { PublishedMessage } from '../contracts/hooks.ts';
import type { PipelineLimits } from '../contracts/pipeline.ts';
import { StageFailure } from './errors.ts';
import { KnownFormats } from './formats/formats.ts';
import { Item } from './item.ts';

export class AcceptedFormats {
  readonly #formats: KnownFormats;
  readonly #limits: PipelineLimits;

  constructor(limits: PipelineLimits) {
    this.#formats = new KnownFormats(limits);
    this.#limits = limits;
  }

  /** The content type of the first format in a list as HTTP's `Accept` has it, or null if none is known. */
  first(accept: string): string | null {
    for (const each of accept.split(',')) {
      const format = this.#formats.byContentType(each);
      if (format !== null) return format.contentType;
    }
    return null;
  }

  /** A payload that cannot be read, or not written in that format, stays as it is; its content type tells. */
  convert(message: PublishedMessage, contentType: string): PublishedMessage {
    if (message.contentType === contentType) return message;
    const format = this.#formats.byContentType(contentType);
    if (format === null || message.payload.length === 0) return message;
    const item = new Item(message, { formats: this.#formats, limits: this.#limits, loss: () => {} });
    try {
      item.encode(format);
    } catch (error) {
      if (error instanceof StageFailure || error instanceof TypeError || error instanceof RangeError) return message;
      throw error;
    }
    return { ...message, ...item.toChange() };
  }
}
