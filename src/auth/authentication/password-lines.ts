/** The lines of a password file, for whoever changes it: what it does not touch stays byte by byte. */

import { type HashName, hashPassword } from './password-hash.ts';
import { saslPrep } from './scram-credentials.ts';

/** Each with its line end. A character stands for a byte (latin1): what is no UTF-8 must stay as it is. */
export const linesIn = (text: string): string[] =>
  (text.match(/[^\n]*\n|[^\n]+$/g) ?? []).map((line) => (line.endsWith('\n') ? line : `${line}\n`));

/** The user of such a line; null: it has none. */
export function nameIn(line: string): string | null {
  const text = Buffer.from(line, 'latin1').toString().trim();
  return text.startsWith('#') || !text.includes(':') ? null : text.slice(0, text.indexOf(':')).trim();
}

/** Nearly all lines are told apart by a look for the bytes of the name, of very many in a few milliseconds. */
function isOf(name: string): (line: string) => boolean {
  const bytes = Buffer.from(name).toString('latin1');
  return (line) => line.includes(bytes) && nameIn(line) === name;
}

export const hasName = (lines: readonly string[], name: string): boolean => lines.some(isOf(name));

export function withoutName(lines: readonly string[], name: string): string[] {
  const isTheirs = isOf(name);
  return lines.filter((line) => !isTheirs(line));
}

/** With this line in the place of the user's own, and no second one after it: of two lines the last would count. */
export function withLine(lines: readonly string[], name: string, line: string): string[] {
  const at = lines.findIndex(isOf(name));
  const others = withoutName(lines, name);
  return others.toSpliced(at < 0 ? others.length : at, 0, line);
}

/** Throws an Error that says why there can be no user of this name. */
export function checkedUserName(user: string, hash: HashName): string {
  if (user === '' || user !== user.trim() || /[:\p{Cc}]/u.test(user) || user.startsWith('#')) {
    throw new Error('A user name has no colon, no control character, no # in front and no space around it');
  }
  if (Buffer.byteLength(user) > 65_535) throw new Error('A user name has 65,535 bytes at most');
  return hash === 'scram-sha-256' ? prepared(user, 'user name') : user;
}

/** Off the event loop. Rejects with an Error that says why the password cannot be used. */
export async function lineFor(name: string, hash: HashName, password: string): Promise<string> {
  const bytes = Buffer.from(hash === 'scram-sha-256' ? prepared(password, 'password') : password);
  return Buffer.from(`${name}:${await hashPassword(hash, bytes)}\n`).toString('latin1');
}

function prepared(text: string, what: string): string {
  try {
    return saslPrep(text);
  } catch (cause) {
    throw new Error(`SCRAM cannot use this ${what}: ${(cause as Error).message}`, { cause });
  }
}
