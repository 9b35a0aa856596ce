/**
 * States what must be true. A failure is our own bug, never a peer's mistake or the world's: it is not caught to carry
 * on.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** For the default branch of a switch over a closed set: the compiler refuses a forgotten case. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}
