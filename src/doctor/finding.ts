/** What `sluice doctor` says of one thing that it has looked at. */
export interface Finding {
  /** What was looked at, in one or two words. */
  readonly check: string;
  readonly level: 'ok' | 'warning' | 'fault';
  readonly what: string;
  /** What to change; null where nothing is wrong. */
  readonly remedy: string | null;
}

export const ok = (check: string, what: string): Finding => ({ check, level: 'ok', what, remedy: null });

export const warning = (check: string, what: string, remedy: string): Finding => ({
  check,
  level: 'warning',
  what,
  remedy,
});

/** The broker would not start, or would not do what it is for. */
export const fault = (check: string, what: string, remedy: string): Finding => ({
  check,
  level: 'fault',
  what,
  remedy,
});

const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

export function inUnits(bytes: number): string {
  const power = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 2 ** (10 * power);
  return `${value >= 10 || power === 0 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}
