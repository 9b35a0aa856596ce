/** How commands print what they have looked at, and end. */
import type { Finding } from '../doctor/finding.ts';
import type { Io } from './io.ts';
import { CommandError } from './usage.ts';

/** Ends the command with exit code 1 where there is a fault. */
export function printFindings(findings: readonly Finding[], asJson: boolean, io: Io): void {
  const count = (level: Finding['level']) => findings.filter((each) => each.level === level).length;
  const [faults, warnings] = [count('fault'), count('warning')];
  if (asJson) io.stdout.write(`${JSON.stringify({ faults, warnings, findings }, null, 2)}\n`);
  else io.stdout.write(`${findings.map(lineOf).join('\n')}\n\n${summary(faults, warnings)}\n`);
  // What is wrong was said already.
  if (faults > 0) throw new CommandError('');
}

function lineOf({ check, level, what, remedy }: Finding): string {
  const indent = ' '.repeat(27);
  const text = what.split('\n').join(`\n${indent}`);
  // A check may be named after a server, whose name is as long as it is.
  return `${level.padEnd(8)} ${check.padEnd(17)} ${text}${remedy === null ? '' : `\n${indent}${remedy}`}`;
}

function summary(faults: number, warnings: number): string {
  const all = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;
  if (faults + warnings === 0) return 'Nothing is wrong';
  return `${all(faults, 'fault')}, ${all(warnings, 'warning')}`;
}
