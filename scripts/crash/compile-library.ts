import { spawnSync } from 'node:child_process';
import { basename, join } from 'node:path';
import { projectRoot } from '../project-root.ts';

/** A library to be preloaded into a broker. Null if this machine has no C compiler or is not Linux. */
export function compileLibrary(source: string, folder: string): string | null {
  if (process.platform !== 'linux') return null;
  const file = join(projectRoot(), source);
  const library = join(folder, basename(source).replace(/\.c$/, '.so'));
  const options = ['-shared', '-fPIC', '-O1', '-Wall', '-o', library, file, '-ldl'];
  const { status, stderr, error } = spawnSync('cc', options);
  if (error !== undefined) return null;
  if (status !== 0) throw new Error(`cc cannot compile ${file}: ${stderr}`);
  return library;
}
