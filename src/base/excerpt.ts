/**
 * The beginning of a value as JSON, for messages and logs: whatever its size and depth, it costs as little as what is
 * shown. What `secrets.ts` takes for a secret is not shown.
 */
import { isSecretName, mask, withoutCredentials } from './secrets.ts';

export interface ExcerptOptions {
  /** Default: 200. */
  readonly charactersMax?: number;
}

const depthMax = 8;
const entriesMax = 100;
/** Looked at for a password before an @. */
const urlCharactersMax = 16_384;

export function excerpt(value: unknown, { charactersMax = 200 }: ExcerptOptions = {}): string {
  let charactersLeft = charactersMax;
  const cut = (node: unknown, depth: number): unknown => {
    charactersLeft--;
    if (typeof node === 'string') {
      const shown = withoutCredentials(node.slice(0, urlCharactersMax));
      const text = shown.length > charactersMax ? `${shown.slice(0, charactersMax)}…` : shown;
      charactersLeft -= text.length;
      return text;
    }
    if (typeof node !== 'object' || node === null) return node;
    if (depth === depthMax || charactersLeft <= 0) return '…';
    if (Array.isArray(node)) {
      const shown: unknown[] = [];
      // `slice` and `map` would ask the list for its constructor, which whoever made it may have set.
      for (let at = 0, most = Math.min(node.length, room()); at < most; at++) shown.push(cut(node[at], depth + 1));
      return shown;
    }
    const entries: [string, unknown][] = [];
    for (const key in node) {
      if (entries.length >= room()) break;
      charactersLeft -= key.length;
      const shown = isSecretName(key) ? mask : cut((node as Record<string, unknown>)[key], depth + 1);
      entries.push([key.slice(0, charactersMax), shown]);
    }
    return Object.fromEntries(entries);
  };
  const room = () => Math.max(1, Math.min(entriesMax, charactersLeft));
  const text = JSON.stringify(cut(value, 0)) ?? '';
  return text.length > charactersMax ? `${text.slice(0, charactersMax)}…` : text;
}
