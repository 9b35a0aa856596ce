/**
 * Starts stores on damaged copies, one after the other, and says what came of each: a line of JSON on standard output.
 * In a process of its own, since what is tested is also whether LevelDB ends it.
 */
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { StoreError } from '../../../../src/contracts/session-store.ts';
import { type Case, damagedCopy } from './cases.ts';
import { type Found, findAll } from './filled-data.ts';

export type Outcome =
  | { readonly started: Found }
  | { readonly refused: string; readonly code: string; readonly accepted: Found | { readonly failed: string } };

async function outcomeOf(each: Case, directory: string): Promise<Outcome> {
  damagedCopy(each, directory);
  try {
    return { started: await findAll(directory, false) };
  } catch (error) {
    const code = error instanceof StoreError ? error.code : 'no StoreError';
    return { refused: (error as Error).message, code, accepted: await accepted(directory) };
  }
}

/** Started with --accept-loss; the start after that wants no such thing any more. */
async function accepted(directory: string): Promise<Found | { readonly failed: string }> {
  try {
    const { told, facts } = await findAll(directory, true);
    const again = await findAll(directory, false);
    if (again.facts.join() !== facts.join()) return { failed: 'another start found something else' };
    return { told, facts };
  } catch (error) {
    return { failed: (error as Error).stack ?? String(error) };
  }
}

const scratch = process.argv[2]!;
for await (const line of createInterface({ input: process.stdin })) {
  const each = JSON.parse(line) as Case;
  const directory = `${scratch}/${each.name.replaceAll(/[^\w]/g, '-')}`;
  const outcome = await outcomeOf(each, directory);
  rmSync(directory, { recursive: true, force: true });
  process.stdout.write(`${JSON.stringify({ name: each.name, outcome })}\n`);
}
