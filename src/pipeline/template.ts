/**
 * Texts with `${…}` in them: `${topic}`, `${topic[1]}` (levels, from 0), `${clientId}`, `${username}`, `${listener}`,
 * `${timestamp}` (ISO 8601), `${now}` (milliseconds), `${value}` and `${value.path}`. A text that is one placeholder
 * and nothing else keeps the type of what it stands for.
 */
import { PipelineError, StageFailure } from './errors.ts';
import type { Item } from './item.ts';
import { getAt } from './paths.ts';
import type { StageContext } from './stages/stage.ts';

export type Template = (item: Item, context: StageContext) => unknown;

/** Whether one of its placeholders stands for something in the payload. */
export const readsValue = (text: string): boolean => /\$\{\s*value/.test(text);

/** Throws a PipelineError for a placeholder that there is not. */
export function template(text: string, path: readonly (string | number)[]): Template {
  const parts = text.split(/\$\{([^}]*)\}/);
  const readers = parts.filter((_, index) => index % 2 === 1).map((name) => placeholder(name.trim(), path));
  if (readers.length === 0) return () => text;
  if (readers.length === 1 && parts[0] === '' && parts[2] === '') return readers[0]!;
  return (item, context) => {
    let result = parts[0]!;
    for (const [index, read] of readers.entries()) result += `${valueText(read(item, context))}${parts[2 * index + 2]}`;
    return result;
  };
}

/**
 * A template of a whole topic: what a placeholder stands for is one level or a part of one, or whoever publishes would
 * choose where a message goes. Only `${topic}` has the levels that it has.
 */
export function topicTemplate(
  text: string,
  path: readonly (string | number)[],
): (item: Item, context: StageContext) => string {
  const parts = text.split(/\$\{([^}]*)\}/);
  const fills = parts.map((part, index) => {
    if (index % 2 === 0) return () => part;
    const name = part.trim();
    const read = placeholder(name, path);
    const isFirst = index === 1 && parts[0] === '';
    return (item: Item, context: StageContext) => {
      const value = valueText(read(item, context));
      if (name !== 'topic') assertFillsLevel(name, value, isFirst);
      return value;
    };
  });
  return (item, context) => fills.map((fill) => fill(item, context)).join('');
}

function assertFillsLevel(name: string, value: string, isFirst: boolean): void {
  const harmful = /[/+#\0]/.exec(value)?.[0];
  const what = `\${${name}} stands for one level of a topic, and`;
  if (harmful !== undefined)
    throw new StageFailure(`${what} ${JSON.stringify(value)} holds ${JSON.stringify(harmful)}`);
  if (value === '') throw new StageFailure(`${what} there is nothing in it`);
  if (isFirst && value.startsWith('$')) throw new StageFailure(`${what} ${JSON.stringify(value)} begins with "$"`);
}

function valueText(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (value instanceof Date) return value.toISOString();
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function placeholder(name: string, path: readonly (string | number)[]): Template {
  const level = /^topic\[(\d+)\]$/.exec(name);
  if (level !== null) {
    const index = Number(level[1]);
    return ({ topic }) => {
      const found = topic.split('/')[index];
      if (found === undefined) throw new StageFailure(`the topic has no level ${index}`);
      return found;
    };
  }
  if (name.startsWith('value.')) return (item) => getAt(item.value, name.slice(6));
  const read = Object.hasOwn(placeholders, name) ? placeholders[name] : undefined;
  if (read !== undefined) return read;
  const known = `${Object.keys(placeholders).join(', ')}, topic[0], value.path`;
  throw new PipelineError(path, `there is no placeholder ${name}; there are ${known}`);
}

const placeholders: Readonly<Record<string, Template>> = {
  topic: ({ topic }) => topic,
  value: (item) => item.value,
  clientId: (_, { publisher }) => publisher?.clientId ?? null,
  username: (_, { publisher }) => publisher?.username ?? null,
  listener: (_, { publisher }) => publisher?.listener ?? null,
  timestamp: (_, { now }) => new Date(now).toISOString(),
  now: (_, { now }) => now,
};
