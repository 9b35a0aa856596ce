/**
 * Damage to the files of the data directory: flipped bits, pages of zeros, files that are cut off or missing. A start
 * serves everything, or says what is missing, or refuses and says what to do; with --accept-loss it always serves what
 * is left. Nothing ends the process.
 *
 * `DAMAGE_FLIPS=20000 npx vitest run test/unit/store/damage` tries more; `DAMAGE_SEED` repeats a run.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Random } from '../../../../scripts/crash/random.ts';
import { type Case, cuts, type FileKind, filesOf, flips, missingFiles, pagesOfZeros } from './cases.ts';
import type { Outcome } from './child.ts';
import { fillData } from './filled-data.ts';

const flipCount = Number(process.env.DAMAGE_FLIPS ?? 150);
const seed = Number(process.env.DAMAGE_SEED ?? Math.floor(Math.random() * 1e9));
/** In memory where there is such a place: what is tested is not how fast a disk syncs. */
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'sluice-damage-'));
const closed = join(folder, 'closed');
const running = join(folder, 'running');
const whole = new Set<string>();

/** All of them at once: a process that tries them takes two seconds to load what it tries. */
let tried: Map<string, Outcome | string>;
let flipped: readonly Case[];
let lost: readonly Case[];

beforeAll(async () => {
  await fillData(closed, running);
  const none: Case = { name: 'undamaged', from: running, damage: { kind: 'delete', files: [] } };
  const undamaged = [none, { ...none, from: closed, name: 'undamaged and closed' }];
  flipped = flippedBits(new Random(seed));
  lost = lostParts(new Random(seed));
  tried = await outcomesOf([...undamaged, ...flipped, ...lost]);
  for (const { name } of undamaged) {
    const outcome = tried.get(name);
    expect(outcome).toMatchObject({ started: { told: [] } });
    if (typeof outcome === 'object' && 'started' in outcome) for (const fact of outcome.started.facts) whole.add(fact);
  }
  expect(whole.size).toBeGreaterThan(48 * 8);
}, 3_600_000);
afterAll(() => rmSync(folder, { recursive: true }));

/** Those that ended their process say how instead. */
async function outcomesOf(cases: readonly Case[]): Promise<Map<string, Outcome | string>> {
  const outcomes = new Map<string, Outcome | string>();
  const halves = [cases.filter((_, i) => i % 2 === 0), cases.filter((_, i) => i % 2 === 1)];
  await Promise.all(halves.map((half, i) => runAll(half, join(folder, `scratch-${i}`), outcomes)));
  return outcomes;
}

async function runAll(cases: readonly Case[], scratch: string, outcomes: Map<string, Outcome | string>): Promise<void> {
  for (let left = cases; left.length > 0; left = left.filter(({ name }) => !outcomes.has(name))) {
    const loader = join(import.meta.dirname, '../../../fuzz/typescript.mjs');
    const child = spawn(
      process.execPath,
      ['--no-warnings', '--import', loader, join(import.meta.dirname, 'child.ts'), scratch],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    let errors = '';
    child.stderr.on('data', (bytes) => {
      errors += bytes;
    });
    child.stdin.on('error', () => {});
    child.stdin.end(left.map((each) => `${JSON.stringify(each)}\n`).join(''));
    const exited = new Promise<string>((resolve) => child.on('close', (code, signal) => resolve(`${code ?? signal}`)));
    for await (const line of createInterface({ input: child.stdout })) {
      const { name, outcome } = JSON.parse(line);
      outcomes.set(name, outcome);
    }
    const how = await exited;
    const culprit = left.find(({ name }) => !outcomes.has(name));
    if (culprit !== undefined) outcomes.set(culprit.name, `the process ended with ${how}: ${errors}`);
  }
}

/** Null if all is as it should be. */
function problemOf(outcome: Outcome | string): string | null {
  if (typeof outcome === 'string') return outcome;
  const { facts, told } = 'started' in outcome ? outcome.started : onlyFound(outcome.accepted);
  // A QoS 2 exchange whose record is lost begins again: its message waits.
  const invented = facts.filter((fact) => !whole.has(fact) && !/waits for of\/[\d-]+\/sent /.test(fact));
  if (invented.length > 0) return `served what nobody stored: ${invented[0]}`;
  const missing = whole.size - new Set(facts).size;
  if (missing > 0 && told.length === 0) return `${missing} are missing, and nobody is told: ${JSON.stringify(outcome)}`;
  if ('started' in outcome) return null;
  if ('failed' in outcome.accepted) return `--accept-loss does not help: ${outcome.accepted.failed}`;
  if (outcome.code !== 'damaged') return `refused as ${outcome.code}: ${outcome.refused}`;
  if (!/with --accept-loss$/.test(outcome.refused)) return `does not say what to do: ${outcome.refused}`;
  if (/Corruption|IO error|ENOENT|RangeError/.test(outcome.refused)) return `raw text: ${outcome.refused}`;
  return told.length > 0 ? null : 'goes on without a word';
}

const onlyFound = (accepted: { facts: string[]; told: string[] } | { failed: string }) =>
  'failed' in accepted ? { facts: [], told: ['it failed'] } : accepted;

function problemsOf(cases: readonly Case[]): string[] {
  return cases.flatMap(({ name }) => {
    const problem = problemOf(tried.get(name) ?? 'it was not tried');
    return problem === null ? [] : [`seed ${seed}, ${name}: ${problem}`];
  });
}

const once = (cases: readonly Case[]): Case[] => [...new Map(cases.map((each) => [each.name, each])).values()];

function flippedBits(random: Random): Case[] {
  const kinds: readonly FileKind[] = ['table', 'log', 'MANIFEST', 'CURRENT', 'last-commit'];
  const cases = kinds.flatMap((kind) => [
    ...flips(running, kind, Math.ceil(flipCount / 10), random),
    ...flips(closed, kind, Math.ceil(flipCount / 10), random),
  ]);
  return once(cases);
}

function lostParts(random: Random): Case[] {
  expect(filesOf(running, 'table').length).toBeGreaterThan(2);
  const cases = [running, closed].flatMap((from) => [
    ...(['table', 'log', 'MANIFEST', 'CURRENT', 'last-commit'] as const).flatMap((kind) => cuts(from, kind, 2, random)),
    ...(['table', 'log'] as const).flatMap((kind) => pagesOfZeros(from, kind, 3, random)),
    ...missingFiles(from),
  ]);
  return once(cases);
}

test(`flipped bits: never the end of the process, a silent loss, or a refusal for good (seed ${seed})`, () => {
  expect(flipped.length).toBeGreaterThan(flipCount / 2);
  expect(problemsOf(flipped)).toEqual([]);
});

test(`files cut off, pages of zeros, missing files: the same (seed ${seed})`, () => {
  expect(lost.length).toBeGreaterThan(50);
  expect(problemsOf(lost)).toEqual([]);
});
