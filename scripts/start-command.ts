import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './project-root.ts';

/**
 * The broker as `npm start` runs it in `root`, a checkout of Sluice that has been built: what Node is told, the file,
 * and `start`. For `process.execPath`. The script says `exec node …`, since npm passes signals to its shell only.
 */
export function startCommand(root: string = projectRoot()): string[] {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: { start: string };
  };
  const words = scripts.start.split(' ');
  return words.slice(words.indexOf('node') + 1).map((word) => (word.endsWith('.js') ? join(root, word) : word));
}
