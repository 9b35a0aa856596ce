/**
 * Inputs that once failed: `findings/<target>-<digest>.hex`, each for ever a test (`findings.test.ts`).
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const folder = join(import.meta.dirname, 'findings');
const lineCharacters = 120;

export interface Finding {
  readonly file: string;
  readonly target: string;
  readonly input: Buffer;
}

/** Lines that begin with `#` say what was wrong. Returns the file's name. */
export function saveFinding(target: string, input: Uint8Array, what: string): string {
  mkdirSync(folder, { recursive: true });
  const digest = createHash('sha256').update(input).digest('hex').slice(0, 12);
  const hex =
    Buffer.from(input)
      .toString('hex')
      .match(new RegExp(`.{1,${lineCharacters}}`, 'g')) ?? [];
  const file = join(folder, `${target}-${digest}.hex`);
  writeFileSync(file, [`# ${what.split('\n')[0]!.replace(/[^ -~]/g, '.')}`, ...hex, ''].join('\n'));
  return relative(process.cwd(), file);
}

export function savedFindings(): Finding[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.hex'))
    .map((file) => {
      const lines = readFileSync(join(folder, file), 'utf8').split('\n');
      const hex = lines.filter((line) => !line.startsWith('#')).join('');
      return { file, target: file.slice(0, file.lastIndexOf('-')), input: Buffer.from(hex, 'hex') };
    });
}
