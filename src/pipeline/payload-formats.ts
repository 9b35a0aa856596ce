/** What payloads may be read as, and what that needs. */

import type { PayloadSchema } from '../contracts/payload-schemas.ts';
import type { Decode } from '../contracts/payloads.ts';
import type { FormatSettings, PipelineLimits } from '../contracts/pipeline-settings.ts';

export interface DecodingOptions {
  readonly schemas: readonly PayloadSchema[];
  readonly limits: PipelineLimits;
  /** For the log: of the thread that reads what is large. */
  readonly warn: (what: string) => void;
}

/** What a payload is to be read as: a name for people, and the format. */
export interface KnownFormat {
  readonly name: Decode;
  readonly settings: FormatSettings;
}

/** Of a schema that has a name. */
export function formatOfSchema({ name, protobuf, avro }: PayloadSchema): KnownFormat {
  if (protobuf !== undefined) return { name: `protobuf:${name}`, settings: { protobuf } };
  return { name: `avro:${name}`, settings: { avro: avro! } };
}
