import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './project-root.ts';

/** The broker as `npm start` runs it: what Node is told, the file, and `start`. For `process.execPath`. */
export function startCommand(): string[] {
  const { scripts } = JSON.parse(readFileSync(join(projectRoot(), 'package.json'), 'utf8')) as {
    scripts: { start: string };
  };
  return scripts.start
    .split(' ')
    .slice(1)
    .map((word) => (word.endsWith('.js') ? join(projectRoot(), word) : word));
}
