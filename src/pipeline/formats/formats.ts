/** Formats by their settings and by content type. */
import type { FormatSettings, PipelineLimits } from '../../contracts/pipeline.ts';
import { PipelineError } from '../errors.ts';
import { avroFormat } from './avro.ts';
import { binary } from './binary.ts';
import { byteCodec } from './bytes.ts';
import { cbor } from './cbor.ts';
import type { ByteCodec, Format } from './format.ts';
import { json } from './json.ts';
import { msgpack } from './msgpack.ts';
import { protobufFormat } from './protobuf.ts';
import { sparkplug } from './sparkplug.ts';
import { csv, text } from './text.ts';

type Path = readonly (string | number)[];

/** Throws a PipelineError. */
export function formatFor(settings: FormatSettings, limits: PipelineLimits, path: Path): Format | ByteCodec {
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
      ? (['protobuf', () => protobufFormat(settings.protobuf, limits)] as const)
      : (['avro', () => avroFormat(settings.avro, limits)] as const);
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

/** Formats that need no settings, by the content types that name them. */
export class KnownFormats {
  readonly #byContentType: ReadonlyMap<string, Format>;
  readonly default: Format;

  constructor(limits: PipelineLimits) {
    this.default = json(limits);
    const known: readonly (readonly [Format, ...string[]])[] = [
      [this.default, 'json', 'application/json', 'text/json'],
      [cbor(limits), 'cbor', 'application/cbor'],
      [msgpack(limits), 'msgpack', 'application/vnd.msgpack', 'application/msgpack', 'application/x-msgpack'],
      [sparkplug(limits), 'sparkplug', 'application/vnd.eclipse.sparkplug-b'],
      [csv({ delimiter: ',', header: true }, limits), 'csv', 'text/csv'],
      [text, 'text', 'text/plain'],
    ];
    const entries = known.flatMap(([format, ...types]) => types.map((type) => [type, format] as const));
    this.#byContentType = new Map(entries);
  }

  /** Parameters such as `; charset=utf-8` do not count, nor do capitals. `…+json` and `…+cbor` are what they end in. */
  byContentType(contentType: string): Format | null {
    const [type = ''] = contentType.toLowerCase().split(';');
    const name = type.trim();
    return this.#byContentType.get(name) ?? this.#byContentType.get(/\+(json|cbor)$/.exec(name)?.[1] ?? '') ?? null;
  }
}
