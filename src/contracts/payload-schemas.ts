/** Schemas by name, for whoever reads payloads without speaking MQTT: see `payloads.ts`. */
import * as z from 'zod';
import type { DeepReadonly } from '../base/freeze.ts';
import { avro, protobuf } from './pipeline-settings.ts';
import { topicFilter } from './values.ts';

/** Of schemas. */
const schemasMax = 1_000;

const payloadSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[\w.-]{1,100}$/, 'a name of letters, digits, dots, dashes and underscores')
      .describe('what `decode` names it by; of one kind, each has its own'),
    topics: z
      .array(topicFilter)
      .max(100)
      .default([])
      .describe('topics whose payloads `decode=auto` reads by it; of several schemas, the first counts'),
    protobuf: protobuf.optional().describe('a message of Protocol Buffers'),
    avro: avro.optional().describe('a schema of Avro'),
  })
  .refine((all) => (all.protobuf === undefined) !== (all.avro === undefined), { error: 'one of protobuf or avro' });

export type PayloadSchema = DeepReadonly<z.output<typeof payloadSchema>>;

const kindOf = ({ protobuf: isProtobuf }: PayloadSchema) => (isProtobuf === undefined ? 'avro' : 'protobuf');

export const payloadSchemas = z
  .array(payloadSchema)
  .max(schemasMax)
  .superRefine((all, context) => {
    const known = new Set<string>();
    for (const [index, schema] of all.entries()) {
      const name = `${kindOf(schema)}:${schema.name}`;
      if (known.has(name)) {
        context.addIssue({ code: 'custom', path: [index, 'name'], message: 'a name that no schema above has' });
      }
      known.add(name);
    }
  });

/** The same with what `at` gives in the place of its file. */
export function mapSchemaFile(schema: PayloadSchema, at: (file: string) => string): PayloadSchema {
  const { protobuf: ofProtobuf, avro: ofAvro } = schema;
  if (ofProtobuf !== undefined) return { ...schema, protobuf: { ...ofProtobuf, file: at(ofProtobuf.file) } };
  return ofAvro === undefined ? schema : { ...schema, avro: { file: at(ofAvro.file) } };
}
