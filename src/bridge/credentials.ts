/**
 * As whom a bridge comes to its peer: read at each attempt, so that what was renewed is used from the next one on.
 */
import { readFile } from 'node:fs/promises';
import type { BridgeSettings } from '../contracts/bridge-settings.ts';

export interface Credentials {
  readonly username: string | null;
  readonly password: Buffer | null;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Rejects with what is missing. */
export async function credentialsOf(settings: BridgeSettings, environment: Environment): Promise<Credentials> {
  const { username, usernameEnv, password, passwordEnv, passwordFile } = settings;
  const ofVariable = (name: string, setting: string) => {
    const value = environment[name];
    if (value !== undefined) return value;
    throw new Error(`${setting} names ${name}, and there is no such environment variable; set it`);
  };
  const user = usernameEnv === undefined ? (username ?? null) : ofVariable(usernameEnv, 'usernameEnv');
  const secret =
    passwordFile !== undefined
      ? await readSecret(passwordFile)
      : passwordEnv === undefined
        ? password
        : ofVariable(passwordEnv, 'passwordEnv');
  return { username: user, password: secret === undefined ? null : Buffer.from(secret) };
}

/** Without the line feed that an editor has put behind it. */
async function readSecret(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`Cannot read passwordFile ${file}: ${cause.message}; correct the path or its permissions`, {
      cause,
    });
  });
  return text.replace(/\r?\n$/, '');
}
