/**
 * The load generator: one process, one run, one line of JSON. `--help` tells its options; `npm run bench` starts it.
 */
import { runConn } from './load/crowd.ts';
import { runFlow } from './load/flow.ts';
import { runGiven } from './load/given.ts';
import { help, parseLoadOptions, type ScenarioName } from './load/options.ts';
import { runSessions } from './load/sessions.ts';
import { runOffline, runRetained } from './load/stored.ts';

const runs: Record<ScenarioName, typeof runFlow> = {
  fanin: runFlow,
  fanout: runFlow,
  p2p: runFlow,
  conn: runConn,
  offline: runOffline,
  retained: runRetained,
  topics: runFlow,
  sessions: runSessions,
  given: runGiven,
};

if (process.argv.includes('--help')) {
  process.stdout.write(help);
  process.exit();
}
try {
  const options = parseLoadOptions(process.argv.slice(2));
  const result = await runs[options.scenario](options);
  process.stdout.write(`${JSON.stringify({ scenario: options.scenario, ...result })}\n`);
  process.exit();
} catch (error) {
  process.stderr.write(`generator: ${(error as Error).message}\n`);
  process.exit(1);
}
