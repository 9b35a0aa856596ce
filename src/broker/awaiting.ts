import type { Awaitable } from '../contracts/hooks.ts';
import type { Connection } from './connection.ts';

/**
 * Goes on with a hook's answer: at once if it is there, else when it comes, with the connection parked meanwhile so that the
 * order of its packets holds. A hook that fails counts as `fallback`, which must be a refusal, and is logged.
 */
export function withAnswer<T>(
  connection: Connection,
  hook: string,
  ask: () => Awaitable<T>,
  fallback: T,
  goOn: (answer: T) => void,
): void {
  const failed = (error: unknown): T => {
    connection.shell.complaints.error(
      'hook',
      { hook, client: connection.clientId, err: error },
      `the hook ${hook} failed`,
    );
    return fallback;
  };
  let answer: Awaitable<T>;
  try {
    answer = ask();
  } catch (error) {
    answer = failed(error);
  }
  if (!(answer instanceof Promise)) return goOn(answer);
  connection.park();
  answer.catch(failed).then((settled) => {
    if (connection.state === 'closing') return;
    connection.shell.readTime();
    connection.shell.boundary.forOne(connection, () => goOn(settled));
    connection.unpark();
  });
}

/** Goes on once the disk takes writes and keeps up, with the connection parked until then. */
export function whenStoreKeepsUp(connection: Connection, goOn: () => void): void {
  const { storeHealth, turn } = connection.shell;
  if (!storeHealth.isStrained) return goOn();
  // What is staged may wait for nobody's answer.
  turn.schedule();
  const again = () => whenStoreKeepsUp(connection, goOn);
  withAnswer<void>(connection, 'store', () => storeHealth.wait(), undefined, again);
}
