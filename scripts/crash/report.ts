/** What a person reads of rounds. */
import type { Violation } from './ledger.ts';
import type { RoundResult } from './round.ts';

const violationsToldMax = 10;

export function tellRound(number: number, result: RoundResult): string {
  const { seed, crashes, stops, acknowledged, arrived, wills, restartsMs, violations } = result;
  const verdict = violations.length === 0 ? 'ok' : `${violations.length} VIOLATIONS`;
  const counts = `${crashes} crashes, ${stops} stops, ${acknowledged} acknowledged, ${arrived} arrived, ${wills} wills`;
  const line = `round ${number}, seed ${seed}: ${counts}, restart ${restartsMs.at(-1) ?? '-'} ms: ${verdict}`;
  const told = violations.slice(0, violationsToldMax).map(({ kind, what }) => `  ${kind}: ${what}`);
  if (violations.length > violationsToldMax) told.push(`  and ${violations.length - violationsToldMax} more`);
  if (violations.length > 0) told.push(...(result.story ?? []).map((each) => `  ${each}`));
  if (violations.length > 0) told.push(`  to repeat it: --rounds 1 --seed ${seed}, and the same options`);
  return [line, ...told].join('\n');
}

export function countOf(results: readonly RoundResult[], kind: Violation['kind']): number {
  return results.flatMap(({ violations }) => violations).filter((violation) => violation.kind === kind).length;
}

export function tellSummary(results: readonly RoundResult[]): string {
  const sum = (field: 'crashes' | 'stops' | 'acknowledged' | 'repeated' | 'wills') =>
    results.reduce((total, result) => total + result[field], 0);
  const restarts = results.flatMap(({ restartsMs }) => restartsMs).sort((a, b) => a - b);
  const median = restarts[Math.floor(restarts.length / 2)] ?? '-';
  const count = (kind: Violation['kind']) => countOf(results, kind);
  return [
    `${results.length} rounds, ${sum('crashes')} crashes, ${sum('stops')} stops by order: ${sum('acknowledged')} messages acknowledged`,
    `${count('lost')} lost, ${count('duplicated')} duplicated, ${count('out of order')} out of order`,
    `${sum('wills')} wills, ${count('will')} wrong; ${count('retained')} retained wrong, ${count('session')} sessions lost`,
    `${count('unwanted')} unwanted, ${count('dup')} wrong DUP flags, ${count('packet id')} packet identifiers reused`,
    `${count('broker')} failures`,
    `QoS 1 again ${sum('repeated')} times, all with reason`,
    `restart p50 ${median} ms, max ${restarts.at(-1) ?? '-'} ms`,
  ].join('; ');
}
