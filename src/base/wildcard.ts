/**
 * Whether a text is what a pattern says in which `*` stands for any characters, or for none.
 *
 * `parts`: the pattern, split at its asterisks.
 */
export function matchesWildcard(parts: readonly string[], text: string): boolean {
  const [first, last] = [parts[0]!, parts.at(-1)!];
  if (parts.length === 1) return text === first;
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  let at = first.length;
  for (let i = 1; i < parts.length - 1; i++) {
    const found = text.indexOf(parts[i]!, at);
    if (found === -1) return false;
    at = found + parts[i]!.length;
  }
  return at <= text.length - last.length;
}
