/**
 * Formats of a pipeline for tests, by name: those without settings, and those with a schema for one kind of record, a
 * reading.
 */
import { join } from 'node:path';

export const schemas = join(import.meta.dirname, 'schemas');

export const readingFormats = {
  json: 'json',
  cbor: 'cbor',
  msgpack: 'msgpack',
  csv: 'csv',
  sparkplug: 'sparkplug',
  protobuf: { protobuf: { file: join(schemas, 'reading.proto'), type: 'plant.Reading' } },
  avro: { avro: { file: join(schemas, 'reading.avsc') } },
} as const;
