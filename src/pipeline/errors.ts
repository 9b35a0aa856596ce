/** A message that a stage cannot handle: its `onError` says what becomes of it. The message tells the reason. */
export class StageFailure extends Error {
  override readonly name = 'StageFailure';
}

/** A pipeline that cannot be built as it is configured. `path` leads from the pipeline to the setting. */
export class PipelineError extends Error {
  override readonly name = 'PipelineError';
  readonly path: readonly (string | number)[];

  constructor(path: readonly (string | number)[], message: string, options?: ErrorOptions) {
    super(message, options);
    this.path = path;
  }
}

/** A stage refuses the message, whatever its `onError` says: the publisher is answered with this reason code. */
export class Rejection extends Error {
  override readonly name = 'Rejection';
  readonly reasonCode: number;

  constructor(reasonCode: number, reason: string) {
    super(reason);
    this.reasonCode = reasonCode;
  }
}

/** A failure in its own words; anything else is a stage's own mistake and says so. */
export function failureReason(error: unknown): string {
  if (error instanceof StageFailure || error instanceof Rejection) return error.message;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
