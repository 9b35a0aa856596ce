/**
 * Reads payloads for those who look on: streams of messages, lists, the dashboard. Its thread is its own, so whoever
 * looks on never holds up a pipeline. Nothing of the formats is loaded before the first payload that needs them.
 */
import { CommandFailure } from '../contracts/failures.ts';
import { type Decode, type PayloadDecoding, type PayloadReader, plainReaders } from '../contracts/payloads.ts';
import type { Decoder } from './decoder.ts';
import { type DecodingOptions, formatOfSchema, type KnownFormat } from './payload-formats.ts';

export class Decoding implements PayloadDecoding {
  readonly #options: DecodingOptions;
  readonly #known = new Map<Decode, KnownFormat>();
  #loading: Promise<Decoder> | null = null;
  #loaded: Decoder | null = null;
  #isClosed = false;

  /** Reads no file: `check` does. */
  constructor(options: DecodingOptions) {
    this.#options = options;
    for (const name of ['json', 'cbor', 'msgpack', 'sparkplug'] as const) {
      this.#known.set(name, { name, settings: name });
    }
    for (const schema of options.schemas) {
      const format = formatOfSchema(schema);
      this.#known.set(format.name, format);
    }
  }

  /** Rejects with a PipelineError if the file of a schema cannot be used. Later changes of files are not read. */
  async check(): Promise<void> {
    if (this.#options.schemas.length > 0) await this.#load();
  }

  reader(decode: Decode, reader: string): PayloadReader {
    const plain = plainReaders[decode];
    if (plain !== undefined) return plain;
    const wanted = decode === 'auto' ? null : this.#known.get(decode);
    if (wanted === undefined) {
      throw new CommandFailure(
        'conflict',
        `There is no schema ${decode}: payloadSchemas of the configuration has none`,
      );
    }
    return (message) => {
      const decoder = this.#loaded;
      if (decoder !== null) return decoder.read(message, wanted, reader);
      return this.#load().then((loaded) => loaded.read(message, wanted, reader));
    };
  }

  #load(): Promise<Decoder> {
    this.#loading ??= import('./decoder.ts').then(({ Decoder: Loaded }) => {
      const decoder = new Loaded(this.#options);
      if (this.#isClosed) decoder.close();
      this.#loaded = decoder;
      return decoder;
    });
    return this.#loading;
  }

  /** What is being read is given as it is. */
  close(): void {
    this.#isClosed = true;
    this.#loaded?.close();
  }
}
