/** Paths into values: `meta.site`, `readings.0.celsius`. A name of `__proto__` is a field like any other. */

type Fields = Record<string, unknown>;

export function getAt(value: unknown, path: string): unknown {
  let found = value;
  for (const name of path.split('.')) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined;
    found = (found as Fields)[name];
  }
  return found;
}

/** A copy with the field set; objects on the way are made where there are none. */
export function withAt(value: unknown, path: string, field: unknown): unknown {
  const [name = '', ...rest] = path.split('.');
  const inner = rest.length === 0 ? field : withAt(ownOf(value, name), rest.join('.'), field);
  if (Array.isArray(value) && /^\d+$/.test(name) && Number(name) <= value.length) {
    return [...value.slice(0, Number(name)), inner, ...value.slice(Number(name) + 1)];
  }
  const entries = isFields(value) ? Object.entries(value) : [];
  const index = entries.findIndex(([each]) => each === name);
  if (index === -1) entries.push([name, inner]);
  else entries[index] = [name, inner];
  return Object.fromEntries(entries);
}

/** A copy without the field. */
export function withoutAt(value: unknown, path: string): unknown {
  const [name = '', ...rest] = path.split('.');
  if (!isFields(value) && !Array.isArray(value)) return value;
  if (!Object.hasOwn(value, name)) return value;
  if (rest.length > 0) return withAt(value, name, withoutAt(ownOf(value, name), rest.join('.')));
  if (Array.isArray(value)) return value.filter((_, index) => index !== Number(name));
  return Object.fromEntries(Object.entries(value).filter(([each]) => each !== name));
}

const ownOf = (value: unknown, name: string): unknown => {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Fields)[name]
    : undefined;
};

function isFields(value: unknown): value is Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return !(value instanceof Uint8Array) && !(value instanceof Date);
}
