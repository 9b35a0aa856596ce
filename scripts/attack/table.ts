import type { Result } from './row.ts';

const head = [
  'row',
  'over',
  'p99 before → during, ms',
  'longest',
  'newcomers p99, longest',
  'RSS before → most (ceiling), MB',
  'CPU s',
  'held',
] as const;

const ms = (value: number) => value.toFixed(value < 10 ? 1 : 0);

export function cells(result: Result): string[] {
  const { before, during, preparing } = result;
  const worst = (of: 'p99' | 'longest' | 'newcomersP99' | 'newcomersLongest') => {
    return Math.max(during[of], preparing?.[of] ?? 0);
  };
  const { rssMegabytesBefore, rssMegabytesMost, ceilingMegabytes } = result;
  return [
    result.row,
    result.transport,
    `${ms(before.p99)} → ${ms(worst('p99'))}`,
    ms(worst('longest')),
    `${ms(worst('newcomersP99'))}, ${ms(worst('newcomersLongest'))}`,
    `${rssMegabytesBefore.toFixed(0)} → ${rssMegabytesMost.toFixed(0)} (${ceilingMegabytes})`,
    `${result.cpuSeconds.toFixed(1)} of ${result.seconds.toFixed(1)}`,
    result.problems.length === 0 ? '✓' : `✗ ${result.problems.map((each) => each.split('\n')[0]).join('; ')}`,
  ];
}

export function tableOf(results: readonly Result[]): string {
  const lines = [[...head], head.map(() => '---'), ...results.map(cells)];
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n');
}
