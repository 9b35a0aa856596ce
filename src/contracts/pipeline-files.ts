/** Which of a pipeline's settings name files. */
import type { FormatSettings, PipelineSettings, StageSettings } from './pipeline-settings.ts';

/** The same settings with what `at` gives in the place of each file that they name. */
export function mapFiles(settings: PipelineSettings, at: (file: string) => string): PipelineSettings {
  const inFormat = (format: FormatSettings): FormatSettings => {
    if (typeof format === 'string') return format;
    if ('protobuf' in format) return { protobuf: { ...format.protobuf, file: at(format.protobuf.file) } };
    return 'avro' in format ? { avro: { file: at(format.avro.file) } } : format;
  };
  const stages = settings.stages.map((stage): StageSettings => {
    const { decode, encode, convert, validate, script, plugin } = stage;
    if (decode !== undefined) return { ...stage, decode: inFormat(decode) };
    if (encode !== undefined) return { ...stage, encode: inFormat(encode) };
    if (convert !== undefined) {
      const from = convert.from === undefined ? {} : { from: inFormat(convert.from) };
      return { ...stage, convert: { ...from, to: inFormat(convert.to) } };
    }
    if (validate !== undefined) {
      const { jsonSchema, protobuf, avro } = validate;
      if (typeof jsonSchema === 'string') return { ...stage, validate: { jsonSchema: at(jsonSchema) } };
      if (protobuf !== undefined) return { ...stage, validate: { protobuf: { ...protobuf, file: at(protobuf.file) } } };
      return avro === undefined ? stage : { ...stage, validate: { avro: { file: at(avro.file) } } };
    }
    if (script !== undefined) return { ...stage, script: { ...script, file: at(script.file) } };
    return plugin === undefined ? stage : { ...stage, plugin: { ...plugin, file: at(plugin.file) } };
  });
  return { ...settings, stages };
}

export function filesIn(settings: PipelineSettings): readonly string[] {
  const files: string[] = [];
  mapFiles(settings, (file) => {
    files.push(file);
    return file;
  });
  return files;
}
