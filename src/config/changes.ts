/** How a configuration differs from another, and when that takes effect: docs/guides/reload.md has the rules. */
import { isDeepStrictEqual } from 'node:util';
import { hasAuthentication } from '../contracts/authentication.ts';
import { isSameAddress } from '../contracts/listener-url.ts';
import { maskedConfig } from './masked.ts';
import type { Config } from './schema.ts';

export interface ConfigChange {
  /** As `limits.queueMessages`. */
  readonly path: string;
  /** Undefined: it is not there. Secrets are masked. */
  readonly from: unknown;
  readonly to: unknown;
  readonly takesEffect: 'reload' | 'restart';
}

/** What a reload replaces. */
const reloaded = /^(pipelines|tests|authorization(?!\.http)|bridges|listeners\.\d+\.aclFile)(\.|$)/;
const reloadedWithAuthentication =
  /^(authentication|allowAnonymous|authenticationLimits\.cache\w+|listeners\.\d+\.(authentication|allowAnonymous|anyUsername))(\.|$)/;

export function changesOf(from: Config, to: Config): ConfigChange[] {
  const found: ConfigChange[] = [];
  // The first authentication of a broker needs a restart, and so does its last.
  const keepsAuthentication = hasAuthentication(from) && hasAuthentication(to);
  const takesEffect = (path: string) =>
    reloaded.test(path) || (keepsAuthentication && reloadedWithAuthentication.test(path)) ? 'reload' : 'restart';
  compare('', { raw: from, shown: maskedConfig(from) }, { raw: to, shown: maskedConfig(to) });
  return found;

  function compare(path: string, one: Side, other: Side): void {
    if (isDeepStrictEqual(one.raw, other.raw)) return;
    if (!areAlike(path, one.raw, other.raw)) {
      found.push({ path, from: one.shown, to: other.shown, takesEffect: takesEffect(path) });
      return;
    }
    for (const key of new Set([...Object.keys(one.raw as object), ...Object.keys(other.raw as object)])) {
      compare(path === '' ? key : `${path}.${key}`, under(one, key), under(other, key));
    }
  }
}

interface Side {
  readonly raw: unknown;
  readonly shown: unknown;
}

const under = ({ raw, shown }: Side, key: string): Side => ({
  raw: (raw as Record<string, unknown>)[key],
  shown: (shown as Record<string, unknown> | undefined)?.[key],
});

/** Settings of the same kind, or lists whose items can be compared one by one. */
function areAlike(path: string, one: unknown, other: unknown): boolean {
  if (!isMap(one) || !isMap(other)) {
    if (!Array.isArray(one) || !Array.isArray(other) || one.length !== other.length) return false;
    return path !== 'listeners' || one.every((each, index) => isSameAddress(each, other[index]));
  }
  return one.kind === other.kind;
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What is in force once `next` was reloaded. */
export function afterReload(running: Config, next: Config): Config {
  const { pipelines, tests, bridges } = next;
  const { http: _, ...rules } = next.authorization;
  const { http } = running.authorization;
  const authorization = { ...rules, ...(http === undefined ? {} : { http }) };
  const anew = (listener: Config['listeners'][number]) =>
    next.listeners.find((each) => isSameAddress(each, listener)) ?? listener;
  const withRules = running.listeners.map((listener) => ({ ...listener, aclFile: anew(listener).aclFile }));
  const parts = { ...running, pipelines, tests, authorization, bridges, listeners: withRules };
  if (!hasAuthentication(running)) return parts;
  const { authentication, allowAnonymous, authenticationLimits: limits } = next;
  const { cacheSeconds, cacheEntries } = limits;
  const listeners = withRules.map((listener) => {
    const { authentication: own, allowAnonymous: anonymous, anyUsername } = anew(listener);
    return { ...listener, authentication: own, allowAnonymous: anonymous, anyUsername };
  });
  const authenticationLimits = { ...running.authenticationLimits, cacheSeconds, cacheEntries };
  return { ...parts, authentication, allowAnonymous, authenticationLimits, listeners };
}
