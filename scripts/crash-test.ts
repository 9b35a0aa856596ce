/**
 * `npm run test:crash`: kills the broker under load, again and again, and holds it to what it had promised. Explained
 * in docs/internals/crash-test.md.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fail, readOptions, wholeNumber } from './command-line.ts';
import { runBridgeRound } from './crash/bridge/bridge-round.ts';
import { brokerNames, durabilities } from './crash/broker-process.ts';
import { compilePowerCut } from './crash/power-cut.ts';
import { tellRound, tellSummary } from './crash/report.ts';
import { type RoundResult, runRound } from './crash/round.ts';

const help = `npm run test:crash -- [options]

  --rounds N          how many rounds (20)
  --seed S            of the first round; the next ones count up (random)
  --power-cut         what was not synced is lost as well (Linux, needs a C compiler)
  --durability LEVEL  sync, os or memory (sync)
  --load-ms N         the first crash comes 50 to N ms after the load has begun (2000)
  --broker NAME       sluice, or mosquitto to see the test find losses (sluice)
  --bridge            a bridge of Sluice to another broker, over a bad link: --broker says to which
`;

const { values } = readOptions(help, {
  rounds: { type: 'string', default: '20' },
  seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000_000)) },
  'power-cut': { type: 'boolean', default: false },
  durability: { type: 'string', default: 'sync' },
  'load-ms': { type: 'string', default: '2000' },
  broker: { type: 'string', default: 'sluice' },
  bridge: { type: 'boolean', default: false },
});

function oneOf<const T extends string>(name: 'broker' | 'durability', choices: readonly T[]): T {
  const choice = choices.find((each) => each === values[name]);
  return choice ?? fail(`--${name} wants ${choices.join(', ')}, not "${values[name]}"`);
}

const seed = wholeNumber('seed', values.seed, 0);
const rounds = wholeNumber('rounds', values.rounds, 1);
const folder = mkdtempSync(join(tmpdir(), 'sluice-crash-library-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const powerCutLibrary = values['power-cut'] ? compilePowerCut(folder) : null;
if (values['power-cut'] && powerCutLibrary === null) fail('--power-cut needs Linux and a C compiler (cc)');
const options = {
  broker: oneOf('broker', brokerNames),
  durability: oneOf('durability', durabilities),
  powerCutLibrary,
  loadMsMax: wholeNumber('load-ms', values['load-ms'], 50),
};

const results: RoundResult[] = [];
for (let round = 0; round < rounds; round++) {
  const result = await (values.bridge ? runBridgeRound : runRound)(seed + round, options);
  results.push(result);
  process.stdout.write(`${tellRound(round + 1, result)}\n`);
}
process.stdout.write(`${tellSummary(results)}\n`);
if (results.some(({ violations }) => violations.length > 0)) process.exitCode = 1;
