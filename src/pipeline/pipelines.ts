/**
 * All pipelines of a broker: which of them a message goes through, and in what order. A message meets the parts one after the
 * other; each takes it if its filter matches the topic that the message has by then.
 *
 * What the stages need (codecs, expressions, the sandbox) is loaded when a configuration first names a stage: a broker without
 * pipelines pays neither time nor memory for it.
 */
import type { Awaitable, ClientIdentity, PublishedMessage, PublishVerdict } from '../contracts/hooks.ts';
import type { Log } from '../contracts/log.ts';
import type {
  DeliverVerdict,
  MessagePipeline,
  PipelineLimits,
  PipelineSettings,
  QuarantinedMessage,
  QuarantineStore,
} from '../contracts/pipeline.ts';
import type { UserProperties } from '../protocol/packets.ts';
import { matches } from '../protocol/topic.ts';
import type { AcceptedFormats } from './accept.ts';
import { PipelineError, Rejection } from './errors.ts';
import type { Part, PartContext } from './part.ts';
import type { Pipeline, PipelineOptions } from './pipeline.ts';

export interface PipelinesOptions {
  readonly limits: PipelineLimits;
  readonly log: Log;
  readonly quarantine: QuarantineStore;
  readonly now: () => number;
}

/** Publishes what a stage had held back, past the pipelines. */
export type Emit = (message: PublishedMessage) => void;

const keep = { verdict: 'keep' } as const;
const drop = { verdict: 'drop' } as const;

/** Between the names of a class's pipelines, and before the content type it wants; neither is in a name. */
const nameSeparator = ',';
const acceptSeparator = ';';

export class Pipelines implements MessagePipeline {
  generation = 0;
  readonly #options: PipelinesOptions;
  #configured: readonly Pipeline[] = [];
  #used: readonly Part[] = [];
  #accepted: AcceptedFormats | null = null;
  #quarantineDropped = 0;
  #emit: Emit = () => {};

  constructor(options: PipelinesOptions) {
    this.#options = options;
  }

  /** Where messages go that a stage had held back. */
  set emit(emit: Emit) {
    this.#emit = emit;
  }

  get configured(): readonly Pipeline[] {
    return this.#configured;
  }

  /**
   * Puts these in the place of what was configured. Those whose settings are the same stay as they are, with what their stages
   * remember. Rejects with a PipelineError, and then nothing has changed.
   */
  async configure(settings: readonly PipelineSettings[]): Promise<void> {
    const before = this.#configured;
    const next: Pipeline[] = [];
    const made: Pipeline[] = [];
    try {
      for (const [index, each] of settings.entries()) {
        const text = JSON.stringify(each);
        const same = before.find((pipeline) => JSON.stringify(pipeline.settings) === text && !next.includes(pipeline));
        // Files that it names may have changed.
        if (same !== undefined && !text.includes('"file"') && !text.includes('"jsonSchema":"')) next.push(same);
        else {
          const pipeline = await this.#create(each, index);
          made.push(pipeline);
          next.push(pipeline);
        }
      }
    } catch (error) {
      for (const pipeline of made) pipeline.close();
      throw error;
    }
    this.#configured = next;
    this.generation++;
    for (const pipeline of before) if (!next.includes(pipeline)) await this.#end(pipeline);
  }

  async #create(settings: PipelineSettings, index: number): Promise<Pipeline> {
    const { Pipeline: Loaded } = await import('./pipeline.ts');
    const { limits, log, now } = this.#options;
    const options: PipelineOptions = { limits, log, now, quarantine: (entry) => this.#quarantine(entry) };
    try {
      return await Loaded.create(settings, options);
    } catch (error) {
      if (!(error instanceof PipelineError)) throw error;
      throw new PipelineError(['pipelines', index, ...error.path], error.message, { cause: error.cause });
    }
  }

  /** What it had held back is published. */
  async #end(pipeline: Pipeline): Promise<void> {
    const context = { client: null, now: this.#options.now(), original: null };
    try {
      for (const message of await pipeline.drain(context)) this.#emit(message);
    } catch (error) {
      this.#options.log.error({ pipeline: pipeline.name, err: error }, 'what a pipeline had held back is lost');
    }
    pipeline.close();
  }

  /** Adds a part behind those that are there; returns a function that takes it out again. */
  use(...parts: readonly Part[]): () => void {
    this.#used = [...this.#used, ...parts];
    this.generation++;
    return () => {
      this.#used = this.#used.filter((part) => !parts.includes(part));
      this.generation++;
      for (const part of parts) part.close();
    };
  }

  #quarantine(entry: QuarantinedMessage): void {
    const dropped = this.#options.quarantine.put(entry);
    if (dropped > 0 && this.#quarantineDropped === 0) {
      this.#options.log.warn({}, 'the quarantine is full (pipelineLimits): the oldest messages in it are given up');
    }
    this.#quarantineDropped += dropped;
  }

  *#parts(on: 'publish' | 'deliver'): Generator<Part> {
    for (const part of this.#configured) if (part.on === on) yield part;
    for (const part of this.#used) if (part.on === on) yield part;
  }

  // Publishing

  concerns(topicName: string): boolean {
    for (const { filter } of this.#parts('publish')) if (filter === null || matches(filter, topicName)) return true;
    return false;
  }

  onPublish(client: ClientIdentity | null, message: PublishedMessage): Awaitable<PublishVerdict> {
    const context = { client, now: this.#options.now(), original: message };
    try {
      const messages = through([...this.#parts('publish')], 0, message, context);
      if (!(messages instanceof Promise)) return verdictOf(messages, message);
      return messages.then((settled) => verdictOf(settled, message), rejected);
    } catch (error) {
      return rejected(error);
    }
  }

  /** Looks at the clock: what was held back and is due now is published. Called about ten times a second. */
  tick(): void {
    const context: PartContext = { client: null, now: this.#options.now(), original: null };
    for (const pipeline of this.#configured) {
      const due = pipeline.due(context);
      if (due instanceof Promise)
        due.then(
          (messages) => messages.forEach(this.#emit),
          () => {},
        );
      else due.forEach(this.#emit);
    }
  }

  /** Publishes everything that is held back, due or not. */
  async flush(): Promise<void> {
    const context: PartContext = { client: null, now: this.#options.now(), original: null };
    for (const pipeline of this.#configured) for (const message of await pipeline.drain(context)) this.#emit(message);
  }

  // Delivering

  classify(client: ClientIdentity, userProperties: UserProperties): Awaitable<string | null> {
    const names = [...this.#parts('deliver')].filter((part) => isFor(part, client)).map(({ name }) => name);
    const accept = userProperties.findLast(([name]) => name === 'accept')?.[1];
    if (accept === undefined) return names.length === 0 ? null : names.join(nameSeparator);
    return this.#formats().then((formats) => {
      const contentType = formats.first(accept);
      if (contentType === null) {
        const what = `accept: ${accept} names no format that can be written without a schema; messages stay as they are`;
        this.#options.log.warn({ client: client.clientId }, what);
        return names.length === 0 ? null : names.join(nameSeparator);
      }
      return `${names.join(nameSeparator)}${acceptSeparator}${contentType}`;
    });
  }

  reclassify(client: ClientIdentity, subscriberClass: string | null): Awaitable<string | null> {
    const [, accept] = subscriberClass?.split(acceptSeparator) ?? [];
    return this.classify(client, accept === undefined ? [] : [['accept', accept]]);
  }

  async #formats(): Promise<AcceptedFormats> {
    const { AcceptedFormats: Loaded } = await import('./accept.ts');
    return (this.#accepted ??= new Loaded(this.#options.limits));
  }

  onDeliver(message: PublishedMessage, subscriberClass: string): Awaitable<DeliverVerdict> {
    const [names = '', accept] = subscriberClass.split(acceptSeparator);
    const wanted = names.split(nameSeparator);
    const parts = [...this.#parts('deliver')].filter(({ name }) => wanted.includes(name));
    const context = { client: null, now: this.#options.now(), original: message };
    const finish = (messages: readonly PublishedMessage[]): Awaitable<DeliverVerdict> => {
      const [made] = messages;
      if (made === undefined) return drop;
      if (accept === undefined) return made === message ? keep : { verdict: 'change', message: made };
      if (this.#accepted === null) return this.#formats().then(() => finish(messages));
      const converted = this.#accepted.convert(made, accept);
      return converted === message ? keep : { verdict: 'change', message: converted };
    };
    try {
      const messages = through(parts, 0, message, context);
      return messages instanceof Promise ? messages.then(finish, dropped) : finish(messages);
    } catch (error) {
      return dropped(error);
    }
  }

  /** For $SYS: name below `pipelines/`, and value. */
  *statistics(): Generator<[string, number]> {
    for (const pipeline of this.#configured) {
      for (const { name, counters, durations } of pipeline.stages) {
        const at = `${pipeline.name}/${name.replace(' ', '-')}`;
        for (const [what, count] of Object.entries(counters)) yield [`${at}/${what}`, count];
        yield [`${at}/p99 microseconds`, Math.round(durations.percentile(99))];
        durations.reset();
      }
    }
    const { quarantine } = this.#options;
    if (this.#configured.length === 0 && quarantine.count === 0) return;
    yield ['quarantine/messages', quarantine.count];
    yield ['quarantine/bytes', quarantine.bytes];
    yield ['quarantine/dropped', this.#quarantineDropped];
  }

  async close(): Promise<void> {
    for (const pipeline of this.#configured) await this.#end(pipeline);
    this.#configured = [];
    for (const part of this.#used) part.close();
    this.#used = [];
  }
}

/** The message through the parts from `from` on, as far as their filters match. */
function through(
  parts: readonly Part[],
  from: number,
  message: PublishedMessage,
  context: PartContext,
): Awaitable<readonly PublishedMessage[]> {
  for (let i = from; i < parts.length; i++) {
    const part = parts[i]!;
    if (part.filter !== null && !matches(part.filter, message.topic)) continue;
    const made = part.run(message, context);
    if (made instanceof Promise) return made.then((settled) => throughEach(parts, i + 1, settled, context));
    if (made.length !== 1) return throughEach(parts, i + 1, made, context);
    message = made[0]!;
  }
  return [message];
}

/** One after the other, so that their order holds. */
function throughEach(
  parts: readonly Part[],
  from: number,
  messages: readonly PublishedMessage[],
  context: PartContext,
): Awaitable<readonly PublishedMessage[]> {
  const out: PublishedMessage[] = [];
  for (const [index, message] of messages.entries()) {
    const made = through(parts, from, message, context);
    if (!(made instanceof Promise)) {
      out.push(...made);
      continue;
    }
    return made.then(async (first) => {
      return [...out, ...first, ...(await throughEach(parts, from, messages.slice(index + 1), context))];
    });
  }
  return out;
}

function verdictOf(messages: readonly PublishedMessage[], original: PublishedMessage): PublishVerdict {
  if (messages.length === 0) return drop;
  if (messages.length > 1) return { verdict: 'split', messages };
  return messages[0] === original ? keep : { verdict: 'change', change: messages[0]! };
}

function rejected(error: unknown): PublishVerdict {
  if (!(error instanceof Rejection)) throw error;
  const { reasonCode, message: reason } = error;
  return { verdict: 'reject', reasonCode, ...(reason === '' ? {} : { reason }) };
}

/** Nobody can be told of a rejection any more; the stage has counted it. */
function dropped(error: unknown): DeliverVerdict {
  if (error instanceof Rejection) return drop;
  throw error;
}

function isFor({ for: wanted }: Part, client: ClientIdentity): boolean {
  if (wanted === undefined) return true;
  const { username, clientId, listener } = wanted;
  return fits(username, client.username) && fits(clientId, client.clientId) && fits(listener, client.listener);
}

/** `*` stands for any characters. */
function fits(pattern: string | undefined, text: string | null): boolean {
  if (pattern === undefined) return true;
  if (text === null) return false;
  const parts = pattern.split('*');
  if (parts.length === 1) return pattern === text;
  const [first, last] = [parts[0]!, parts.at(-1)!];
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return at <= text.length - last.length;
}
