/**
 * Users of the password files that the configuration names, for commands. A change is used once the broker sees the
 * file's, within a second or so.
 */
import { readFile, stat } from 'node:fs/promises';
import type { HashName } from './auth/authentication/password-hash.ts';
import {
  checkedUserName,
  hasName,
  lineFor,
  linesIn,
  nameIn,
  withLine,
  withoutName,
} from './auth/authentication/password-lines.ts';
import { CursorError } from './base/pages.ts';
import { writeInPlace } from './base/write-in-place.ts';
import type { Config } from './config/schema.ts';
import type { CommandHandlers } from './contracts/commands.ts';
import { CommandFailure } from './contracts/failures.ts';
import { type Caller, covers } from './contracts/roles.ts';

interface PasswordFile {
  readonly path: string;
  readonly hash: HashName;
}

/** Lines that are looked at in one go, which takes less than a millisecond. */
const linesPerStep = 500;
/** The lines of a file whose list nobody goes on with are forgotten. */
const listedMs = 60_000;

export class PasswordFiles {
  readonly #config: () => Config;
  /** One change after the other. */
  #changing: Promise<unknown> = Promise.resolve();
  /** The file that was listed last, as it was then: a list of many pages reads it once. */
  #listed: { readonly version: string; readonly lines: Promise<string[]> } | null = null;
  #forgetting: NodeJS.Timeout | undefined;

  /** `config`: the one in force. */
  constructor(config: () => Config) {
    this.#config = config;
  }

  get handlers(): Pick<CommandHandlers, 'users list' | 'users put' | 'users delete'> {
    return {
      'users list': async ({ file, cursor, limit }) => this.#list(this.#find(file), cursor, limit),
      'users put': ({ username, password, file }, caller) => this.#put(this.#find(file), username, password, caller),
      'users delete': ({ username, file }, caller) => this.#delete(this.#find(file), username, caller),
    };
  }

  /** Only those of the configuration: a request names no other file of the machine. */
  #find(wanted: string | null): PasswordFile {
    const files = filesOf(this.#config());
    const found = wanted === null && files.length === 1 ? files[0] : files.find(({ path }) => path === wanted);
    if (found !== undefined) return found;
    const known = files.length === 0 ? 'none' : files.map(({ path }) => path).join(', ');
    const what = wanted === null ? 'Name the password file' : `The configuration has no password file ${wanted}`;
    throw new CommandFailure(wanted === null ? 'conflict' : 'not-found', `${what}; there are: ${known}`);
  }

  /** The cursor is the line from which on to look. */
  async #list({ path }: PasswordFile, cursor: string | null, limit: number) {
    if (cursor !== null && !/^\d{1,9}$/.test(cursor)) throw new CursorError('The cursor is of no list; begin anew');
    const lines = await this.#linesToList(path);
    const items: { username: string; file: string }[] = [];
    let at = Number(cursor ?? 0);
    for (; at < lines.length && items.length < limit; at++) {
      const username = nameIn(lines[at]!);
      if (username !== null) items.push({ username, file: path });
      if (at % linesPerStep === linesPerStep - 1) await new Promise((resolve) => setImmediate(resolve));
    }
    return { items, cursor: at < lines.length ? String(at) : null };
  }

  /** Whoever can set a password can log in with it. */
  #refuseBeyond(caller: Caller, name: string, hash: HashName): void {
    const login = this.#config().admin.users?.find(({ username }) => isSame(username, name, hash));
    if (login === undefined || covers(caller, login)) return;
    const may = `may do more by admin.users than ${caller.name}`;
    throw new CommandFailure('forbidden', `The user ${JSON.stringify(name)} ${may}, who may not change that user`);
  }

  async #linesToList(path: string): Promise<string[]> {
    const { mtimeNs, ctimeNs, size, ino } = await stat(path, { bigint: true }).catch(refusedByDisk);
    const version = JSON.stringify([path, `${mtimeNs} ${ctimeNs} ${size} ${ino}`]);
    if (this.#listed?.version !== version) this.#listed = { version, lines: linesOf(path) };
    const { lines } = this.#listed;
    clearTimeout(this.#forgetting);
    this.#forgetting = setTimeout(() => (this.#listed = null), listedMs).unref();
    return lines.catch((error) => {
      this.#listed = null;
      throw error;
    });
  }

  async #put({ path, hash }: PasswordFile, username: string, password: string, caller: Caller) {
    const name = await orRefuse(async () => checkedUserName(username, hash));
    this.#refuseBeyond(caller, name, hash);
    const line = await orRefuse(() => lineFor(name, hash, password));
    return this.#change(path, (lines) => {
      const isNew = !hasName(lines, name);
      return { lines: withLine(lines, name, line), answer: { username: name, file: path, isNew } };
    });
  }

  async #delete({ path, hash }: PasswordFile, username: string, caller: Caller) {
    const name = await orRefuse(async () => checkedUserName(username, hash));
    this.#refuseBeyond(caller, name, hash);
    return this.#change(path, (lines) => {
      const others = withoutName(lines, name);
      if (others.length < lines.length) return { lines: others, answer: { username: name, file: path } };
      throw new CommandFailure('not-found', `${path} has no user ${JSON.stringify(name)}`);
    });
  }

  #change<Answer>(
    path: string,
    change: (lines: readonly string[]) => { lines: readonly string[]; answer: Answer },
  ): Promise<Answer> {
    const changed = this.#changing.then(async () => {
      const { lines, answer } = change(await linesOf(path));
      await writeInPlace(path, Buffer.from(lines.join(''), 'latin1')).catch(refusedByDisk);
      return answer;
    });
    this.#changing = changed.catch(() => {});
    return changed;
  }
}

function filesOf({ authentication, listeners }: Config): PasswordFile[] {
  const all = [...authentication, ...listeners.flatMap((listener) => listener.authentication ?? [])];
  const files = new Map<string, PasswordFile>();
  for (const mechanism of all) {
    // A file that SCRAM needs keeps what SCRAM can read, whoever else reads it.
    if (mechanism.kind === 'scram-sha-256') files.set(mechanism.file, { path: mechanism.file, hash: 'scram-sha-256' });
    if (mechanism.kind !== 'password-file' || files.has(mechanism.file)) continue;
    files.set(mechanism.file, { path: mechanism.file, hash: 'argon2id' });
  }
  return [...files.values()];
}

/** Whether a name of the configuration is this one of a file, which may have it in another form. */
function isSame(configured: string, name: string, hash: HashName): boolean {
  try {
    return configured === name || checkedUserName(configured, hash) === name;
  } catch {
    return false;
  }
}

const linesOf = async (path: string) => linesIn(await readFile(path, 'latin1').catch(refusedByDisk));

const refusedByDisk = (cause: Error): never => {
  throw new CommandFailure('conflict', cause.message, { cause });
};

async function orRefuse<Result>(action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (cause) {
    throw new CommandFailure('conflict', (cause as Error).message, { cause });
  }
}
