/** Whether `await` would wait for it. Other libraries, and other realms, have promises of their own. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  return typeof (value as { then?: unknown }).then === 'function';
}

/**
 * A promise of ours for it, whatever kind it is. `Promise.resolve` would hand back a native one as it is, with a `then`
 * or `catch` of its own that a program may have put on it.
 */
export async function ownPromise<T>(thenable: PromiseLike<T>): Promise<T> {
  return await thenable;
}
