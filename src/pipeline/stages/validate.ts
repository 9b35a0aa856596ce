/** `validate`: by JSON Schema, or by whether Protobuf or Avro can have the value. */
import { Ajv, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { StageSettings } from '../../contracts/pipeline-settings.ts';
import { PipelineError, StageFailure } from '../errors.ts';
import type { Format } from '../formats/format.ts';
import { fromFile } from '../formats/formats.ts';
import { jsonable } from '../formats/json.ts';
import { schemaBytesMax } from './schema-bound.ts';
import type { Stage } from './stage.ts';
import type { StageTools } from './stage-tools.ts';

export function validateStage(settings: NonNullable<StageSettings['validate']>, tools: StageTools): Stage {
  const { formats, files, path } = tools;
  const { jsonSchema, protobuf, avro } = settings;
  if (jsonSchema !== undefined) {
    const at = [...path, 'jsonSchema'];
    const schema = fromFile(at, (): unknown => {
      return typeof jsonSchema === 'string' ? JSON.parse(files.read(jsonSchema)) : jsonSchema;
    });
    const validate = fromFile(at, () => compileSchema(schema as object, at));
    const bytesMax = schemaBytesMax(schema);
    return {
      isShort: ({ size }) => size <= bytesMax,
      run(item) {
        // The schema is one of JSON, so it sees what JSON would have: dates and binary as texts.
        if (validate(jsonable(item.value, () => {}, Number))) return true;
        const [error] = validate.errors ?? [];
        throw new StageFailure(`${error?.instancePath || 'the value'} ${error?.message ?? 'is not valid'}`);
      },
    };
  }
  const format = formats.of(protobuf !== undefined ? { protobuf } : { avro: avro! }, path) as Format;
  return {
    run(item) {
      // A value that is there already must fit; bytes must be readable.
      if (item.hasValue) format.encode(item.value, () => {});
      else format.decode(item.bytes);
      return true;
    },
  };
}

function compileSchema(schema: object, path: readonly (string | number)[]): ValidateFunction {
  const is2020 = String((schema as { $schema?: unknown }).$schema).includes('2020-12');
  // Values may hold more than JSON has, and formats are for annotation, as the newer drafts say.
  const ajv = new (is2020 ? Ajv2020 : Ajv)({ strict: false, validateFormats: false });
  try {
    return ajv.compile(schema);
  } catch (cause) {
    throw new PipelineError(path, `not a JSON Schema: ${(cause as Error).message}`, { cause });
  }
}
