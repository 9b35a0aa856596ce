/** A configuration as a list of settings, for a table. */
export interface Setting {
  /** As `limits.queueMessages`. */
  readonly path: string;
  readonly value: unknown;
  readonly isDefault: boolean;
  /** Only of one that is not the default, where the broker names that of just this setting. */
  readonly usual?: unknown;
  /** Absent: it is as by default, or a program gave it. */
  readonly origin?: Origin;
}

export interface Origin {
  readonly path: string;
  readonly from: 'file' | 'environment' | 'option' | 'machine';
  readonly where: string | null;
}

type Deviation = { readonly path: string; readonly default?: unknown };

export function settingsOf(config: object, deviations: readonly Deviation[], origins: readonly Origin[]): Setting[] {
  const found: Setting[] = [];
  const add = (path: string, value: unknown, isDefaultSoFar: boolean) => {
    const deviation = deviations.find((each) => each.path === path);
    const isDefault = isDefaultSoFar && deviation === undefined;
    const parts = Object.entries(isComposed(value) ? value : {});
    if (parts.length === 0) {
      // Of a list that stays together, an item.
      const isWhole = !deviations.some((each) => each.path.startsWith(`${path}.`));
      const origin = origins.find((each) => isWithin(path, each.path) || isWithin(each.path, path));
      found.push({
        path,
        value,
        isDefault: isDefault && isWhole,
        ...(origin === undefined ? {} : { origin }),
        ...(deviation === undefined ? {} : { usual: deviation.default }),
      });
    }
    for (const [key, each] of parts) add(path === '' ? key : `${path}.${key}`, each, isDefault);
  };
  add('', config, true);
  return found;
}

const isWithin = (path: string, other: string): boolean => path === other || path.startsWith(`${other}.`);

/** Lists of plain values stay together. */
const isComposed = (value: unknown): value is object =>
  typeof value === 'object' &&
  value !== null &&
  (!Array.isArray(value) || value.some((each) => typeof each === 'object' && each !== null));

/** As one writes it. */
export const valueText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
