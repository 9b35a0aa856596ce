/**
 * `sluice passwd` on files that others wrote: the user comes in or out, and no other line changes.
 *
 * Input: whether the user is added or taken out, then the name and a line feed, then the file.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { parseUsers } from '../../../src/auth/authentication/password-file.ts';
import type { Io } from '../../../src/cli/io.ts';
import { passwd } from '../../../src/cli/passwd.ts';
import { CommandError } from '../../../src/cli/usage.ts';
import { bytesOf, must, type Target, wordsOf } from '../target.ts';

const hash = Buffer.alloc(64, 7).toString('base64');
const file = [`ann:$6$c2FsdA==$${hash}`, '# a comment: with a colon', '', `bob : $6$c2FsdA==$${hash}`, 'broken'];

export function passwordTool(): Target {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'));
  const path = join(folder, 'users');
  const output = new PassThrough().resume();
  const io = { environment: {}, stdin: new PassThrough(), stdout: output, stderr: output } as unknown as Io;
  const usersOf = () => parseUsers(readFileSync(path, 'utf8'), () => {}).byName;
  /** The lines that are not of this user, each with its line end. */
  const othersOf = (bytes: Buffer, name: string) =>
    (bytes.toString('latin1').match(/[^\n]*\n|[^\n]+$/g) ?? [])
      .map((line) => (line.endsWith('\n') ? line : `${line}\n`))
      .filter((line) => {
        const text = Buffer.from(line, 'latin1').toString().trim();
        return text.startsWith('#') || !text.includes(':') || text.slice(0, text.indexOf(':')).trim() !== name;
      })
      .join('');
  return {
    name: 'passwd',
    seeds: [
      ...['ann', 'carl', 'ä', 'bob', ' x', 'a:b', '#'].flatMap((name) =>
        [0, 1].map((kind) => Buffer.from(`${String.fromCharCode(kind)}${name}\n${file.join('\n')}`)),
      ),
      Buffer.from(`\0ann\n${file.join('\r\n')}\r\n`),
      Buffer.from('\0ann\n'),
    ],
    tokens: bytesOf(
      '\n',
      '\r\n',
      ':',
      '#',
      ' ',
      'ann',
      'ann:',
      '\nann:x\n',
      '\ufeff',
      '\u00a0',
      '\0',
      '-',
      '--',
      '$6$',
    ),
    bytesMax: 16_384,
    async run(input) {
      const end = input.indexOf(0x0a, 1);
      const name = input.subarray(1, end === -1 ? input.length : end).toString();
      const before = end === -1 ? Buffer.alloc(0) : input.subarray(end + 1);
      writeFileSync(path, before);
      const isDelete = ((input[0] ?? 0) & 1) === 1;
      try {
        await passwd(isDelete ? ['-D', '--', path, name] : ['-b', '-H', 'sha512', '--', path, name, 'word'], io);
      } catch (error) {
        if (!(error instanceof CommandError)) throw error;
        must(readFileSync(path).equals(before), 'it failed, and the file has changed');
        return wordsOf(new Error(error.message.replaceAll(path, '').replace(/ no user .*/s, ' no such user')));
      }
      const after = readFileSync(path);
      must(othersOf(after, name) === othersOf(before, name), 'another line has changed');
      must(usersOf().has(name) !== isDelete, 'the user is not as it should be');
      return `${isDelete ? 'out of' : 'into'} ${Math.min(usersOf().size, 5)}`;
    },
    close: () => rmSync(folder, { recursive: true }),
  };
}
