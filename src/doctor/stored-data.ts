/**
 * What is in the data directory: whether the broker may read and write all of its files, and whether they are whole. It
 * takes as long as the start of a broker takes for it.
 */
import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileProblem } from '../base/file-problem.ts';
import { plural } from '../base/plural.ts';
import { problemOfFiles } from '../store/level/disk.ts';
import { type Finding, fault, inUnits, ok } from './finding.ts';
import { takesCommands } from './running.ts';

const check = 'stored data';

/** Nothing where there is no data yet. */
export async function storedDataFindings(directory: string): Promise<Finding[]> {
  const names = await readdir(directory).catch(() => []);
  if (names.length === 0) return [];
  if (await takesCommands(directory, false)) return [ok(check, `${directory} is the running broker's`)];
  const unusable = await unusableFinding(directory, names);
  if (unusable !== null) return [unusable];
  try {
    const problem = await problemOfFiles(directory);
    if (problem === null) return [ok(check, await summaryOf(directory, names))];
    const remedy = 'Restore a backup, or start once with --accept-loss, which saves what can be read';
    return [fault(check, problem, remedy)];
  } catch (error) {
    return [fault(check, (error as Error).message, 'Look at the disk: its files cannot be read')];
  }
}

/** As those that were made by a start as another user. */
async function unusableFinding(directory: string, names: readonly string[]): Promise<Finding | null> {
  for (const name of names) {
    const file = join(directory, name);
    try {
      await access(file, constants.R_OK | constants.W_OK);
    } catch (error) {
      const remedy = `Give all of it to the user that runs the broker: chown -R USER ${directory}`;
      return fault(check, `${file} cannot be used: ${fileProblem(error as Error)}`, remedy);
    }
  }
  return null;
}

async function summaryOf(directory: string, names: readonly string[]): Promise<string> {
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(directory, name))).size));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  return `${plural(names.length, 'file')} with ${inUnits(bytes)} are whole`;
}
