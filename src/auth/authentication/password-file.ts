/**
 * User names and passwords from a file, a line each: `name:hash`. Mosquitto's files are read as they are.
 *
 * A name that is not in the file costs as much as a wrong password: some line of the file, always the same for that
 * name, is checked in its place. Hashes are computed off the main thread, a few at a time, and remembered for a short
 * while.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { printable } from '../../base/printable.ts';
import type { PasswordFileSettings } from '../../contracts/authentication.ts';
import type { AuthenticationAnswer, AuthenticationRequest } from '../../contracts/hooks.ts';
import { CredentialCache } from './credential-cache.ts';
import {
  AuthenticationError,
  type Mechanism,
  type MechanismContext,
  unavailable,
  wrongCredentials,
} from './mechanism.ts';
import { type PasswordHash, parseHash } from './password-hash.ts';
import type { ScramCredentials } from './scram-credentials.ts';
import { WatchedFile } from './watched-file.ts';
import { BusyError } from './work-queue.ts';

export interface Users {
  readonly byName: ReadonlyMap<string, PasswordHash>;
  readonly hashes: readonly PasswordHash[];
  readonly scram: readonly ScramCredentials[];
  /** Known to nobody else, and the same for as long as the first user in alphabetical order stays as it is. */
  readonly scramSecret: Buffer | null;
}

/** Longer ones do not fit into a CONNECT. */
const nameBytesMax = 65_535;

/**
 * As in Mosquitto, a line that is wrong lets nobody in, and of two for one user the last counts. All are told by
 * number.
 */
export function parseUsers(text: string, problem: (line: number, what: string) => void): Users {
  const byName = new Map<string, PasswordHash>();
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).trim();
    if (name === '' || Buffer.byteLength(name) > nameBytesMax) {
      problem(index + 1, 'expected a user name, a colon and a hash');
    } else {
      try {
        const hash = parseHash(line.slice(colon + 1).trim());
        if (byName.has(name)) problem(index + 1, 'the user stands in the file twice, and this line counts');
        byName.set(name, hash);
      } catch (error) {
        problem(index + 1, `this line lets nobody in, ${(error as Error).message}`);
      }
    }
  }
  let first: { name: string; serverKey: Buffer } | null = null;
  const scram: ScramCredentials[] = [];
  for (const [name, hash] of byName) {
    if (hash.kind !== 'scram') continue;
    scram.push(hash);
    if (first === null || name < first.name) first = { name, serverKey: hash.serverKey };
  }
  return { byName, hashes: [...byName.values()], scram, scramSecret: first?.serverKey ?? null };
}

/** Rejects with an AuthenticationError that says how to make the file. */
export async function openUsers(
  file: string,
  what: string,
  maker: string,
  { log }: MechanismContext,
): Promise<WatchedFile<Users>> {
  const problem = (line: number, text: string) => log.error({ file, line }, `${what} ${file}:${line}: ${text}`);
  try {
    return await WatchedFile.open({ file, what, parse: (bytes) => parseUsers(bytes.toString(), problem), log });
  } catch (cause) {
    const hint = `${(cause as Error).message}; make it with ${maker} ${file} NAME, or correct its permissions`;
    throw new AuthenticationError(['file'], hint, { cause });
  }
}

export class PasswordFile implements Mechanism {
  readonly kind = 'password-file';
  readonly #file: WatchedFile<Users>;
  readonly #context: MechanismContext;
  readonly #cache: CredentialCache<boolean>;
  readonly #decoyKey = randomBytes(32);

  private constructor(file: WatchedFile<Users>, context: MechanismContext) {
    this.#file = file;
    this.#context = context;
    this.#cache = new CredentialCache({ entriesMax: context.cacheEntries, isRenewed: true, now: context.now });
  }

  static async open({ file }: PasswordFileSettings, context: MechanismContext): Promise<PasswordFile> {
    return new PasswordFile(await openUsers(file, 'password file', 'sluice passwd -c', context), context);
  }

  async authenticate({ client, password, method }: AuthenticationRequest): Promise<AuthenticationAnswer | null> {
    const { username } = client;
    if (method !== null || username === null || password === null) return null;
    const users = this.#file.content;
    if (users === null) return unavailable;
    const hash = users.byName.get(username);
    // Chosen in any case: that takes its time as well.
    const decoy = this.#decoy(users, username);
    if (hash === undefined) {
      // Why the line of somebody else cannot be checked is no matter of this client's.
      await this.#verify(username, password, decoy).catch(unlessBusy);
      return null;
    }
    const isRight = await this.#verify(username, password, hash);
    if (isRight && password.length === 0) warnOfEmptyPassword(hash, username, this.#context);
    return isRight && password.length > 0 ? { outcome: 'accept' } : wrongCredentials;
  }

  async takeAsLong({ client, password }: AuthenticationRequest): Promise<void> {
    const users = this.#file.content;
    if (users === null || client.username === null || password === null) return;
    await this.#verify(client.username, password, this.#decoy(users, client.username));
  }

  passwordMark(username: string): string | null | undefined {
    const users = this.#file.content;
    if (users === null) return undefined;
    const hash = users.byName.get(username);
    return hash === undefined ? null : createHash('sha256').update(JSON.stringify(hash)).digest('base64');
  }

  close(): void {
    this.#file.close();
  }

  #verify(username: string, password: Buffer, hash: PasswordHash): Promise<boolean> {
    const { hashes, cacheSeconds } = this.#context;
    const isKnown = this.#file.content?.byName.get(username) === hash;
    const key = [username, password, String(this.#file.generation), isKnown ? 'user' : 'decoy'];
    return this.#cache.get(key, async () => {
      const isRight = await hashes.verify(hash, password);
      return { value: isRight, keepMs: isRight && isKnown ? cacheSeconds * 1000 : 0 };
    });
  }

  /** Always the same line for a name, so that its cost tells nothing; any line, since lines may differ in cost. */
  #decoy({ hashes }: Users, username: string): PasswordHash {
    if (hashes.length === 0) return emptyFile;
    const choice = createHmac('sha256', this.#decoyKey).update(username).digest().readUInt32BE();
    return hashes[choice % hashes.length]!;
  }
}

const toldOf = new WeakSet<PasswordHash>();

/** Once for each line: whoever tries it could fill the log. An empty password lets nobody in, as with Mosquitto. */
function warnOfEmptyPassword(hash: PasswordHash, username: string, { log }: MechanismContext): void {
  if (toldOf.has(hash)) return;
  toldOf.add(hash);
  const what = `the user ${printable(username)} has an empty password, which lets nobody in; set one with sluice passwd`;
  log.error({ username }, what);
}

function unlessBusy(error: unknown): void {
  if (error instanceof BusyError) throw error;
}

/** With no user at all there is nothing to find out. */
const emptyFile: PasswordHash = { kind: 'sha512', salt: Buffer.alloc(16), hash: Buffer.alloc(64) };
