/** `decode`, `encode`, `convert`, `validate`. */
import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { FormatSettings, StageSettings } from '../../contracts/pipeline.ts';
import { PipelineError, StageFailure } from '../errors.ts';
import { avroFormat } from '../formats/avro.ts';
import type { ByteCodec, Format } from '../formats/format.ts';
import { formatFor, fromFile } from '../formats/formats.ts';
import { jsonable } from '../formats/json.ts';
import { protobufFormat } from '../formats/protobuf.ts';
import type { Item } from '../item.ts';
import type { Stage, StageTools } from './stage.ts';

function decode(item: Item, from: Format | ByteCodec): void {
  if (from.kind === 'format') return item.decode(from);
  item.bytes = from.decode(item.bytes);
  if (item.contentType === from.contentType) item.contentType = undefined;
  item.payloadFormatIndicator = undefined;
}

function encode(item: Item, to: Format | ByteCodec): void {
  if (to.kind === 'format') return item.encode(to);
  item.bytes = to.encode(item.bytes);
  if (to.contentType !== null) item.contentType = to.contentType;
  item.payloadFormatIndicator = to.isText ? true : undefined;
}

export function decodeStage(settings: FormatSettings, { limits, path }: StageTools): Stage {
  const from = formatFor(settings, limits, path);
  return {
    run(item) {
      decode(item, from);
      return true;
    },
  };
}

export function encodeStage(settings: FormatSettings, { limits, path }: StageTools): Stage {
  const to = formatFor(settings, limits, path);
  return {
    run(item) {
      encode(item, to);
      return true;
    },
  };
}

export function convertStage(settings: NonNullable<StageSettings['convert']>, { limits, path }: StageTools): Stage {
  const from = settings.from === undefined ? null : formatFor(settings.from, limits, [...path, 'from']);
  const to = formatFor(settings.to, limits, [...path, 'to']);
  return {
    run(item) {
      if (from !== null) decode(item, from);
      encode(item, to);
      return true;
    },
  };
}

export function validateStage(settings: NonNullable<StageSettings['validate']>, { limits, path }: StageTools): Stage {
  const { jsonSchema, protobuf, avro } = settings;
  if (jsonSchema !== undefined) {
    const at = [...path, 'jsonSchema'];
    const validate = fromFile(at, () => compileSchema(jsonSchema, at));
    return {
      run(item) {
        // The schema is one of JSON, so it sees what JSON would have: dates and binary as texts.
        if (validate(jsonable(item.value, () => {}, Number))) return true;
        const [error] = validate.errors ?? [];
        throw new StageFailure(`${error?.instancePath || 'the value'} ${error?.message ?? 'is not valid'}`);
      },
    };
  }
  const format =
    protobuf !== undefined
      ? fromFile([...path, 'protobuf'], () => protobufFormat(protobuf))
      : fromFile([...path, 'avro'], () => avroFormat(avro!, limits));
  return {
    run(item) {
      // A value that is there already must fit; bytes must be readable.
      if (item.hasValue) format.encode(item.value, () => {});
      else format.decode(item.bytes);
      return true;
    },
  };
}

function compileSchema(jsonSchema: string | object, path: readonly (string | number)[]): ValidateFunction {
  const schema = typeof jsonSchema === 'string' ? JSON.parse(readFileSync(jsonSchema, 'utf8')) : jsonSchema;
  const is2020 = String((schema as { $schema?: unknown }).$schema).includes('2020-12');
  // Values may hold more than JSON has, and formats are for annotation, as the newer drafts say.
  const ajv = new (is2020 ? Ajv2020 : Ajv)({ strict: false, validateFormats: false });
  try {
    return ajv.compile(schema);
  } catch (cause) {
    throw new PipelineError(path, `not a JSON Schema: ${(cause as Error).message}`, { cause });
  }
}
