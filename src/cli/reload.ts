/** `sluice reload`: a running broker reads what can change of its configuration, and certificates, anew. */
import type { Io } from './io.ts';
import { callBroker } from './running.ts';
import { noPositionals, readOptions } from './usage.ts';

const help = `sluice reload [--data-dir DIR]

The running broker reads its configuration file again and applies the pipelines, the authentication, the rules of
authorization, and the certificates of its listeners if their files changed; nobody is disconnected. If something is not valid,
what is wrong is printed and the old one goes on. The signal SIGHUP does the same.
`;

export async function reload(argv: readonly string[], io: Io): Promise<void> {
  const options = { 'data-dir': { type: 'string', default: './data' }, help: { type: 'boolean' } } as const;
  const { values, positionals } = readOptions('reload', argv, options);
  if (values.help) return void io.stdout.write(help);
  noPositionals('reload', positionals);
  const directory = values['data-dir'];
  const { summary } = await callBroker(directory, 'reload', {});
  io.stdout.write(`${summary}\n`);
}
