/** What is wrong with values that a schema has refused, in words for whoever wrote them. */
import type { z } from 'zod';
import { excerpt } from '../base/excerpt.ts';

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

/** What stands there instead. */
export function finding({ path }: z.core.$ZodIssue, input: unknown): string {
  const found = path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null)?.[key], input);
  return found === undefined ? 'it is missing' : `found ${excerpt(found)}`;
}
