/** `validate`: by JSON Schema, or by whether Protobuf or Avro can have the value. */
import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { StageSettings } from '../../contracts/pipeline.ts';
import { PipelineError, StageFailure } from '../errors.ts';
import { avroFormat } from '../formats/avro.ts';
import { fromFile } from '../formats/formats.ts';
import { jsonable } from '../formats/json.ts';
import { protobufFormat } from '../formats/protobuf.ts';
import type { Stage, StageTools } from './stage.ts';

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
      ? fromFile([...path, 'protobuf'], () => protobufFormat(protobuf, limits))
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
