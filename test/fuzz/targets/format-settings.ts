/** The formats that are fuzzed. By themselves, so that whoever only wants their names need not load the formats. */
import type { FormatSettings } from '../../../src/contracts/pipeline-settings.ts';
import { readingFormats } from '../../support/formats.ts';

export const formatSettings: Readonly<Record<string, FormatSettings>> = {
  ...readingFormats,
  binary: {
    binary: {
      endian: 'little',
      fields: [
        { name: 'id', type: 'int32' },
        { name: 'big', type: 'int64' },
        { name: 'ratio', type: 'float32', scale: 0.1 },
        { name: 'bits', type: 'bits', bytes: 1, bits: [{ name: 'ok', at: 3 }] },
        { name: 'length', type: 'uint16' },
        { name: 'list', type: 'int16', repeat: 'length' },
        { name: 'name', type: 'text', length: 'rest' },
      ],
    },
  },
  gzip: 'gzip',
  deflate: 'deflate',
  brotli: 'brotli',
  base64: 'base64',
};
