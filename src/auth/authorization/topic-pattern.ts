/**
 * The topic patterns of rules: topic filters in which a client's own names may stand, as `devices/${clientId}/#`.
 *
 * A pattern is not expanded for each client: a level with a placeholder stays one, and is compared with the client's
 * names when a topic is looked up. So a million clients share one tree of rules.
 */
import type { ClientIdentity } from '../../contracts/hooks.ts';

/** `username`, `clientId` or `attributes.…`. */
export type Placeholder = string;

/** What stands there for this client; null: it has none, or an empty one. */
export function placeholderValue(placeholder: Placeholder, client: ClientIdentity): string | null {
  if (placeholder === 'username') return usernameOf(client);
  if (placeholder === 'clientId') return client.clientId;
  return attributeOf(placeholder.slice('attributes.'.length), client) || null;
}

/** An empty username is none. */
export const usernameOf = ({ username }: ClientIdentity) => username || null;

export function attributeOf(name: string, { attributes }: ClientIdentity): string | null {
  return Object.hasOwn(attributes, name) ? attributes[name]! : null;
}

/** A level with placeholders in it: texts and placeholders in turn, beginning and ending with a text. */
export class TemplateLevel {
  readonly texts: readonly string[];
  readonly placeholders: readonly Placeholder[];
  /** Mosquitto lets a client's name begin with `$` and so reach `$SYS`; in our own rules it does not. */
  readonly mayBeginWithDollar: boolean;
  /** And a name that holds `/` fills several levels there; in our own rules it fits nowhere. */
  readonly mayFillLevels: boolean;
  readonly #isBare: boolean;

  constructor(texts: readonly string[], placeholders: readonly Placeholder[], isMosquitto: boolean) {
    this.texts = texts;
    this.placeholders = placeholders;
    this.#isBare = texts.every((text) => text === '');
    this.mayFillLevels = isMosquitto;
    this.mayBeginWithDollar = isMosquitto || texts[0]!.startsWith('$');
  }

  /** Null: the client lacks one of the names. */
  expand(client: ClientIdentity): string | null {
    // The most frequent by far: the placeholder is the whole level.
    if (this.placeholders.length === 1 && this.#isBare) return placeholderValue(this.placeholders[0]!, client);
    let text = this.texts[0]!;
    for (const [index, placeholder] of this.placeholders.entries()) {
      const value = placeholderValue(placeholder, client);
      if (value === null) return null;
      text += value + this.texts[index + 1]!;
    }
    return text;
  }

  isSame(other: TemplateLevel): boolean {
    return (
      this.mayBeginWithDollar === other.mayBeginWithDollar &&
      this.mayFillLevels === other.mayFillLevels &&
      this.texts.join('\0') === other.texts.join('\0') &&
      this.placeholders.join('\0') === other.placeholders.join('\0')
    );
  }
}

/** A level is a text, `+`, `#` at the end, or has placeholders. */
export type Level = string | TemplateLevel;
export type TopicPattern = readonly Level[];

const ownPlaceholder = /\$\{(username|clientId|attributes\.[^${}/+#]+)\}/;
const mosquittoPlaceholder = /%([uc])/;

/** `text` is a valid topic filter once its placeholders are filled: the configuration's schema has seen to it. */
export function parsePattern(text: string): TopicPattern {
  return text.split('/').map((level) => parseLevel(level.split(ownPlaceholder), false));
}

/** With `%u` and `%c`, as in a `pattern` line of an ACL file. */
export function parseMosquittoPattern(text: string): TopicPattern {
  return text.split('/').map((level) => {
    const parts = level.split(mosquittoPlaceholder);
    return parseLevel(
      parts.map((part, index) => (index % 2 === 0 ? part : part === 'u' ? 'username' : 'clientId')),
      true,
    );
  });
}

/** Of texts and placeholders in turn. */
function parseLevel(parts: readonly string[], isMosquitto: boolean): Level {
  if (parts.length === 1) return parts[0]!;
  const texts = parts.filter((_, index) => index % 2 === 0);
  const placeholders = parts.filter((_, index) => index % 2 === 1);
  return new TemplateLevel(texts, placeholders, isMosquitto);
}

export function placeholdersOf(patterns: readonly TopicPattern[]): readonly Placeholder[] {
  const all = patterns.flat().flatMap((level) => (typeof level === 'string' ? [] : level.placeholders));
  return [...new Set(all)];
}

/** The topic filter for this client; null: it lacks a name, or has one that may not begin a topic. */
export function expand(pattern: TopicPattern, client: ClientIdentity): string | null {
  const levels = pattern.map((level) => (typeof level === 'string' ? level : level.expand(client)));
  if (levels.includes(null)) return null;
  const [first] = pattern;
  if (first instanceof TemplateLevel && !first.mayBeginWithDollar && levels[0]!.startsWith('$')) return null;
  return levels.join('/');
}

/**
 * The levels of a topic filter, such that `#` after an empty start means what it matches: there is no topic without a
 * name.
 */
export function levelsOfFilter(filter: string): readonly string[] {
  if (filter === '#') return ['+', '#'];
  return filter === '/#' ? ['', '+', '#'] : filter.split('/');
}

/** Whether there can be a topic that both filters match. [MQTT5 4.7] */
export function overlaps(one: string, other: string): boolean {
  const [a, b] = [levelsOfFilter(one), levelsOfFilter(other)];
  // A leading wildcard does not match a name that begins with `$`. [MQTT5 4.7.2-1]
  const isWild = ([first]: readonly string[]) => first === '+' || first === '#';
  if ((isWild(a) && other.startsWith('$')) || (isWild(b) && one.startsWith('$'))) return false;
  for (let i = 0; ; i++) {
    if (a[i] === '#' || b[i] === '#') return true;
    if (a[i] === undefined || b[i] === undefined) return a[i] === b[i];
    if (a[i] !== '+' && b[i] !== '+' && a[i] !== b[i]) return false;
  }
}
