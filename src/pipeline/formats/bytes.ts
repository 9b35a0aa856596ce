/** Codings of bytes: base64, hexadecimal digits, compression. */
import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  deflateSync,
  gunzipSync,
  gzipSync,
  inflateSync,
} from 'node:zlib';
import type { ByteCodecName, PipelineLimits } from '../../contracts/pipeline-settings.ts';
import { StageFailure } from '../errors.ts';
import { type ByteCodec, TooLarge } from './format.ts';

const base64: ByteCodec = {
  kind: 'bytes',
  name: 'base64',
  contentType: null,
  isText: true,
  decode(bytes) {
    const digits = bytes.toString('latin1').replace(/\s/g, '');
    if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(digits)) throw new StageFailure('not base64');
    return Buffer.from(digits, 'base64');
  },
  encode: (bytes) => Buffer.from(bytes.toString('base64')),
};

const hex: ByteCodec = {
  kind: 'bytes',
  name: 'hex',
  contentType: null,
  isText: true,
  decode(bytes) {
    const digits = bytes.toString('latin1').replace(/\s/g, '');
    if (digits.length % 2 === 1 || !/^[0-9A-Fa-f]*$/.test(digits)) throw new StageFailure('not hexadecimal digits');
    return Buffer.from(digits, 'hex');
  },
  encode: (bytes) => Buffer.from(bytes.toString('hex')),
};

type Zlib = (bytes: Buffer, options: { maxOutputLength: number }) => Buffer;

function compression(
  name: string,
  contentType: string | null,
  compress: (bytes: Buffer) => Buffer,
  decompress: Zlib,
  limits: PipelineLimits,
): ByteCodec {
  const { payloadBytes } = limits;
  return {
    kind: 'bytes',
    name,
    contentType,
    isText: false,
    decode(bytes) {
      try {
        return decompress(bytes, { maxOutputLength: payloadBytes });
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        const isTooLarge = code === 'ERR_BUFFER_TOO_LARGE';
        if (isTooLarge) {
          throw new TooLarge(`it decompresses to more than ${payloadBytes} bytes (pipelineLimits.payloadBytes)`);
        }
        throw new StageFailure(`not ${name}: ${message}`);
      }
    },
    encode: (bytes) => compress(bytes),
  };
}

/** The package's own quality is for what is compressed once and read for years: a megabyte takes it two seconds. */
const brotliQuality = 5;

const brotli = (bytes: Buffer) =>
  brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: brotliQuality, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  });

export function byteCodec(name: ByteCodecName, limits: PipelineLimits): ByteCodec {
  switch (name) {
    case 'base64':
      return base64;
    case 'hex':
      return hex;
    case 'gzip':
      return compression('gzip', 'application/gzip', (bytes) => gzipSync(bytes), gunzipSync, limits);
    case 'deflate':
      return compression('deflate', 'application/zlib', (bytes) => deflateSync(bytes), inflateSync, limits);
    case 'brotli':
      return compression('brotli', null, brotli, brotliDecompressSync, limits);
  }
}
