/** CBOR (RFC 8949), by cbor-x: dates as tag 1, whole numbers beyond 2^53 as 64-bit integers or big numbers. */
import { Encoder, setSizeLimits } from 'cbor-x';
import type { PipelineLimits } from '../../contracts/pipeline.ts';
import { StageFailure } from '../errors.ts';
import type { Format } from './format.ts';

const encoder = new Encoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: false, variableMapSize: true });

export function cbor(limits: PipelineLimits): Format {
  // An array of a declared length is allocated before its elements are read. The package has one limit for all.
  setSizeLimits({ maxArraySize: limits.items, maxMapSize: limits.items, maxObjectSize: limits.items });
  return {
    kind: 'format',
    name: 'cbor',
    contentType: 'application/cbor',
    isText: false,
    decode(bytes) {
      try {
        return encoder.decode(bytes);
      } catch (error) {
        throw new StageFailure(`not CBOR: ${(error as Error).message}`);
      }
    },
    encode: (value) => encoder.encode(value),
  };
}
