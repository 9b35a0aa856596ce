/** Formats by their settings and by content type. */
import type { FormatSettings, PipelineLimits } from '../../contracts/pipeline-settings.ts';
import { PipelineError } from '../errors.ts';
import { avroFormat } from './avro.ts';
import { binary } from './binary.ts';
import { byteCodec } from './bytes.ts';
import { cbor } from './cbor.ts';
import type { ByteCodec, Format } from './format.ts';
import { json } from './json.ts';
import { msgpack } from './msgpack.ts';
import { protobufFormat } from './protobuf.ts';
import { SchemaFiles } from './schema-files.ts';
import { sparkplug } from './sparkplug.ts';
import { csv, text } from './text.ts';

type Path = readonly (string | number)[];

/** Throws a PipelineError. */
export function formatFor(
  settings: FormatSettings,
  limits: PipelineLimits,
  path: Path,
  files = new SchemaFiles(),
): Format | ByteCodec {
  switch (settings) {
    case 'json':
      return json(limits);
    case 'cbor':
      return cbor(limits);
    case 'msgpack':
      return msgpack(limits);
    case 'text':
      return text;
    case 'csv':
      return csv({ delimiter: ',', header: true }, limits);
    case 'sparkplug':
      return sparkplug(limits);
    case 'base64':
    case 'hex':
    case 'gzip':
    case 'deflate':
    case 'brotli':
      return byteCodec(settings, limits);
  }
  if ('binary' in settings) return binary(settings.binary, limits, [...path, 'binary']);
  if ('csv' in settings) return csv(settings.csv, limits);
  const [name, make] =
    'protobuf' in settings
      ? (['protobuf', () => protobufFormat(settings.protobuf, limits, files)] as const)
      : (['avro', () => avroFormat(settings.avro, limits, files)] as const);
  return fromFile([...path, name], make);
}

/** What goes wrong with a schema's file is the configuration's fault. */
export function fromFile<T>(path: Path, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    const { code, path: file, message } = cause as NodeJS.ErrnoException;
    throw new PipelineError(path, code === 'ENOENT' ? `there is no file ${file}` : message, { cause });
  }
}

const contentTypes = {
  json: ['json', 'application/json', 'text/json'],
  cbor: ['cbor', 'application/cbor'],
  msgpack: ['msgpack', 'application/vnd.msgpack', 'application/msgpack', 'application/x-msgpack'],
  sparkplug: ['sparkplug', 'application/vnd.eclipse.sparkplug-b'],
  csv: ['csv', 'text/csv'],
  text: ['text', 'text/plain'],
} as const;

/** All formats that a pipeline's messages may be in: by their settings, and those that need none by content type. */
export class KnownFormats {
  readonly default: Format;
  readonly #limits: PipelineLimits;
  readonly #files: SchemaFiles;
  readonly #byContentType = new Map<string, Format>();
  readonly #bySettings = new Map<string, Format | ByteCodec>();
  readonly #settings = new Map<Format | ByteCodec, FormatSettings>();

  constructor(limits: PipelineLimits, files = new SchemaFiles()) {
    this.#limits = limits;
    this.#files = files;
    for (const [name, types] of Object.entries(contentTypes)) {
      const format = this.of(name as keyof typeof contentTypes) as Format;
      for (const type of types) this.#byContentType.set(type, format);
    }
    this.default = this.of('json') as Format;
  }

  /** Throws a PipelineError. The same settings give the same object. */
  of(settings: FormatSettings, path: Path = []): Format | ByteCodec {
    const key = JSON.stringify(settings);
    let format = this.#bySettings.get(key);
    if (format === undefined) {
      format = formatFor(settings, this.#limits, path, this.#files);
      this.#bySettings.set(key, format);
      this.#settings.set(format, settings);
    }
    return format;
  }

  /** What `of` was given for it. */
  settingsOf(format: Format): FormatSettings {
    return this.#settings.get(format)!;
  }

  /** Parameters such as `; charset=utf-8` do not count, nor do capitals. `…+json` and `…+cbor` are what they end in. */
  byContentType(contentType: string): Format | null {
    const [type = ''] = contentType.toLowerCase().split(';');
    const name = type.trim();
    return this.#byContentType.get(name) ?? this.#byContentType.get(/\+(json|cbor)$/.exec(name)?.[1] ?? '') ?? null;
  }
}
