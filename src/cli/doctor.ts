/** `sluice doctor`: looks at what a broker needs, and says what to change. */
import { resolve } from 'node:path';
import { examine } from '../doctor/doctor.ts';
import { printFindings } from './findings.ts';
import type { Io } from './io.ts';
import { noPositionals, readOptions } from './usage.ts';

const help = `sluice doctor [options]     exit code 0: a broker can start, perhaps with warnings; 1: there is a fault

  -c, --config FILE    the configuration
  --data-dir DIR       where the data is, instead of the configured directory
  --json               as JSON, for scripts

Looks at versions, the configuration, open files, memory, processors, the clock, certificates, directories, the time
that the disk takes for a sync, the data that is stored there, bridges and ports. Run it as the user that runs the
broker; it may be running.
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
  printFindings(findings, values.json === true, io);
}
