/**
 * Whether `await` would wait for it. Other libraries, and other realms, have promises of their own; `Promise.resolve` makes one of ours
 * of each.
 */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  return typeof (value as { then?: unknown }).then === 'function';
}
