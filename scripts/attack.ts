/**
 * `npm run attack`: what one client can do to all others, attack by attack. Explained in docs/internals/attacks.md.
 */
import { appendFileSync } from 'node:fs';
import { type Result, type TransportName, transports } from './attack/row.ts';
import { rows } from './attack/rows.ts';
import { play } from './attack/stage.ts';
import { cells, tableOf } from './attack/table.ts';
import { fail, readOptions, wholeNumber } from './command-line.ts';

const help = `npm run attack -- [options]   ends with 1 if an attack is felt: see docs/internals/attacks.md

  --only TEXT        attacks whose name contains TEXT; may be given several times
  --transport LIST   of ${transports.join(', ')}: each attack over those of them where it can differ (all)
  --runs N           of each; it must hold in one of them, and the last one is shown (1)
  --memory MB        of the machine that the broker runs on: a control group where one can be made (512)
  --short            small and quick, as in CI, where only some run: times are told and not judged
  --list             names the attacks
  --json FILE        appends the results, a line of JSON each
`;

const { values } = readOptions(help, {
  only: { type: 'string', multiple: true },
  transport: { type: 'string' },
  runs: { type: 'string', default: '1' },
  memory: { type: 'string', default: '512' },
  short: { type: 'boolean', default: false },
  list: { type: 'boolean', default: false },
  json: { type: 'string' },
});

const wanted = (values.transport ?? transports.join(',')).split(',').map((name): TransportName => {
  return transports.find((each) => each === name) ?? fail(`--transport wants ${transports.join(', ')}, not "${name}"`);
});
const { short: isShort } = values;
const chosen = rows
  .filter(({ name, isInShortForm = false }) => {
    return values.only === undefined ? !isShort || isInShortForm : values.only.some((part) => name.includes(part));
  })
  .flatMap((row) => {
    const all = (row.transports ?? ['tcp']).filter((each) => wanted.includes(each));
    const isOneEnough = isShort && values.only === undefined && values.transport === undefined;
    return (isOneEnough ? all.slice(0, 1) : all).map((over) => ({ row, over }));
  });
if (chosen.length === 0) fail('No attack is left; see --list');
if (values.list) {
  process.stdout.write(chosen.map(({ row, over }) => `${row.name} (${over})\n`).join(''));
  process.exit();
}
const runs = wholeNumber('runs', values.runs, 1);
const options = { isShort, ceilingMegabytes: wholeNumber('memory', values.memory, 1) };

const results: Result[] = [];
let failures = 0;
for (const { row, over } of chosen) {
  let result: Result | null = null;
  for (let run = 0; run < runs && (result === null || result.problems.length > 0); run++) {
    try {
      result = await play(row, over, options);
    } catch (error) {
      process.stderr.write(`${row.name} (${over}): ${(error as Error).stack}\n`);
    }
  }
  if (result === null) {
    failures++;
    continue;
  }
  results.push(result);
  if (result.problems.length > 0) failures++;
  const { facts, disturbed } = result;
  const others =
    disturbed > 0.2 ? [`the event loop waited ${(disturbed * 100).toFixed(0)} % of the time for a processor`] : [];
  process.stderr.write(
    `${cells(result).join(' | ')}\n${[...facts, ...others].map((fact) => `    ${fact}\n`).join('')}`,
  );
  if (values.json !== undefined) {
    appendFileSync(values.json, `${JSON.stringify({ at: new Date().toISOString(), ...result })}\n`);
  }
}
process.stdout.write(`\n${tableOf(results)}\n\n${chosen.length - failures} of ${chosen.length} held\n`);
process.exit(failures === 0 ? 0 : 1);
