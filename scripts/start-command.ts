import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './project-root.ts';

/**
 * The broker as `npm start` runs it in `root`, a checkout of Sluice that has been built: what Node is told, the file,
 * and `start`. For `process.execPath`.
 */
export function startCommand(root: string = projectRoot()): string[] {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: { start: string };
  };
  return scripts.start
    .split(' ')
    .slice(1)
    .map((word) => (word.endsWith('.js') ? join(root, word) : word));
}
