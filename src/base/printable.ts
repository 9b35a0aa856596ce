/**
 * Text of unknown peers, made harmless for logs and terminals: what would move the cursor, colour the screen, begin a
 * line or turn the direction of writing stands as `\u001b`, and there is an end to it.
 */
const charactersMax = 1_000;
const ellipsisBytes = 3;

/**
 * C0, DEL and C1; line and paragraph separators; marks, embeddings, overrides and isolates of direction; lone
 * surrogates.
 */
const harmful =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const mayNeedChange = /[^\u0020-\u007e\u00a0-\u0600]/;

const escaped = (text: string) =>
  text.replace(harmful, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/**
 * A value as one line of JSON that is as harmless, and still says exactly what is in it. Texts in it are cut as well.
 */
export function jsonLine(value: object): string {
  return escaped(JSON.stringify(value, (_key, each: unknown) => (typeof each === 'string' ? cut(each) : each)));
}

export function printable(text: string): string {
  if (text.length <= charactersMax && !mayNeedChange.test(text)) return text;
  return escaped(cut(text));
}

/** The same in no more than so many bytes of UTF-8: for what is sent to a peer, or kept in a table. */
export function printableWithin(text: string, bytesMax: number): string {
  const shown = printable(text);
  // Characters of UTF-16 take three bytes at most.
  if (shown.length * 3 <= bytesMax) return shown;
  const bytes = Buffer.from(shown);
  if (bytes.length <= bytesMax) return shown;
  let end = bytesMax - ellipsisBytes;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return `${bytes.toString('utf8', 0, end)}…`;
}

function cut(text: string): string {
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax)}… (${text.length} characters)`;
}
