/**
 * A text that a client chose: an identifier, a topic, a user name. It may be very long, run from right to left, or have
 * characters that cannot be seen; it stays in its place and is never markup.
 */
interface NameProps {
  readonly text: string;
  /** Characters that are shown at most. */
  readonly most?: number;
  /** It is a sentence, as a reason is, and no name. */
  readonly isProse?: boolean;
}

const titleMost = 1_000;

export function Name({ text, most = 120, isProse = false }: NameProps) {
  const shown = visible(cut(text, most));
  return (
    <bdi class={isProse ? 'prose' : 'name'} title={shown === text ? undefined : visible(cut(text, titleMost))}>
      {shown}
    </bdi>
  );
}

/** Without the second half of a character. */
export function cut(text: string, most: number): string {
  if (text.length <= most) return text;
  return `${text.slice(0, most).replace(/[\uD800-\uDBFF]$/, '')}…`;
}

/** Control characters, and those that turn the direction of what follows, as codes: few fonts have their pictures. */
export function visible(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\u200B-\u200F\u202A-\u202E\u2060-\u206F\uFEFF]/gu, (character) => {
    const code = character.codePointAt(0)!;
    return `‹${code.toString(16).toUpperCase().padStart(4, '0')}›`;
  });
}

/** The broker's own words as a sentence: it also writes them behind others. A name is left as it is, in its quotes. */
export const sentence = (words: string): string => words.replace(/^\p{Ll}/u, (letter) => letter.toUpperCase());

const pairsMost = 2_000;

/** Names and values as `sluice trace` writes them. */
export function pairs(fields: Readonly<Record<string, unknown>>): string {
  // What is not so need not be said.
  const said = Object.entries(fields).filter(([, value]) => value !== false && value !== null);
  const written = said.map(([name, value]) => {
    const isPlain = typeof value === 'string' && /^[\w/.:+#$-]+$/.test(value);
    return `${name}=${isPlain ? value : JSON.stringify(value)}`;
  });
  return visible(cut(written.join('  '), pairsMost));
}
