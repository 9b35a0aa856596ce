/** What is wrong with values that a schema has refused, in words for whoever wrote them. */
import type { z } from 'zod';
import { excerpt } from '../base/excerpt.ts';
import { isSecretName } from '../base/secrets.ts';

/** What should stand where the issue is. */
export function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${issue.expected === 'int' || issue.expected === 'number' ? 'a whole number' : issue.expected}`;
    case 'too_small':
      return `expected at least ${issue.minimum}`;
    case 'too_big':
      return `expected at most ${issue.maximum}`;
    case 'invalid_value':
      return `expected one of ${issue.values.map(String).join(', ')}`;
    default:
      return `expected ${issue.message}`;
  }
}

/** What stands there instead, unless it may be a secret: whoever reads a log or asks for settings may see it. */
export function finding({ path }: z.core.$ZodIssue, input: unknown): string {
  const found = path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null)?.[key], input);
  if (found === undefined) return 'it is missing';
  if (path.some((key) => isSecretName(String(key)))) return 'found something else, which is not shown';
  // Nothing has a name there that tells what it is.
  if (path.length === 0) return `found ${kindOf(found)}`;
  return `found ${excerpt(found)}`;
}

const kindOf = (value: unknown) => {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return { string: 'text', number: 'a number', boolean: 'true or false' }[typeof value as string] ?? 'something else';
};
