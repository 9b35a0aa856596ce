/** `sluice config`: checks a configuration, or prints one. */
import { readFileSync } from 'node:fs';
import { assertSafeToListen } from '../config/anonymous.ts';
import { loadConfig } from '../config/load.ts';
import type { Io } from './io.ts';
import { CommandError, readOptions } from './usage.ts';

const help = `sluice config check FILE     tell what is wrong with a configuration; exit code 1 if something is
sluice config example       print a configuration with every setting and its default
`;

const exampleFile = new URL('../../config/sluice.yaml', import.meta.url);

export async function config(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('config', argv, { help: { type: 'boolean' } });
  if (values.help) return void io.stdout.write(help);
  const [action, file, ...rest] = positionals;
  if (action === 'example' && file === undefined) return void io.stdout.write(readFileSync(exampleFile));
  if (action !== 'check' || file === undefined || rest.length > 0) {
    throw new CommandError('Use: sluice config check FILE, or sluice config example', 2);
  }
  assertSafeToListen(loadConfig(file, {}));
  io.stdout.write(`${file} is valid\n`);
}
