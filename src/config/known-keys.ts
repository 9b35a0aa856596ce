/**
 * What a program gives as an object instead of a file: what is not known there is refused as unknown settings are. A
 * hook with a mistyped name would never be called, and the broker would let everybody in.
 */
import { nearest } from '../base/nearest.ts';
import { ConfigError } from './error.ts';

/** `what`: the object, for the message. Throws a ConfigError. */
export function assertKnownKeys(what: string, given: unknown, known: readonly string[]): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new ConfigError(`${what}: expected an object with ${known.join(', ')}`);
  }
  const problems = suspectKeys(given, known).map((key) => {
    const suggestion = nearest(key, known);
    return `${what}.${key}: there is no such setting; ${suggestion === null ? `there are ${known.join(', ')}` : `did you mean ${suggestion}?`}`;
  });
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
}

/** Those that are functions, or absent. Throws a ConfigError. */
export function assertFunctions(what: string, given: object, names: readonly string[]): void {
  for (const name of names) {
    const value = (given as Readonly<Record<string, unknown>>)[name];
    if (value === undefined || typeof value === 'function') continue;
    throw new ConfigError(`${what}.${name}: expected a function, found ${value === null ? 'null' : typeof value}`);
  }
}

/**
 * Of a plain object all keys that are not known; of an instance, which may have state of its own, those that look like
 * a known one.
 */
function suspectKeys(given: object, known: readonly string[]): string[] {
  const prototype = Object.getPrototypeOf(given) as object | null;
  if (prototype === null || prototype === Object.prototype) {
    return Object.keys(given).filter((key) => !known.includes(key));
  }
  const all = new Set<string>();
  for (
    let each: object | null = given;
    each !== null && each !== Object.prototype;
    each = Object.getPrototypeOf(each)
  ) {
    for (const key of Object.getOwnPropertyNames(each)) all.add(key);
  }
  return [...all].filter((key) => !known.includes(key) && nearest(key, known) !== null);
}
