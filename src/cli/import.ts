/**
 * `sluice import`: makes a configuration out of that of another broker, and says of each line what became of it; and
 * takes over its data.
 */
import { open, rm } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { readConfig } from '../config/load.ts';
import { yamlOf } from '../config/write.ts';
import { type Imported, importMosquitto } from '../import/mosquitto/import.ts';
import { importAedesData, importMosquittoData } from './import-data.ts';
import type { Io } from './io.ts';
import { CommandError, readOptions } from './usage.ts';

const help = `sluice import mosquitto [FILE] [--out FILE] [--data FILE [--to DIR]]
sluice import aedes --data DIR [--to DIR]

  FILE               a mosquitto.conf; the files that it names are read as well
  --out FILE         where to write the configuration (sluice.yaml); a file that is there stays as it is
  --data FILE        mosquitto.db of a Mosquitto that is stopped: sessions, queues and retained messages
  --data DIR         the same of an Aedes that is stopped: the directory of aedes-persistence-level
  --to DIR           a data directory for them, which is empty or not there yet (store.directory, ./data)

Tells of each line whether it is the same here, different, or cannot be had, and what else is to know.
Run it where Mosquitto runs: it looks at password files, ACL files and certificates.
`;

export async function importConfig(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('import', argv, {
    out: { type: 'string' },
    data: { type: 'string' },
    to: { type: 'string' },
    help: { type: 'boolean' },
  });
  if (values.help) return void io.stdout.write(help);
  const [from, file, ...rest] = positionals;
  const { data, to } = values;
  if (from === 'aedes' && file === undefined && data !== undefined && values.out === undefined) {
    io.keepFilesPrivate();
    return void io.stdout.write(await importAedesData(data, to ?? usualDirectory));
  }
  if (from !== 'mosquitto' || (file ?? data) === undefined || rest.length > 0) {
    const uses = ['FILE [--out FILE]', '--data FILE [--to DIR]'].map((use) => `sluice import mosquitto ${use}`);
    const use = `${uses.join(', ')}, or both; sluice import aedes --data DIR [--to DIR]`;
    throw new CommandError(`Use: ${use}; see sluice import --help`, 2);
  }
  if (to !== undefined && data === undefined) throw new CommandError('--to is for --data FILE: give both', 2);
  if (data !== undefined) io.keepFilesPrivate();
  if (file === undefined) return void io.stdout.write(await importMosquittoData(data!, to ?? usualDirectory));
  const out = values.out ?? 'sluice.yaml';
  const imported = importMosquitto(file);
  const written = await writeAll(out, `${heading(file)}${yamlOf(imported.config)}`, imported);
  io.stdout.write(report(imported));
  if (data !== undefined) {
    const moved = importMosquittoData(data, to ?? directoryOf(imported, out));
    const text = await moved.catch(async (error: unknown) => {
      await Promise.all(written.map((path) => rm(path)));
      throw error;
    });
    io.stdout.write(`\n${text}`);
  } else if (imported.database !== null) {
    const how = `sluice import mosquitto --data ${imported.database} --to ${relative('', directoryOf(imported, out))}`;
    io.stdout.write(`\nSessions, queues and retained messages come over once Mosquitto is stopped, by\n  ${how}\n`);
  }
  assertValid(out);
  io.stdout.write(`\n${out} is written. Then:\n`);
  io.stdout.write(`  sluice config check ${out}\n  sluice start --config ${out}\n`);
}

const usualDirectory = './data';

/** Of the configuration that was made; a path in it is meant from its folder. */
function directoryOf({ config: { store } }: Imported, out: string): string {
  const named = store !== undefined && store.kind !== 'memory' ? store.directory : undefined;
  return resolve(dirname(out), named ?? usualDirectory);
}

const heading = (file: string) =>
  `# Made of ${file} by sluice import. docs/guides/from-mosquitto.md has what differs, docs/reference/settings.md every setting.\n`;

/** All or nothing: a configuration without its passwords would let in others than meant. */
async function writeAll(out: string, text: string, { files }: Imported): Promise<string[]> {
  const written: string[] = [];
  try {
    for (const { name, text: content } of files) {
      const path = join(dirname(out), name);
      await writeNew(path, content, 0o600);
      written.push(path);
    }
    await writeNew(out, text, 0o640);
    return [...written, out];
  } catch (error) {
    await Promise.all(written.map((path) => rm(path)));
    throw error;
  }
}

async function writeNew(file: string, text: string, mode: number): Promise<void> {
  try {
    const handle = await open(file, 'wx', mode);
    await handle.writeFile(text).finally(() => handle.close());
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST')
      throw new CommandError(`${file} is there already and stays as it is; give another --out FILE`);
    throw new CommandError(`Cannot write ${file}: ${message}`);
  }
}

/** What is written stays: it is easier to correct than to begin anew. */
function assertValid(out: string): void {
  try {
    readConfig(out, {});
  } catch (error) {
    throw new CommandError(`${out} is written and has to be corrected:\n${(error as Error).message}`);
  }
}

const words = { same: 'same', different: 'different', missing: 'cannot be had' } as const;

function report({ entries, notes, files }: Imported): string {
  const lines: string[] = [];
  let file = '';
  for (const entry of entries) {
    if (entry.file !== file) {
      file = entry.file;
      lines.push(`${lines.length === 0 ? '' : '\n'}${relative('', file) || file}`);
    }
    const { kind, what } = entry.verdict;
    lines.push(`  ${String(entry.line).padStart(4)}  ${entry.name} ${shown(entry.name, entry.value)}`.trimEnd());
    lines.push(`        ${words[kind]}: ${what.replaceAll('`', '')}`);
  }
  const count = (kind: keyof typeof words) => entries.filter(({ verdict }) => verdict.kind === kind).length;
  lines.push(
    '',
    `${count('same')} lines are the same, ${count('different')} different, ${count('missing')} cannot be had`,
  );
  if (notes.length > 0) lines.push('', 'Besides:', ...notes.map((note) => `  - ${note}`));
  if (files.length > 0) lines.push('', `Written beside it: ${files.map(({ name }) => name).join(', ')}`);
  return `${lines.join('\n')}\n`;
}

const isSecret = /password$|^bridge_psk$|secret|token/;
const shown = (name: string, value: string) => (isSecret.test(name) ? '***' : value);
