import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of the package: these files run both as they are, in tests, and compiled into another folder. */
export function projectRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}
