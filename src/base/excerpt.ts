/**
 * The beginning of a value as JSON, for messages and logs: whatever its size and depth, it costs as little as what is
 * shown.
 */

export interface ExcerptOptions {
  /** Default: 200. */
  readonly charactersMax?: number;
  /** Values of these keys are not shown. */
  readonly secretKeys?: ReadonlySet<string>;
}

const depthMax = 8;
const entriesMax = 100;

export function excerpt(value: unknown, { charactersMax = 200, secretKeys }: ExcerptOptions = {}): string {
  let charactersLeft = charactersMax;
  const cut = (node: unknown, depth: number): unknown => {
    charactersLeft--;
    if (typeof node === 'string') {
      const text = node.length > charactersMax ? `${node.slice(0, charactersMax)}…` : node;
      charactersLeft -= text.length;
      return text;
    }
    if (typeof node !== 'object' || node === null) return node;
    if (depth === depthMax || charactersLeft <= 0) return '…';
    if (Array.isArray(node)) return node.slice(0, room()).map((each) => cut(each, depth + 1));
    const entries: [string, unknown][] = [];
    for (const key in node) {
      if (entries.length >= room()) break;
      charactersLeft -= key.length;
      const shown = secretKeys?.has(key) === true ? '…' : cut((node as Record<string, unknown>)[key], depth + 1);
      entries.push([key.slice(0, charactersMax), shown]);
    }
    return Object.fromEntries(entries);
  };
  const room = () => Math.max(1, Math.min(entriesMax, charactersLeft));
  const text = JSON.stringify(cut(value, 0)) ?? '';
  return text.length > charactersMax ? `${text.slice(0, charactersMax)}…` : text;
}
