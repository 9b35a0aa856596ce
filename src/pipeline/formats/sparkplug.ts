/**
 * Sparkplug B payloads (Eclipse Sparkplug 3.0, 6.4), read into what a person would write: `{ timestamp, seq, metrics:
 * [{ name, alias, timestamp, type: 'Int32', value }] }`. Data sets, templates and property sets stay as the
 * specification's messages, and arrays as its bytes. In data messages devices leave the type out, because the birth
 * certificate had it; then `field` tells where the value stood, so that it can be written there again.
 */
import protobuf from 'protobufjs';
import type { PipelineLimits } from '../../contracts/pipeline-settings.ts';
import { StageFailure } from '../errors.ts';
import type { Format } from './format.ts';
import { formatOf } from './protobuf.ts';

/** The messages of the specification's appendix, field by field. */
const schema = `
syntax = "proto2";
message Payload {
  optional uint64 timestamp = 1;
  repeated Metric metrics = 2;
  optional uint64 seq = 3;
  optional string uuid = 4;
  optional bytes body = 5;
}
message Metric {
  optional string name = 1;
  optional uint64 alias = 2;
  optional uint64 timestamp = 3;
  optional uint32 datatype = 4;
  optional bool is_historical = 5;
  optional bool is_transient = 6;
  optional bool is_null = 7;
  optional MetaData metadata = 8;
  optional PropertySet properties = 9;
  oneof value {
    uint32 int_value = 10;
    uint64 long_value = 11;
    float float_value = 12;
    double double_value = 13;
    bool boolean_value = 14;
    string string_value = 15;
    bytes bytes_value = 16;
    DataSet dataset_value = 17;
    Template template_value = 18;
  }
}
message MetaData {
  optional bool is_multi_part = 1;
  optional string content_type = 2;
  optional uint64 size = 3;
  optional uint64 seq = 4;
  optional string file_name = 5;
  optional string file_type = 6;
  optional string md5 = 7;
  optional string description = 8;
}
message PropertyValue {
  optional uint32 type = 1;
  optional bool is_null = 2;
  oneof value {
    uint32 int_value = 3;
    uint64 long_value = 4;
    float float_value = 5;
    double double_value = 6;
    bool boolean_value = 7;
    string string_value = 8;
    PropertySet propertyset_value = 9;
    PropertySetList propertysets_value = 10;
  }
}
message PropertySet { repeated string keys = 1; repeated PropertyValue values = 2; }
message PropertySetList { repeated PropertySet propertyset = 1; }
message DataSet {
  optional uint64 num_of_columns = 1;
  repeated string columns = 2;
  repeated uint32 types = 3;
  repeated Row rows = 4;
}
message Row { repeated DataSetValue elements = 1; }
message DataSetValue {
  oneof value {
    uint32 int_value = 1;
    uint64 long_value = 2;
    float float_value = 3;
    double double_value = 4;
    bool boolean_value = 5;
    string string_value = 6;
  }
}
message Template {
  optional string version = 1;
  repeated Metric metrics = 2;
  repeated Parameter parameters = 3;
  optional string template_ref = 4;
  optional bool is_definition = 5;
}
message Parameter {
  optional string name = 1;
  optional uint32 type = 2;
  oneof value {
    uint32 int_value = 3;
    uint64 long_value = 4;
    float float_value = 5;
    double double_value = 6;
    bool boolean_value = 7;
    string string_value = 8;
  }
}`;

/** Data types by number, and the field of `Metric` that holds each. */
const dataTypes: Readonly<Record<number, readonly [name: string, field: string, bits?: number]>> = {
  1: ['Int8', 'int_value', 8],
  2: ['Int16', 'int_value', 16],
  3: ['Int32', 'int_value', 32],
  4: ['Int64', 'long_value', 64],
  5: ['UInt8', 'int_value'],
  6: ['UInt16', 'int_value'],
  7: ['UInt32', 'int_value'],
  8: ['UInt64', 'long_value'],
  9: ['Float', 'float_value'],
  10: ['Double', 'double_value'],
  11: ['Boolean', 'boolean_value'],
  12: ['String', 'string_value'],
  13: ['DateTime', 'long_value'],
  14: ['Text', 'string_value'],
  15: ['UUID', 'string_value'],
  16: ['DataSet', 'dataset_value'],
  17: ['Bytes', 'bytes_value'],
  18: ['File', 'bytes_value'],
  19: ['Template', 'template_value'],
  22: ['Int8Array', 'bytes_value'],
  23: ['Int16Array', 'bytes_value'],
  24: ['Int32Array', 'bytes_value'],
  25: ['Int64Array', 'bytes_value'],
  26: ['UInt8Array', 'bytes_value'],
  27: ['UInt16Array', 'bytes_value'],
  28: ['UInt32Array', 'bytes_value'],
  29: ['UInt64Array', 'bytes_value'],
  30: ['FloatArray', 'bytes_value'],
  31: ['DoubleArray', 'bytes_value'],
  32: ['BooleanArray', 'bytes_value'],
  33: ['StringArray', 'bytes_value'],
  34: ['DateTimeArray', 'bytes_value'],
};
const numberOfType = new Map(Object.entries(dataTypes).map(([number, [name]]) => [name, Number(number)]));
const valueFields = [...new Set(Object.values(dataTypes).map(([, field]) => field))];

type Fields = Record<string, unknown>;

const payloadType = protobuf.parse(schema, { keepCase: true }).root.lookupType('Payload');

export function sparkplug(limits: PipelineLimits): Format {
  const inner = formatOf('sparkplug', payloadType, false, limits);
  return {
    ...inner,
    contentType: 'application/vnd.eclipse.sparkplug-b',
    decode(bytes) {
      const payload = inner.decode(bytes) as Fields & { metrics?: Fields[] };
      return { ...payload, metrics: (payload.metrics ?? []).map(readable) };
    },
    encode(value, loss) {
      if (typeof value !== 'object' || value === null) throw new StageFailure('a Sparkplug payload must be an object');
      const { metrics = [], ...payload } = value as Fields & { metrics?: unknown };
      if (!Array.isArray(metrics)) throw new StageFailure('metrics must be an array');
      return inner.encode({ ...payload, metrics: metrics.map(writable) }, loss);
    },
  };
}

function readable(metric: Fields): Fields {
  const { datatype, is_null: isNull, ...rest } = metric;
  const [type, , bits] = dataTypes[Number(datatype)] ?? [];
  const field = valueFields.find((each) => rest[each] !== undefined);
  const raw = field === undefined ? null : rest[field];
  for (const each of valueFields) delete rest[each];
  const isKnown = type !== undefined || field === undefined;
  return { ...rest, ...(isKnown ? (type ? { type } : {}) : { field }), value: isNull ? null : signed(raw, type, bits) };
}

/** Signed numbers stand as two's complement in unsigned fields. */
function signed(raw: unknown, type: string | undefined, bits: number | undefined): unknown {
  if (type === 'DateTime' && raw !== null) return new Date(Number(raw));
  if (bits === undefined || (typeof raw !== 'number' && typeof raw !== 'bigint')) return raw;
  if (typeof raw === 'number' && !Number.isInteger(raw)) {
    throw new StageFailure(`a metric of type ${type} holds ${raw}, which is not whole`);
  }
  const value = BigInt.asIntN(bits, BigInt(raw));
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

function writable(metric: unknown): Fields {
  if (typeof metric !== 'object' || metric === null) throw new StageFailure('a metric must be an object');
  const { type, field: stood, value, ...rest } = metric as Fields;
  if (type === undefined && typeof stood === 'string' && valueFields.includes(stood))
    return { ...rest, [stood]: value };
  const number = numberOfType.get(type === undefined ? typeFor(value) : String(type));
  if (number === undefined) throw new StageFailure(`there is no Sparkplug data type ${String(type)}`);
  if (value === null || value === undefined) return { ...rest, datatype: number, is_null: true };
  const [, field, bits] = dataTypes[number]!;
  return { ...rest, datatype: number, [field]: unsigned(type === 'DateTime' ? timeOf(value) : value, bits) };
}

/** A date is text where the value has been JSON. */
function timeOf(value: unknown): unknown {
  const time = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) ? value : time;
}

function unsigned(value: unknown, bits: number | undefined): unknown {
  if (value instanceof Date) return value.getTime();
  if (bits === undefined || (typeof value !== 'bigint' && !Number.isInteger(value))) return value;
  const whole = BigInt(value as number | bigint);
  if (BigInt.asIntN(bits, whole) !== whole) throw new StageFailure(`${whole} does not fit into ${bits} bits`);
  return bits === 64 ? BigInt.asUintN(64, whole) : Number(BigInt.asUintN(32, whole));
}

function typeFor(value: unknown): string {
  if (typeof value === 'boolean') return 'Boolean';
  if (typeof value === 'string') return 'String';
  if (typeof value === 'bigint') return 'Int64';
  if (value instanceof Date) return 'DateTime';
  if (value instanceof Uint8Array) return 'Bytes';
  return 'Double';
}
