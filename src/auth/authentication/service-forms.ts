/**
 * How services that were written for other brokers are asked, and what they answer: those of EMQX 5, and those of
 * mosquitto-go-auth.
 */
import type { Answer } from './remote-server.ts';

export interface GoAuthModes {
  readonly paramsMode: 'json' | 'form';
  readonly responseMode: 'status' | 'json' | 'text';
}

export interface Question {
  readonly body: string;
  readonly contentType: string;
}

export type Verdict = 'allow' | 'deny' | 'ignore';

export const jsonQuestion = (fields: object): Question => ({
  body: JSON.stringify(fields),
  contentType: 'application/json',
});

export function goAuthQuestion(
  fields: Readonly<Record<string, string | number>>,
  { paramsMode }: GoAuthModes,
): Question {
  if (paramsMode === 'json') return jsonQuestion(fields);
  const pairs = Object.entries(fields).map(([name, value]): [string, string] => [name, String(value)]);
  return { body: new URLSearchParams(pairs).toString(), contentType: 'application/x-www-form-urlencoded' };
}

/** Throws if the service is out of order: that is no answer. */
export function goAuthVerdict({ status, json, text }: Answer, { responseMode }: GoAuthModes): Verdict {
  if (status >= 500 || (status >= 300 && status < 400)) throw new Error(`it answered with status ${status}`);
  if (status >= 300) return 'deny';
  if (responseMode === 'status') return 'allow';
  if (responseMode === 'text') return text.trim() === 'ok' ? 'allow' : 'deny';
  const ok = fieldsOf(json).Ok ?? fieldsOf(json).ok;
  if (typeof ok !== 'boolean') throw new Error('its answer is not JSON with an Ok of true or false');
  return ok ? 'allow' : 'deny';
}

/** The same. EMQX takes a service that is out of order for one that ignores the question. */
export function emqxVerdict({ status, json }: Answer): Verdict {
  if (status === 204) return 'allow';
  if (status === 401 || status === 403) return 'deny';
  if (status !== 200) throw new Error(`it answered with status ${status}`);
  const { result } = fieldsOf(json);
  if (result === 'allow' || result === 'deny' || result === 'ignore') return result;
  throw new Error('its answer is not JSON with a result of allow, deny or ignore');
}

export const fieldsOf = (json: unknown): Readonly<Record<string, unknown>> =>
  (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>;
