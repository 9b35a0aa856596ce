/** `sluice health`: whether a running broker takes clients, for containers and scripts. */
import type { Io } from './io.ts';
import { getFromBroker, type RunningBroker, runningBroker, runningHelp, runningOptions } from './running.ts';
import { CommandError, readOptions } from './usage.ts';

const help = `sluice health [options]           exit code 0: it takes clients; 1: it does not, or none is running

  --live            only whether the process works; if not, start it anew
  --started         only whether its start is over
  --json            what it answers
${runningHelp}`;

const options = {
  ...runningOptions,
  live: { type: 'boolean' },
  started: { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

/** As the broker answers. */
interface Report {
  readonly status: 'ok' | 'failing';
  readonly checks: readonly { readonly name: string; readonly isOk: boolean; readonly reason?: string }[];
}

export async function health(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('health', argv, options);
  if (values.help) return void io.stdout.write(help);
  if (positionals.length > 0 || (values.live && values.started)) {
    throw new CommandError('Use: sluice health [--live | --started]; see sluice health --help', 2);
  }
  const probe = values.live ? '/livez' : values.started ? '/startupz' : '/readyz';
  const report = await reportOf(runningBroker(values, io), probe);
  if (values.json) io.stdout.write(`${JSON.stringify(report)}\n`);
  const wrong = report.checks.filter(({ isOk }) => !isOk);
  if (wrong.length > 0) throw new CommandError(wrong.map(({ name, reason }) => `${name}: ${reason}`).join('\n'));
  if (!values.json) io.stdout.write('ok\n');
}

async function reportOf(broker: RunningBroker, probe: string): Promise<Report> {
  const { json } = await getFromBroker(broker, probe);
  const { checks } = (json ?? {}) as Partial<Report>;
  if (!Array.isArray(checks)) throw new CommandError('What answers there is no Sluice broker');
  return json as Report;
}
