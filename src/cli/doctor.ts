/** `sluice doctor`: looks at what a broker needs, and says what to change. */
import { resolve } from 'node:path';
import { examine } from '../doctor/doctor.ts';
import type { Finding } from '../doctor/finding.ts';
import type { Io } from './io.ts';
import { CommandError, noPositionals, readOptions } from './usage.ts';

const help = `sluice doctor [options]     exit code 0: a broker can start, perhaps with warnings; 1: there is a fault

  -c, --config FILE    the configuration
  --data-dir DIR       where the data is, instead of the configured directory
  --json               as JSON, for scripts

Looks at versions, the configuration, open files, memory, processors, the clock, certificates, directories, the time
that the disk takes for a sync, and ports. Run it as the user that runs the broker; it may be running.
`;

export async function doctor(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('doctor', argv, {
    config: { type: 'string', short: 'c' },
    'data-dir': { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean' },
  });
  if (values.help) return void io.stdout.write(help);
  noPositionals('doctor', positionals);
  const directory = values['data-dir'] === undefined ? null : resolve(values['data-dir']);
  const findings = await examine({ file: values.config ?? null, directory, environment: io.environment });
  const count = (level: Finding['level']) => findings.filter((each) => each.level === level).length;
  const [faults, warnings] = [count('fault'), count('warning')];
  if (values.json) io.stdout.write(`${JSON.stringify({ faults, warnings, findings }, null, 2)}\n`);
  else io.stdout.write(`${findings.map(lineOf).join('\n')}\n\n${summary(faults, warnings)}\n`);
  // What is wrong was said already.
  if (faults > 0) throw new CommandError('');
}

function lineOf({ check, level, what, remedy }: Finding): string {
  const indent = ' '.repeat(27);
  const text = what.split('\n').join(`\n${indent}`);
  return `${level.padEnd(9)}${check.padEnd(18)}${text}${remedy === null ? '' : `\n${indent}${remedy}`}`;
}

function summary(faults: number, warnings: number): string {
  const all = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;
  if (faults + warnings === 0) return 'Nothing is wrong';
  return `${all(faults, 'fault')}, ${all(warnings, 'warning')}`;
}
