/**
 * What a server keeps for SCRAM-SHA-256: never the password, nor anything that would do as one. [RFC5802 3] [RFC5803]
 *
 *     SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';
import { base64, whole } from './fields.ts';

export interface ScramCredentials {
  readonly kind: 'scram';
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

export const scramPrefix = 'SCRAM-SHA-256$';

/** The client computes them, at each connection; RFC 7677 wants 4,096 at least. */
const defaultIterations = 15_000;
const iterationsMax = 10_000_000;

/** Throws an Error that says what is wrong, without repeating the text. */
export function parseScram(text: string): ScramCredentials {
  const match = /^SCRAM-SHA-256\$(\d+):([^$:]*)\$([^$:]*):([^$:]*)$/.exec(text);
  if (match === null) throw new Error('expected SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey');
  const [, iterations, salt, storedKey, serverKey] = match as unknown as [string, string, string, string, string];
  return {
    kind: 'scram',
    iterations: whole(iterations, 4_096, iterationsMax, 'iterations'),
    salt: base64(salt, 'salt', 8),
    storedKey: base64(storedKey, 'StoredKey', 32, 32),
    serverKey: base64(serverKey, 'ServerKey', 32, 32),
  };
}

/** A new salt, and the credentials as a line has them. Throws if SASLprep refuses the password. */
export function makeScram(password: Uint8Array): string {
  const salt = randomBytes(16);
  const { storedKey, serverKey } = keysOf(saslPrep(utf8(password)), salt, defaultIterations);
  const [saltText, stored, server] = [salt, storedKey, serverKey].map((bytes) => bytes.toString('base64'));
  return `${scramPrefix}${defaultIterations}:${saltText}$${stored}:${server}`;
}

/** Whether this is the password, for clients that send it. */
export function scramMatches(credentials: ScramCredentials, password: Uint8Array): boolean {
  let text: string | Uint8Array;
  try {
    text = saslPrep(utf8(password));
  } catch {
    // It is wrong, and takes as long as another one.
    text = password;
  }
  const { storedKey } = keysOf(text, credentials.salt, credentials.iterations);
  return timingSafeEqual(storedKey, credentials.storedKey);
}

function keysOf(password: string | Uint8Array, salt: Buffer, iterations: number) {
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  return { storedKey: sha256(hmac(salted, 'Client Key')), serverKey: hmac(salted, 'Server Key') };
}

export const hmac = (key: Buffer, text: string | Buffer) => createHmac('sha256', key).update(text).digest();
export const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest();

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Throws a TypeError if it is not UTF-8. */
export const utf8 = (bytes: Uint8Array) => decoder.decode(bytes);

/**
 * SASLprep as far as it matters [RFC4013]: other spaces become spaces, what is invisible goes, compatible characters
 * become one (NFKC). Refused: control characters, private use, surrogates, and a text that comes out empty. What RFC
 * 4013 says of reading directions and of code points that Unicode 3.2 did not have is left out.
 */
export function saslPrep(text: string): string {
  const mapped = text
    .replaceAll(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, ' ')
    .replaceAll(/\p{Default_Ignorable_Code_Point}/gu, '')
    .normalize('NFKC');
  if (mapped === '') throw new Error('it is empty');
  if (/[\p{Cc}\p{Co}\p{Cs}\u2028\u2029\ufff9-\ufffd]/u.test(mapped)) {
    throw new Error('it has a control character, or another one that SASLprep does not allow');
  }
  return mapped;
}
