/**
 * What a password file keeps of a password: Mosquitto's hashes as they are, and scrypt.
 *
 *     $6$salt$hash                            SHA-512, once (Mosquitto up to 1.6); base64
 *     $7$iterations$salt$hash                 PBKDF2 with HMAC-SHA-512 (Mosquitto 2.0); base64
 *     $argon2id$v=19$m=…,t=…,p=…$salt$hash    Argon2 (Mosquitto 2.1, and ours); base64 without padding
 *     $scrypt$ln=15,r=8,p=1$salt$hash         scrypt, N = 2^ln (ours); base64 without padding
 *     SCRAM-SHA-256$iterations:salt$…:…       what SCRAM needs, which a password can be checked against as well
 *
 * Costs have an upper bound, so that a slip in a file cannot stall the broker.
 */
import { createHash, pbkdf2Sync, randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';
import { base64, whole } from './fields.ts';
import { makeScram, parseScram, type ScramCredentials, scramMatches, scramPrefix } from './scram-credentials.ts';

export type PasswordHash =
  | { readonly kind: 'sha512'; readonly salt: Buffer; readonly hash: Buffer }
  | { readonly kind: 'pbkdf2'; readonly iterations: number; readonly salt: Buffer; readonly hash: Buffer }
  | { readonly kind: 'scrypt'; readonly cost: ScryptCost; readonly salt: Buffer; readonly hash: Buffer }
  | { readonly kind: 'argon2'; readonly cost: Argon2Cost; readonly salt: Buffer; readonly hash: Buffer }
  | ScramCredentials;

interface ScryptCost {
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

interface Argon2Cost {
  /** 0: d, 1: i, 2: id. */
  readonly algorithm: 0 | 1 | 2;
  /** 0: version 16, 1: version 19. */
  readonly version: 0 | 1;
  readonly memoryCost: number;
  readonly timeCost: number;
  readonly parallelism: number;
}

/** What `sluice passwd` can make. */
export const hashNames = ['argon2id', 'scrypt', 'scram-sha-256', 'sha512-pbkdf2', 'sha512'] as const;
export type HashName = (typeof hashNames)[number];

const iterationsMax = 10_000_000;
const scryptMax = { ln: 20, r: 32, p: 16, bytes: 268_435_456 };
const argon2Max = { memoryKiB: 1_048_576, passes: 100, threads: 64 };

const pbkdf2Iterations = 100_000;
const scryptCost: ScryptCost = { ln: 15, r: 8, p: 1 };
/** As OWASP recommends: 19 MiB, and a tenth of a second on a slow core. */
const argon2Cost: Argon2Cost = { algorithm: 2, version: 1, memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** Throws an Error that says what is wrong, without repeating the text. */
export function parseHash(text: string): PasswordHash {
  if (text.startsWith(scramPrefix)) return parseScram(text);
  const fields = text.split('$');
  switch (fields[0] === '' ? fields[1] : '') {
    case '6':
      if (fields.length !== 4) throw new Error('expected $6$salt$hash');
      return { kind: 'sha512', salt: base64(fields[2]!, 'salt'), hash: base64(fields[3]!, 'hash', 64, 64) };
    case '7':
      return parsePbkdf2(fields);
    case 'argon2id':
    case 'argon2i':
    case 'argon2d':
      return parseArgon2(text);
    case 'scrypt':
      return parseScrypt(text);
    default:
      throw new Error('not a hash that is known here ($6$, $7$, $argon2…$ or $scrypt$)');
  }
}

function parsePbkdf2(fields: readonly string[]): PasswordHash {
  if (fields.length !== 5) throw new Error('expected $7$iterations$salt$hash');
  const iterations = whole(fields[2]!, 1, iterationsMax, 'iterations');
  return { kind: 'pbkdf2', iterations, salt: base64(fields[3]!, 'salt'), hash: base64(fields[4]!, 'hash', 64, 64) };
}

function parseScrypt(text: string): PasswordHash {
  const match = /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([^$]*)\$([^$]*)$/.exec(text);
  if (match === null) throw new Error('expected $scrypt$ln=…,r=…,p=…$salt$hash');
  const [, ln, r, p, salt, hash] = match as unknown as [string, string, string, string, string, string];
  const cost = {
    ln: whole(ln, 1, scryptMax.ln, 'ln'),
    r: whole(r, 1, scryptMax.r, 'r'),
    p: whole(p, 1, scryptMax.p, 'p'),
  };
  // [RFC 7914 2]
  if (cost.ln >= 16 * cost.r)
    throw new Error(`ln=${cost.ln} is too large for r=${cost.r}: it must be below ${16 * cost.r}`);
  if (128 * 2 ** cost.ln * cost.r > scryptMax.bytes)
    throw new Error(`needs more than ${scryptMax.bytes} bytes of memory`);
  return { kind: 'scrypt', cost, salt: base64(salt, 'salt'), hash: base64(hash, 'hash', 16) };
}

const argon2Algorithms = { d: 0, i: 1, id: 2 } as const;

function parseArgon2(text: string): PasswordHash {
  const match = /^\$argon2(id|i|d)\$(?:v=(16|19)\$)?m=(\d+),t=(\d+),p=(\d+)\$([^$]*)\$([^$]*)$/.exec(text);
  if (match === null) throw new Error('expected $argon2id$v=19$m=…,t=…,p=…$salt$hash');
  const [, algorithm, version, m, t, p] = match as unknown as [
    string,
    'd' | 'i' | 'id',
    string,
    string,
    string,
    string,
  ];
  const cost: Argon2Cost = {
    algorithm: argon2Algorithms[algorithm],
    version: version === '19' ? 1 : 0,
    memoryCost: whole(m, 8, argon2Max.memoryKiB, 'm'),
    timeCost: whole(t, 1, argon2Max.passes, 't'),
    parallelism: whole(p, 1, argon2Max.threads, 'p'),
  };
  // [RFC 9106 3.1]
  const least = 8 * cost.parallelism;
  if (cost.memoryCost < least) throw new Error(`m=${m} is too small for p=${p}: it must be at least ${least}`);
  return { kind: 'argon2', cost, salt: base64(match[6]!, 'salt', 8), hash: base64(match[7]!, 'hash', 4) };
}

/** Takes the same time whether the password is right or not, and keeps its thread busy: see `HashThreads`. */
export async function verifyPassword(hash: PasswordHash, password: Uint8Array): Promise<boolean> {
  switch (hash.kind) {
    case 'sha512':
      return timingSafeEqual(createHash('sha512').update(password).update(hash.salt).digest(), hash.hash);
    case 'pbkdf2':
      return timingSafeEqual(pbkdf2Sync(password, hash.salt, hash.iterations, 64, 'sha512'), hash.hash);
    case 'scrypt':
      return timingSafeEqual(runScrypt(password, hash.salt, hash.cost, hash.hash.length), hash.hash);
    case 'argon2':
      return timingSafeEqual(await runArgon2(password, hash.salt, hash.cost, hash.hash.length), hash.hash);
    case 'scram':
      return scramMatches(hash, password);
  }
}

/** A new salt, and the hash as a line has it. */
export async function hashPassword(name: HashName, password: Uint8Array): Promise<string> {
  // Mosquitto 2.0 takes salts of this length only.
  const isMosquittos = name === 'sha512' || name === 'sha512-pbkdf2';
  const salt = randomBytes(isMosquittos ? 12 : 16);
  switch (name) {
    case 'sha512':
      return `$6$${salt.toString('base64')}$${createHash('sha512').update(password).update(salt).digest('base64')}`;
    case 'sha512-pbkdf2': {
      const hash = pbkdf2Sync(password, salt, pbkdf2Iterations, 64, 'sha512');
      return `$7$${pbkdf2Iterations}$${salt.toString('base64')}$${hash.toString('base64')}`;
    }
    case 'scrypt': {
      const { ln, r, p } = scryptCost;
      const hash = runScrypt(password, salt, scryptCost, 32);
      return `$scrypt$ln=${ln},r=${r},p=${p}$${unpadded(salt)}$${unpadded(hash)}`;
    }
    case 'scram-sha-256':
      return makeScram(password);
    case 'argon2id': {
      const { memoryCost, timeCost, parallelism } = argon2Cost;
      const hash = await runArgon2(password, salt, argon2Cost, 32);
      return `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$${unpadded(salt)}$${unpadded(hash)}`;
    }
  }
}

function runScrypt(password: Uint8Array, salt: Buffer, { ln, r, p }: ScryptCost, length: number): Buffer {
  // Exactly what the algorithm says it needs, and a little more for OpenSSL's own.
  const maxmem = 128 * r * (2 ** ln + p + 2) + 65_536;
  return scryptSync(password, salt, length, { N: 2 ** ln, r, p, maxmem });
}

async function runArgon2(password: Uint8Array, salt: Buffer, cost: Argon2Cost, length: number): Promise<Buffer> {
  const { hashRawSync } = await loadArgon2();
  return hashRawSync(password, { ...cost, salt, outputLen: length });
}

/** Native code, loaded by those who need it: a platform that it was not built for can do without. */
async function loadArgon2() {
  try {
    return await import('@node-rs/argon2');
  } catch (cause) {
    throw new Error('Argon2 is not available on this platform; use another hash (sluice passwd -H scrypt)', { cause });
  }
}

const unpadded = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '');
