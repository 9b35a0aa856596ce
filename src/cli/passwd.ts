/**
 * `sluice passwd`: adds users to a password file, changes their passwords, takes them out. The letters are
 * mosquitto_passwd's.
 */
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { ReadStream } from 'node:tty';
import { type HashName, hashNames } from '../auth/authentication/password-hash.ts';
import { checkedUserName, lineFor, linesIn, withLine, withoutName } from '../auth/authentication/password-lines.ts';
import { fileProblem } from '../base/file-problem.ts';
import { writeInPlace } from '../base/write-in-place.ts';
import type { Io } from './io.ts';
import { CommandError, readOptions } from './usage.ts';

const help = `sluice passwd [options] FILE USER           asks for the password
sluice passwd -b [options] FILE USER WORD   takes it from the command line, which others may see
sluice passwd -D FILE USER                  takes the user out

  -c              make a new file, instead of one that may be there
  -H HASH         ${hashNames.join(', ')} (argon2id)
  --scram         the same as -H scram-sha-256: for the mechanism of that name, and for password files as well

Where standard input is no terminal, its first line is the password. Mosquitto 2.0 reads sha512-pbkdf2 and sha512 only.
`;

const options = {
  create: { type: 'boolean', short: 'c' },
  delete: { type: 'boolean', short: 'D' },
  batch: { type: 'boolean', short: 'b' },
  hash: { type: 'string', short: 'H' },
  scram: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

export async function passwd(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('passwd', argv, options);
  if (values.help) return void io.stdout.write(help);
  const { create = false, delete: isDelete = false, batch = false } = values;
  const [file, user, word, ...more] = positionals;
  if (file === undefined || user === undefined || more.length > 0 || (word !== undefined) !== batch) {
    throw new CommandError('Use: sluice passwd FILE USER, or -b FILE USER WORD; see sluice passwd --help', 2);
  }
  if (isDelete && (create || batch)) throw new CommandError('-D takes a user out: leave out -c and -b', 2);
  const hash = hashNameOf(values.hash, values.scram ?? false);
  const name = await orTell(() => checkedUserName(user, hash), 2);
  const lines = create ? [] : await linesOf(file, isDelete);
  if (isDelete) {
    const others = withoutName(lines, name);
    if (others.length === lines.length) throw new CommandError(`${file} has no user ${name}`);
    return replaceFile(file, others.join(''));
  }
  const password = word ?? (await askTwice(io));
  if (password === '') throw new CommandError('An empty password: nothing was changed');
  const line = await orTell(() => lineFor(name, hash, password), 1);
  await replaceFile(file, withLine(lines, name, line).join(''));
}

async function orTell<Result>(action: () => Result | Promise<Result>, exitCode: 1 | 2): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    throw new CommandError((error as Error).message, exitCode);
  }
}

function hashNameOf(given: string | undefined, scram: boolean): HashName {
  const name = hashNames.find((each) => each === (given ?? (scram ? 'scram-sha-256' : 'argon2id')));
  if (name === undefined) throw new CommandError(`-H wants one of ${hashNames.join(', ')}, not "${given}"`, 2);
  if (scram && name !== 'scram-sha-256') throw new CommandError('--scram is a hash of its own: leave out -H', 2);
  return name;
}

/** A file that is not there yet has none, unless there must be something in it. */
async function linesOf(file: string, mustExist: boolean): Promise<string[]> {
  try {
    return linesIn(await readFile(file, 'latin1'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') throw new CommandError(`Cannot read ${file}: ${fileProblem(error as Error)}`);
    throw new CommandError(`There is no file ${file}${mustExist ? '' : '; -c makes it'}`);
  }
}

async function replaceFile(file: string, text: string): Promise<void> {
  await writeInPlace(file, Buffer.from(text, 'latin1')).catch((error: Error) => {
    throw new CommandError(`Cannot write ${file}: ${fileProblem(error)}`);
  });
}

async function askTwice(io: Io): Promise<string> {
  const stdin = io.stdin as ReadStream;
  if (stdin.isTTY !== true) return firstLine(io);
  const first = await ask(stdin, io, 'Password: ');
  if (first !== (await ask(stdin, io, 'Again: ')))
    throw new CommandError('The two are not the same: nothing was changed');
  return first;
}

async function firstLine({ stdin }: Io): Promise<string> {
  for await (const line of createInterface({ input: stdin })) return line;
  return '';
}

/** Reads a line from a terminal that shows nothing of it. */
function ask(stdin: ReadStream, io: Io, prompt: string): Promise<string> {
  io.stderr.write(prompt);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stdin.resume();
  return new Promise((resolve, reject) => {
    let typed = '';
    const end = () => {
      stdin.off('data', onData);
      stdin.setRawMode(false);
      stdin.pause();
      io.stderr.write('\n');
    };
    const onData = (text: string) => {
      for (const [index, character] of [...text].entries()) {
        if (character === '\r' || character === '\n') {
          end();
          // What came along belongs to the next question.
          stdin.unshift([...text].slice(index + 1).join(''));
          return resolve(typed);
        }
        if (character === '\u0003' || character === '\u0004') {
          end();
          return reject(new CommandError('Nothing was changed'));
        }
        typed = character === '\u007f' || character === '\b' ? [...typed].slice(0, -1).join('') : typed + character;
      }
    };
    stdin.on('data', onData);
  });
}
