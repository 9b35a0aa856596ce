/** The formats that a subscriber may ask for with the user property `accept` in SUBSCRIBE. */
import type { Awaitable, PublishedMessage } from '../contracts/hooks.ts';
import type { PipelineLimits } from '../contracts/pipeline-settings.ts';
import { StageFailure } from './errors.ts';
import type { Format } from './formats/format.ts';
import { KnownFormats } from './formats/formats.ts';
import { SchemaFiles } from './formats/schema-files.ts';
import { Item, type ItemTools } from './item.ts';
import { loopBytes, loopLimitsOf } from './loop-limits.ts';
import { partContext } from './part.ts';
import { hereOrThere } from './thread/offloading.ts';
import type { StageThread, ThreadStage } from './thread/stage-thread.ts';

/** A subscriber may list this many. */
const namesMax = 32;

export class AcceptedFormats {
  readonly #tools: ItemTools;
  readonly #thread: StageThread;
  /** By the format that they write. */
  readonly #inThread = new Map<Format, ThreadStage>();

  constructor(limits: PipelineLimits, thread: StageThread) {
    const loopLimits = loopLimitsOf(limits);
    this.#tools = { formats: new KnownFormats(loopLimits), limits: loopLimits, configured: limits };
    this.#thread = thread;
  }

  /** The content type of the first format in a list as HTTP's `Accept` has it, or null if none is known. */
  first(accept: string): string | null {
    for (const each of accept.split(',', namesMax)) {
      const format = this.#tools.formats.byContentType(each);
      if (format !== null) return format.contentType;
    }
    return null;
  }

  /** A payload that cannot be read, or not written in that format, stays as it is; its content type tells. */
  convert(message: PublishedMessage, contentType: string): Awaitable<PublishedMessage> {
    if (message.contentType === contentType) return message;
    const format = this.#tools.formats.byContentType(contentType);
    if (format === null || message.payload.length === 0) return message;
    const item = new Item(message, this.#tools);
    const converted = () => ({ ...message, ...item.toChange() });
    const asItIs = (error: unknown) => {
      if (error instanceof StageFailure || error instanceof TypeError || error instanceof RangeError) return message;
      throw error;
    };
    try {
      const writing = hereOrThere<unknown>(
        item.size <= loopBytes,
        () => item.encode(format),
        () => this.#thread.run(this.#stageFor(format), item, partContext(0)),
      );
      return writing instanceof Promise ? writing.then(converted).catch(asItIs) : converted();
    } catch (error) {
      return asItIs(error);
    }
  }

  #stageFor(format: Format): ThreadStage {
    let stage = this.#inThread.get(format);
    if (stage === undefined) {
      const to = this.#tools.formats.settingsOf(format);
      stage = { settings: { convert: { to } }, limits: this.#tools.configured, files: new SchemaFiles() };
      this.#inThread.set(format, stage);
    }
    return stage;
  }
}
