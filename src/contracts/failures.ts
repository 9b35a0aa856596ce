/**
 * Why a command was not carried out: one kind each, with what an operator can do. Whoever asks by HTTP gets it as a
 * problem document, with the kind as its type. [RFC 9457]
 */
export const failures = {
  'invalid-request': {
    status: 400,
    title: 'The request is not valid',
    remedy: 'Correct what `errors` names, or what `detail` says.',
  },
  unauthenticated: {
    status: 401,
    title: 'Nobody has shown who asks',
    remedy:
      'Send `Authorization: Bearer KEY`, with a key that `sluice admin key create` made and that has not expired.',
  },
  'wrong-credentials': {
    status: 401,
    title: 'The user name or the password is wrong',
    remedy:
      'Log in as a user of a password file that `admin.users` names, or with a new link of `sluice admin login-link`.',
  },
  forbidden: {
    status: 403,
    title: 'Whoever asks may not do this',
    remedy: 'Use a key whose role and areas allow it; each operation names the role that it needs.',
  },
  'host-refused': {
    status: 403,
    title: 'The request names another host',
    remedy: 'Use the address of the listener, or add the name to `admin.hosts`.',
  },
  'origin-refused': {
    status: 403,
    title: 'A web page of another origin asks',
    remedy: 'Add its origin to `admin.origins` if it may.',
  },
  'csrf-refused': {
    status: 403,
    title: 'The request does not show that the page of its session sent it',
    remedy: 'Send the header `X-CSRF-Token` with the token that GET /api/v1/login answers.',
  },
  banned: {
    status: 403,
    title: 'This address is banned for a while',
    remedy: 'Wait, or lift the ban with `sluice bans clear`.',
  },
  'not-found': {
    status: 404,
    title: 'There is no such thing',
    remedy: 'Look for its name in the list that has it.',
  },
  'no-such-path': {
    status: 404,
    title: 'There is nothing at this path',
    remedy: 'See /api/v1/openapi.json for what there is.',
  },
  'no-such-method': {
    status: 405,
    title: 'The path does not take this method',
    remedy: 'Use one that the header `Allow` names.',
  },
  'not-acceptable': {
    status: 406,
    title: 'The answer cannot be had in this form',
    remedy: 'Ask for application/json, or of a stream for text/event-stream or application/x-ndjson.',
  },
  timeout: {
    status: 408,
    title: 'The request did not come in time',
    remedy: 'Send headers within 10 seconds, and all of the request within 30.',
  },
  conflict: {
    status: 409,
    title: 'It cannot be done as things are',
    remedy: '`detail` says what stands in the way.',
  },
  'cursor-expired': {
    status: 410,
    title: 'The cursor is not known',
    remedy: 'Begin again without a cursor: a list that nobody goes on with is forgotten.',
  },
  'too-large': {
    status: 413,
    title: 'The request is too large',
    remedy: 'Send less in one request.',
  },
  'media-type': {
    status: 415,
    title: 'The body is of another type',
    remedy: 'Send it as application/json.',
  },
  'idempotency-conflict': {
    status: 422,
    title: 'The idempotency key was used for another request',
    remedy: 'Use a new key for each request, and the same one only to send the same request again.',
  },
  'too-many-requests': {
    status: 429,
    title: 'Too many requests',
    remedy: 'Wait for as many seconds as `Retry-After` says.',
  },
  'headers-too-large': {
    status: 431,
    title: 'The headers are too large',
    remedy:
      'Send path, query and headers of less than 16 kB in all; what is longer goes into the body of POST /api/v1/commands.',
  },
  'internal-error': {
    status: 500,
    title: 'A bug in Sluice',
    remedy: 'The log has more; please report it.',
  },
  unavailable: {
    status: 503,
    title: 'It cannot be done at present',
    remedy: 'Try again later; `sluice alarms` and /readyz say what is wrong.',
  },
  'no-answer': {
    status: 504,
    title: 'Nothing came in time',
    remedy: 'Look whether whoever should answer is connected, or give it more time.',
  },
} as const satisfies Record<string, { status: number; title: string; remedy: string }>;

export type FailureKind = keyof typeof failures;

export interface FailureOptions extends ErrorOptions {
  /** After which it is worth another try. */
  readonly retryAfterSeconds?: number;
}

/** A command was not carried out; the message says why, to the operator. */
export class CommandFailure extends Error {
  override readonly name: string = 'CommandFailure';
  readonly kind: FailureKind;
  /** Null: nobody knows. */
  readonly retryAfterSeconds: number | null;

  constructor(kind: FailureKind, message: string, options: FailureOptions = {}) {
    super(message, options);
    this.kind = kind;
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
  }
}

/** What is wrong with one part of a request. */
export interface RequestFault {
  /** Where, as `limit` or `messages.0.topic`; empty: the request as a whole. */
  readonly at: string;
  readonly message: string;
}

/** There is no such command, or it is asked wrongly; the message says what is wrong. */
export class RequestError extends CommandFailure {
  override readonly name = 'RequestError';
  readonly faults: readonly RequestFault[];

  constructor(message: string, faults: readonly RequestFault[] = []) {
    super('invalid-request', message);
    this.faults = faults;
  }
}
