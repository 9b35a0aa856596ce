/**
 * The keys that tokens are checked with, and the algorithms that each may be used for. What a token says of its
 * algorithm never widens that: a public key verifies no HMAC, and `none` is no algorithm.
 */
import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { JwtSettings } from '../../contracts/authentication.ts';
import { AuthenticationError, type MechanismContext } from './mechanism.ts';
import { RemoteServer } from './remote-server.ts';
import { openFile, openSecret, withoutLineEnd } from './secret.ts';

export interface Keys {
  /** The key for a token, or the error that jose throws. A plain Error: the keys cannot be had. */
  readonly get: JWTVerifyGetKey;
  /** What may be in force now; it changes with the key. */
  readonly algorithms: () => readonly string[];
  close(): void;
}

interface Key {
  readonly key: KeyObject;
  readonly algorithms: readonly string[];
}

const rsaPss = ['PS256', 'PS384', 'PS512'];
const rsa = ['RS256', 'RS384', 'RS512', ...rsaPss];
const edwards = ['EdDSA', 'Ed25519'];
const curves: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ['ES256'],
  secp384r1: ['ES384'],
  secp521r1: ['ES512'],
};
const asymmetric = [...rsa, 'ES256', 'ES384', 'ES512', ...edwards];

const secretBytesMin = 32;
const modulusBitsMin = 2_048;
const setBytesMax = 1_048_576;
const setKeysMax = 1_000;

/** Rejects with an AuthenticationError if the keys cannot be had as they are configured. A URL may answer later. */
export async function openKeys(settings: JwtSettings, context: MechanismContext): Promise<Keys> {
  const { secretFile, secretEnv, keyFile, jwksFile, jwksUrl } = settings;
  if (jwksUrl !== undefined) {
    const { caFile, timeoutMs } = settings;
    const options = { url: jwksUrl, caFile, timeoutMs, bytesMax: setBytesMax, log: context.log };
    return new RemoteKeys(settings, await RemoteServer.open(options), context);
  }
  if (jwksFile !== undefined) {
    const held = await openFile('jwksFile', jwksFile, (bytes) => keySet(JSON.parse(bytes.toString())), context.log);
    const get: JWTVerifyGetKey = (header, token) => present(held.content)(header, token);
    return { get, algorithms: () => allowed(settings, asymmetric, 'jwksFile'), close: () => held.close() };
  }
  const isSecret = keyFile === undefined;
  const held = isSecret
    ? await openSecret('secret', { file: secretFile, variable: secretEnv }, secretKey, context)
    : await openFile('keyFile', keyFile, publicKey, context.log);
  const algorithms = () => (held.content === null ? [] : allowed(settings, held.content.algorithms, 'algorithms'));
  try {
    algorithms();
  } catch (error) {
    held.close();
    throw error;
  }
  return { get: async () => present(held.content).key, algorithms, close: () => held.close() };
}

function present<T>(content: T | null): T {
  if (content === null) throw new Error('the key file cannot be used');
  return content;
}

/** Of what the key can do, what the configuration wants; it may not want anything else. */
function allowed({ algorithms }: JwtSettings, possible: readonly string[], setting: string): readonly string[] {
  const impossible = algorithms.filter((name) => !possible.includes(name));
  if (impossible.length === 0) return algorithms.length === 0 ? possible : algorithms;
  const what = `${impossible.join(', ')} cannot be used with this key, but ${possible.join(', ')} can`;
  throw new AuthenticationError([setting === 'jwksFile' ? 'algorithms' : setting], what);
}

function secretKey(bytes: Buffer): Key {
  const secret = withoutLineEnd(bytes);
  if (secret.length < secretBytesMin) throw new Error(`a secret for tokens has at least ${secretBytesMin} bytes`);
  if (secret.includes('-----BEGIN')) throw new Error('this is a key or a certificate; it belongs into keyFile');
  return { key: createSecretKey(secret), algorithms: ['HS256', 'HS384', 'HS512'] };
}

/** PEM (a public key or a certificate) or a JSON Web Key. */
function publicKey(bytes: Buffer): Key {
  const text = bytes.toString().trim();
  let key: KeyObject;
  try {
    key = text.startsWith('{')
      ? createPublicKey({ key: JSON.parse(text) as JsonWebKey, format: 'jwk' })
      : createPublicKey(text);
  } catch (cause) {
    throw new Error('it is neither a public key or certificate in PEM form nor a public JSON Web Key', { cause });
  }
  return { key, algorithms: algorithmsOf(key) };
}

function algorithmsOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): readonly string[] {
  const { modulusLength = 0, namedCurve = '' } = asymmetricKeyDetails ?? {};
  switch (asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss':
      if (modulusLength < modulusBitsMin) throw new Error(`an RSA key has at least ${modulusBitsMin} bits`);
      return asymmetricKeyType === 'rsa' ? rsa : rsaPss;
    case 'ec':
      if (curves[namedCurve] === undefined) throw new Error(`no algorithm of tokens uses the curve ${namedCurve}`);
      return curves[namedCurve];
    case 'ed25519':
      return edwards;
    default:
      throw new Error(`no algorithm of tokens uses a key of type ${asymmetricKeyType}`);
  }
}

/** A JSON Web Key Set. Symmetric keys in one are not used: such a set is public. */
function keySet(json: unknown): JWTVerifyGetKey {
  const { keys } = (json ?? {}) as { keys?: unknown };
  if (!Array.isArray(keys)) throw new Error('it is not a JSON Web Key Set: it has no list of keys');
  if (keys.length > setKeysMax) throw new Error(`it has more than ${setKeysMax} keys`);
  return createLocalJWKSet(json as JSONWebKeySet);
}

/**
 * A key set at a URL: fetched when it is needed, kept for a while, fetched anew when a token names a key that is not in
 * it, but never more often than the cool-down allows, so that tokens made up by an attacker cost the server nothing.
 */
class RemoteKeys implements Keys {
  readonly #settings: JwtSettings;
  readonly #server: RemoteServer;
  readonly #now: () => number;
  #set: JWTVerifyGetKey | null = null;
  #fetchedAt = 0;
  #triedAt = Number.NEGATIVE_INFINITY;
  #failure: Error | null = null;
  #fetching: Promise<void> | null = null;

  constructor(settings: JwtSettings, server: RemoteServer, { now }: MechanismContext) {
    this.#settings = settings;
    this.#server = server;
    this.#now = now;
  }

  readonly algorithms = () => allowed(this.#settings, asymmetric, 'algorithms');

  readonly get: JWTVerifyGetKey = async (header, token) => {
    const set = await this.#current();
    try {
      return await set(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !this.#mayFetch) throw error;
      await this.#fetch();
      return (await this.#current())(header, token);
    }
  };

  close(): void {
    this.#server.close();
  }

  /** Or wait for the call that is under way. */
  get #mayFetch(): boolean {
    return this.#fetching !== null || this.#now() - this.#triedAt >= this.#settings.cooldownSeconds * 1000;
  }

  async #current(): Promise<JWTVerifyGetKey> {
    const keepMs = this.#settings.jwksCacheSeconds * 1000;
    const age = this.#now() - this.#fetchedAt;
    // Half way there it is renewed without anybody waiting: a short outage of that server goes by unnoticed.
    if (this.#set !== null && age < keepMs) {
      if (age > keepMs / 2 && this.#mayFetch) void this.#fetch();
      return this.#set;
    }
    if (this.#mayFetch) await this.#fetch();
    if (this.#set === null || this.#now() - this.#fetchedAt >= keepMs) {
      throw new Error(`the keys at ${this.#server.origin} cannot be had: ${this.#failure?.message}`);
    }
    return this.#set;
  }

  /** All who wait for it share one call. */
  #fetch(): Promise<void> {
    this.#fetching ??= this.#fetchOnce().finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #fetchOnce(): Promise<void> {
    this.#triedAt = this.#now();
    const headers = { accept: 'application/json' };
    try {
      const result = await this.#server.call({ method: 'GET', headers });
      if (result.status !== 200) throw new Error(`status ${result.status}`);
      this.#set = keySet(result.json);
      this.#fetchedAt = this.#now();
      this.#failure = null;
    } catch (error) {
      this.#failure = error as Error;
    }
  }
}
