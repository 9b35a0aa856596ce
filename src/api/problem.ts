/** Failures as problem documents. [RFC 9457] */
import { CursorError } from '../base/pages.ts';
import { CommandFailure, type FailureKind, failures, RequestError, type RequestFault } from '../contracts/failures.ts';
import { problemsPath } from '../contracts/http.ts';

export interface Problem {
  /** Path of the page that explains it, which the broker serves. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** What to do. */
  readonly remedy: string;
  /** Of an invalid request: what is wrong where. */
  readonly errors?: readonly RequestFault[];
}

export function problemOf(kind: FailureKind, detail: string, errors?: readonly RequestFault[]): Problem {
  const { status, title, remedy } = failures[kind];
  return { type: `${problemsPath}/${kind}`, title, status, detail, remedy, ...(errors?.length ? { errors } : {}) };
}

/** Of anything that was thrown while a request was handled; null: a bug. */
export function problemFrom(error: unknown): Problem | null {
  if (error instanceof RequestError) return problemOf('invalid-request', error.message, error.faults);
  if (error instanceof CommandFailure) return problemOf(error.kind, error.message);
  if (error instanceof CursorError) return problemOf('cursor-expired', error.message);
  const { code, statusCode = 500, message } = error as { code?: string; statusCode?: number; message: string };
  if (statusCode >= 500) return null;
  // Of fastify, about the request's form.
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return problemOf('too-large', 'The body is larger than this path takes');
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return problemOf('media-type', message);
  return problemOf('invalid-request', message);
}

/** For the header `Retry-After`; null: it says nothing. */
export function retryAfter(error: unknown): number | null {
  if (!(error instanceof CommandFailure)) return null;
  return error.retryAfterSeconds ?? (error.kind === 'too-many-requests' ? 1 : null);
}
