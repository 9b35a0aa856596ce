/** `sluice reload`: a running broker reads what can change of its configuration, and certificates, anew. */
import type { Io } from './io.ts';
import { callBroker, runningBroker, runningHelp, runningOptions } from './running.ts';
import { noPositionals, readOptions } from './usage.ts';

const help = `sluice reload [options]

The running broker reads its configuration file again and applies the pipelines, the authentication, the rules of
authorization, and the certificates of its listeners if their files changed; nobody is disconnected. If something is not valid,
what is wrong is printed and the old one goes on. The signal SIGHUP does the same.

${runningHelp}`;

export async function reload(argv: readonly string[], io: Io): Promise<void> {
  const options = { ...runningOptions, help: { type: 'boolean' } } as const;
  const { values, positionals } = readOptions('reload', argv, options);
  if (values.help) return void io.stdout.write(help);
  noPositionals('reload', positionals);
  const { summary } = await callBroker(runningBroker(values, io), 'reload', {});
  io.stdout.write(`${summary}\n`);
}
