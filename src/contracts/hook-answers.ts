/**
 * What hooks and steps of a program may answer. Programs are written without types, too, or by mistake: what is no
 * answer is an error of the hook, which refuses, and is never taken for a yes.
 */

import { isThenable, ownPromise } from '../base/thenable.ts';
import type { Cluster, ResidentSessions, SharedSubscriptions } from './cluster.ts';
import type { AuthenticationAnswer, AuthenticationRequest, Awaitable, Hooks, PublishVerdict } from './hooks.ts';
import type { DeliverVerdict } from './pipeline.ts';

/**
 * The answer, checked: at once if it is there, else as a promise of our own, whatever kind of promise the program has.
 */
export function checkedAnswer<T>(answer: unknown, check: (answer: unknown) => T): Awaitable<T> {
  return isThenable(answer) ? ownPromise(answer).then(check) : check(answer);
}

/** The answer, or a rejection in the place of one that does not come in time. */
export type InTime = <T>(answer: Awaitable<T>) => Awaitable<T>;

/**
 * The same hooks, whose answers can be relied upon: what is none is thrown, or rejects, as a TypeError. One that never
 * answers would hold its client, or a will, for ever; before CONNACK, the limit for CONNECT holds.
 */
export function checkedHooks(hooks: Hooks, inTime: InTime): CheckedHooks {
  return {
    ...(hooks.authenticate && {
      authenticate: (request) => {
        const check = (answer: unknown) => asAuthenticationAnswer(answer, request);
        const answer = checkedAnswer(hooks.authenticate!(request), check);
        return request.isReAuthentication ? inTime(answer) : answer;
      },
    }),
    ...(hooks.authorizePublish && {
      authorizePublish: (...asked) => inTime(checkedAnswer(hooks.authorizePublish!(...asked), asPublishCode)),
    }),
    ...(hooks.authorizeSubscribe && {
      authorizeSubscribe: (...asked) => inTime(checkedAnswer(hooks.authorizeSubscribe!(...asked), asSubscribeCode)),
    }),
  };
}

/** All of it, whatever the program's has. */
export type CheckedCluster = Required<Omit<Cluster, 'shared' | 'residents'>> & {
  readonly shared: SharedSubscriptions | null;
  readonly residents: ResidentSessions | null;
};

/** What is no valid answer refuses, and the time to answer is limited, as for hooks. */
export function checkedCluster(cluster: Cluster, inTime: InTime): CheckedCluster {
  return {
    claim: (clientId) => inTime(checkedAnswer(cluster.claim(clientId), asPublishCode)),
    holds: (clientId) => cluster.holds?.(clientId) ?? true,
    forward: (messages, details) => inTime(checkedAnswer(cluster.forward(messages, details), asPublishCode)),
    isLogged: (message) => cluster.isLogged?.(message) ?? false,
    mayLog: (message) => cluster.mayLog?.(message) ?? false,
    shared: cluster.shared ?? null,
    residents: cluster.residents ?? null,
  };
}

/** `onPublish` is a step of the pipeline, which checks it there. */
export interface CheckedHooks {
  readonly authenticate?: (request: AuthenticationRequest) => Awaitable<AuthenticationAnswer>;
  readonly authorizePublish?: (...asked: Parameters<NonNullable<Hooks['authorizePublish']>>) => Awaitable<number>;
  readonly authorizeSubscribe?: (...asked: Parameters<NonNullable<Hooks['authorizeSubscribe']>>) => Awaitable<number>;
}

const isRefusal = (code: unknown) => Number.isInteger(code) && (code as number) >= 0x80 && (code as number) <= 0xff;

function asPublishCode(answer: unknown): number {
  if (answer === 0 || isRefusal(answer)) return answer as number;
  throw noAnswer(answer, '0 to allow, or a reason code from 0x80 to 0xff');
}

function asSubscribeCode(answer: unknown): number {
  if (answer === 0 || answer === 1 || answer === 2 || isRefusal(answer)) return answer as number;
  throw noAnswer(answer, 'a QoS (0, 1, 2), or a reason code from 0x80 to 0xff');
}

type Fields = Readonly<Record<string, unknown>>;

export function asAuthenticationAnswer(answer: unknown, { method }: AuthenticationRequest): AuthenticationAnswer {
  const fields = asFields(
    answer,
    "{ outcome: 'accept' }, { outcome: 'refuse', reasonCode } or { outcome: 'continue', data }",
  );
  switch (fields.outcome) {
    case 'accept':
      assertFields(fields, {
        username: [isText, 'a string'],
        groups: [isTexts, 'a list of strings'],
        attributes: [isAttributes, 'an object of strings'],
        expiresAt: [Number.isFinite, 'milliseconds since the epoch'],
        data: [isData, 'a Buffer of at most 65,535 bytes'],
        mechanism: [isText, 'a string'],
      });
      return answer as AuthenticationAnswer;
    case 'refuse':
      assertFields(fields, {
        reason: [isText, 'a string'],
        hidesUsername: [isBoolean, 'true or false'],
        mechanism: [isText, 'a string'],
      });
      if (!isRefusal(fields.reasonCode)) throw noAnswer(fields.reasonCode, 'a reasonCode from 0x80 to 0xff');
      return answer as AuthenticationAnswer;
    case 'continue':
      if (!isData(fields.data ?? null)) throw noAnswer(fields.data, 'data: a Buffer of at most 65,535 bytes');
      if (method === null) throw new TypeError('it answered "continue" to a client that named no method in CONNECT');
      return { outcome: 'continue', data: (fields.data ?? null) as Buffer };
    default:
      throw noAnswer(fields.outcome, "an outcome: 'accept', 'refuse' or 'continue'");
  }
}

export function asPublishVerdict(answer: unknown): PublishVerdict {
  const fields = asFields(answer, "{ verdict: 'keep' } or another verdict");
  switch (fields.verdict) {
    case 'keep':
    case 'drop':
      return answer as PublishVerdict;
    case 'change':
      asFields(fields.change, 'change: what is to be changed');
      return answer as PublishVerdict;
    case 'split':
      if (!Array.isArray(fields.messages)) throw noAnswer(fields.messages, 'messages: a list');
      for (const each of fields.messages) asFields(each, 'messages: a list of objects');
      return answer as PublishVerdict;
    case 'reject':
      assertFields(fields, { reason: [isText, 'a string'] });
      if (!isRefusal(fields.reasonCode)) throw noAnswer(fields.reasonCode, 'a reasonCode from 0x80 to 0xff');
      return answer as PublishVerdict;
    default:
      throw noAnswer(fields.verdict, "a verdict: 'keep', 'change', 'split', 'drop' or 'reject'");
  }
}

export function asDeliverVerdict(answer: unknown): DeliverVerdict {
  const fields = asFields(answer, "{ verdict: 'keep' } or another verdict");
  switch (fields.verdict) {
    case 'keep':
    case 'drop':
      return answer as DeliverVerdict;
    case 'change':
      asFields(fields.message, 'message: what takes its place');
      return answer as DeliverVerdict;
    default:
      throw noAnswer(fields.verdict, "a verdict: 'keep', 'change' or 'drop'");
  }
}

function asFields(value: unknown, wanted: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw noAnswer(value, wanted);
}

type Check = readonly [isRight: (value: unknown) => boolean, wanted: string];

/** Those that are there. */
function assertFields(fields: Fields, checks: Readonly<Record<string, Check>>): void {
  for (const [name, [isRight, wanted]] of Object.entries(checks)) {
    const value = fields[name];
    if (value !== undefined && !isRight(value)) throw noAnswer(value, `${name}: ${wanted}`);
  }
}

const isText = (value: unknown) => typeof value === 'string';
const isBoolean = (value: unknown) => typeof value === 'boolean';
const isTexts = (value: unknown) => Array.isArray(value) && value.every(isText);
const isAttributes = (value: unknown) =>
  typeof value === 'object' && value !== null && Object.values(value).every(isText);
/** Null for none, as steps of an exchange have it that need none. */
const isData = (value: unknown) => value === null || (value instanceof Uint8Array && value.length <= 65_535);

/** Without the value, which may be a secret: its type says enough. */
function noAnswer(value: unknown, wanted: string): TypeError {
  const isShown = value === undefined || value === null || typeof value === 'boolean' || typeof value === 'number';
  const found = isShown ? String(value) : Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`;
  return new TypeError(`it answered ${found}; it may answer ${wanted}`);
}
