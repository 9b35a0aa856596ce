/**
 * Secrets come from a file or an environment variable, never from the configuration itself, which people show each
 * other.
 */
import type { Log } from '../../contracts/log.ts';
import { AuthenticationError, type MechanismContext } from './mechanism.ts';
import { WatchedFile } from './watched-file.ts';

/** What a secret became: `content` is null while its file cannot be used. */
export interface Held<T> {
  readonly content: T | null;
  close(): void;
}

/**
 * `name`: the setting is called `${name}File` or `${name}Env`; one of both is given. Rejects with an
 * AuthenticationError.
 */
export async function openSecret<T>(
  name: string,
  { file, variable }: { readonly file: string | undefined; readonly variable: string | undefined },
  parse: (bytes: Buffer) => T,
  { log, environment }: Pick<MechanismContext, 'log' | 'environment'>,
): Promise<Held<T>> {
  if (file !== undefined) return openFile(`${name}File`, file, parse, log);
  const text = environment[variable!];
  const path = [`${name}Env`];
  if (text === undefined) throw new AuthenticationError(path, `there is no environment variable ${variable}`);
  try {
    return { content: parse(Buffer.from(text)), close() {} };
  } catch (cause) {
    throw new AuthenticationError(path, `the environment variable ${variable}: ${(cause as Error).message}`, { cause });
  }
}

export async function openFile<T>(
  setting: string,
  file: string,
  parse: (bytes: Buffer) => T,
  log: Log,
): Promise<WatchedFile<T>> {
  try {
    return await WatchedFile.open({ file, what: setting, parse, log });
  } catch (cause) {
    throw new AuthenticationError([setting], (cause as Error).message, { cause });
  }
}

/** Text editors end a file with a new line, which is not part of a secret. */
export function withoutLineEnd(bytes: Buffer): Buffer {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] === 10 || bytes[end - 1] === 13)) end--;
  return bytes.subarray(0, end);
}
