/**
 * Keys of the API: what may show it may do what the key is for. Only a hash of each is kept, in a file of the data
 * directory; a broker without one forgets them at its end.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { writeInPlace } from '../base/write-in-place.ts';
import { CommandFailure } from '../contracts/failures.ts';
import { areas, roles } from '../contracts/roles.ts';

const keysMax = 1_000;
const secretBytes = 32;

const stored = z.strictObject({
  id: z.string(),
  name: z.string(),
  role: z.enum(roles),
  areas: z.array(z.enum(areas)),
  username: z.string().nullable(),
  createdAt: z.number(),
  expiresAt: z.number().nullable(),
  /** SHA-256 of the secret part, in hexadecimal: it has 256 bits of chance, so it needs no slow hash. */
  hash: z.string(),
});
export type ApiKey = Readonly<z.output<typeof stored>>;
const file = z.strictObject({ format: z.literal(1), keys: z.array(stored) });

export type NewKey = Pick<ApiKey, 'name' | 'role' | 'areas' | 'username' | 'expiresAt'>;

/** `sluice_` lets scanners of secrets find one that went astray. */
const form = /^sluice_([\w-]{8})_([\w-]{43})$/;
/** On a command line, what begins with a dash is an option. */
const newKeyId = () => randomBytes(6).toString('base64url').replace(/^-/, '_');
const hashOf = (secret: string) => createHash('sha256').update(secret).digest();

export class Keys {
  readonly #path: string | null;
  readonly #keys: Map<string, ApiKey>;
  /** Not valid any more, and perhaps still in the file: a write that succeeds takes them out. */
  readonly #revoked = new Map<string, ApiKey>();
  /** One write after the other. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string | null, keys: readonly ApiKey[]) {
    this.#path = path;
    this.#keys = new Map(keys.map((key) => [key.id, key]));
  }

  /** Null: they are kept in memory only. Rejects if the file is there and cannot be used. */
  static async open(path: string | null): Promise<Keys> {
    if (path === null) return new Keys(null, []);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Keys(path, []);
      throw error;
    }
    try {
      return new Keys(path, file.parse(JSON.parse(text)).keys);
    } catch (cause) {
      throw new Error(`${path} cannot be used; restore it, or remove it and make new keys`, { cause });
    }
  }

  list(): readonly ApiKey[] {
    return [...this.#keys.values()];
  }

  /**
   * Resolves once it is stored, with the only copy of the key itself. Rejects with a CommandFailure if there are too
   * many, or if it cannot be stored.
   */
  async create(wanted: NewKey, now: number): Promise<{ readonly key: ApiKey; readonly secret: string }> {
    for (const { id, expiresAt } of this.list()) if (expiresAt !== null && expiresAt <= now) this.#keys.delete(id);
    if (this.#keys.size >= keysMax) {
      throw new CommandFailure('conflict', `There are ${keysMax} keys already; delete one that nobody uses`);
    }
    const id = newKeyId();
    const secret = randomBytes(secretBytes).toString('base64url');
    const key: ApiKey = { ...wanted, id, createdAt: now, hash: hashOf(secret).toString('hex') };
    this.#keys.set(id, key);
    await this.#write().catch((error: unknown) => {
      this.#keys.delete(id);
      throw notStored('The key was not made', error);
    });
    return { key, secret: `sluice_${id}_${secret}` };
  }

  /**
   * Resolves once that is stored. Whoever uses it is refused from now on, also where that cannot be stored: then it
   * rejects with a CommandFailure, and may be tried again.
   */
  async delete(id: string): Promise<ApiKey> {
    const key = this.#keys.get(id) ?? this.#revoked.get(id);
    if (key === undefined) throw new CommandFailure('not-found', `There is no key ${JSON.stringify(id)}`);
    this.#keys.delete(id);
    this.#revoked.set(id, key);
    await this.#write().catch((error: unknown) => {
      throw notStored('The key is refused from now on, but valid again after a restart: delete it once more', error);
    });
    return key;
  }

  /** Null if it is none, or has expired. */
  find(text: string, now: number): ApiKey | null {
    const [, id, secret] = form.exec(text) ?? [];
    if (id === undefined || secret === undefined) return null;
    const key = this.#keys.get(id);
    if (key === undefined || (key.expiresAt !== null && key.expiresAt <= now)) return null;
    return timingSafeEqual(hashOf(secret), Buffer.from(key.hash, 'hex')) ? key : null;
  }

  #write(): Promise<void> {
    const path = this.#path;
    if (path === null) {
      this.#revoked.clear();
      return Promise.resolve();
    }
    const write = async () => {
      const left = [...this.#revoked.keys()];
      await writeInPlace(path, Buffer.from(`${JSON.stringify({ format: 1, keys: this.list() }, null, 2)}\n`));
      for (const id of left) this.#revoked.delete(id);
    };
    const written = this.#writing.then(write);
    this.#writing = written.catch(() => {});
    return written;
  }
}

const notStored = (what: string, cause: unknown) =>
  new CommandFailure('unavailable', `${what} (${(cause as Error).message})`, { cause });
