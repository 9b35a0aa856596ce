/**
 * `npm run bench -- pipeline`: what a message costs with one pipeline or another. A broker for each, all running; they
 * take turns, so that what else the machine does meets them all.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endsWithUs } from '../child-processes.ts';
import { projectRoot } from '../project-root.ts';
import { pinned, type RunningBroker, startBroker } from './brokers.ts';
import { benchHostileScript } from './hostile-script.ts';
import { median, type RunOutput } from './results.ts';

export interface PipelineBenchOptions {
  readonly runs: number;
  /** Of the rows, those whose title contains this. */
  readonly only: string;
}

interface Variant {
  readonly title: string;
  /** Stages, for all topics of the load. */
  readonly stages: readonly string[] | null;
  readonly payload?: Buffer;
  /** Pipelines for other topics. */
  readonly others?: number;
}

const json = Buffer.from('{"f":70.4,"battery":97,"unit":"fahrenheit","at":1767225600}');
/** The same in CBOR. */
const cbor = Buffer.from(
  'a46166fb405199999999999a6762617474657279186164756e69746a66616872656e686569746261741a6955b900',
  'hex',
);
const script = `export default ({ payload, topic }) => {
  const { f, ...rest } = payload;
  return { payload: { ...rest, celsius: Math.round(((f - 32) * 500) / 9) / 100, line: topic.split('/')[1] } };
};
`;

const variants: readonly Variant[] = [
  { title: 'no pipeline', stages: null },
  { title: '20 pipelines, none matching', stages: null, others: 20 },
  { title: 'one that matches and does nothing', stages: ['set: {}'] },
  { title: 'filter (CEL)', stages: ['filter: value.f > 0 && value.battery > 5'] },
  { title: 'CBOR to JSON', stages: ['convert: { from: cbor, to: json }'], payload: cbor },
  {
    title: 'JSON to JSON (JSONata)',
    stages: [`map: '{ "celsius": (f - 32) * 5 / 9, "battery": battery, "line": $levels[1] }'`],
  },
  { title: 'script', stages: ['script: { file: FOLDER/script.js }'] },
];

function settingsOf({ stages, others = 0 }: Variant, folder: string): string {
  const lines = Array.from({ length: others }, (_, i) => {
    return `  - { name: other-${i}, filter: other/${i}/#, stages: [{ decode: json }] }`;
  });
  if (stages !== null) {
    lines.push('  - name: measured', '    filter: bench/#', '    stages:');
    lines.push(...stages.map((stage) => `      - ${stage.replaceAll('FOLDER', folder)}`));
  }
  return lines.length === 0 ? '' : ['pipelines:', ...lines].join('\n');
}

/** So many to warm up, and so many to measure. */
const messages = 100_000;

/** 100 pairs with 20 messages under way each. */
async function run(broker: RunningBroker, payload: Buffer): Promise<RunOutput> {
  const generator = join(projectRoot(), 'scripts/dist/bench/generator.js');
  const args = [
    'given',
    '-n',
    '100',
    '-m',
    String(messages),
    '-p',
    String(broker.pid),
    '--hex',
    payload.toString('hex'),
  ];
  const [file, all] = pinned(1, process.execPath, [generator, ...args, '--url', broker.urls.get('mqtt')!]);
  const child = endsWithUs(spawn(file, all, { stdio: ['ignore', 'pipe', 'inherit'] }));
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the generator failed (${code})`);
  return JSON.parse(output) as RunOutput;
}

const numberOf = (output: RunOutput, field: string) => Number(output[field]);
const cpuOf = (output: RunOutput) => {
  return (numberOf(output, 'cpu_s') * 1e6) / Math.max(1, numberOf(output, 'out_rate') * numberOf(output, 'secs'));
};

export async function benchPipelines({ runs, only }: PipelineBenchOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  writeFileSync(join(folder, 'script.js'), script);
  const brokers: RunningBroker[] = [];
  const chosen = variants.filter(({ title }, index) => index === 0 || title.includes(only));
  const outputs = chosen.map((): RunOutput[] => []);
  try {
    for (const [index, variant] of chosen.entries()) {
      const settings = settingsOf(variant, folder);
      brokers.push(await startBroker('sluice', join(folder, String(index)), { isDurable: false, settings }));
    }
    for (let i = 0; i < runs; i++) {
      for (const [index, { payload = json }] of chosen.entries()) {
        outputs[index]!.push(await run(brokers[index]!, payload));
      }
    }
  } finally {
    for (const broker of brokers) await broker.stop();
    rmSync(folder, { recursive: true });
  }
  const base = median(outputs[0]!.map(cpuOf));
  const lines = chosen.map(({ title }, index) => {
    const each = outputs[index]!;
    const cpu = median(each.map(cpuOf));
    const rate = median(each.map((output) => numberOf(output, 'out_rate') / 1_000)).toFixed(0);
    const rss = Math.max(...each.map((output) => numberOf(output, 'rss_kb') / 1_024)).toFixed(0);
    const lost = each.reduce((sum, output) => sum + numberOf(output, 'lost'), 0);
    return `| ${title} | ${rate} | ${cpu.toFixed(2)} | ${(cpu - base).toFixed(2)} | ${rss} | ${lost} |`;
  });
  const head = ['| pipeline | thousand/s | CPU µs | more than without | RSS MB | lost |', '|---|--:|--:|--:|--:|--:|'];
  process.stdout.write(`${[...head, ...lines].join('\n')}\n\n`);
  if (only === '') await benchHostileScript();
}
