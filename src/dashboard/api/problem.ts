/** Why a request was not done: what the API says, or that nobody answered. */

/** As RFC 9457 has it. */
export interface Problem {
  readonly status: number;
  /** The last part of its type, as `not-found`. */
  readonly kind: string;
  readonly title: string;
  readonly detail: string;
  readonly remedy: string;
}

export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

/** The broker could not be reached, or whoever is between says so. */
export class AwayError extends Error {
  override readonly name = 'AwayError';
}

/** Of a response that is no success. A proxy's own page has no problem document: the broker is away. */
export async function errorOf(response: Response): Promise<ProblemError | AwayError> {
  const { status } = response;
  if (response.headers.get('content-type')?.startsWith('application/problem+json') !== true) {
    return new AwayError(`HTTP status ${status}`);
  }
  const { type, title, detail, remedy } = (await response.json()) as Record<string, string>;
  const kind = type!.slice(type!.lastIndexOf('/') + 1);
  return new ProblemError({ status, kind, title: title!, detail: detail!, remedy: remedy! });
}

export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === 'AbortError';
