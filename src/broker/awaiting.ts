import type { Awaitable, ClientIdentity } from '../contracts/hooks.ts';
import type { Connection } from './connection.ts';
import type { Shell } from './shell.ts';

/** For whom a hook is asked: a connection, or a will, whose client has gone. */
export interface Asker {
  readonly shell: Shell;
  readonly identity: ClientIdentity | null;
  readonly clientId: string | undefined;
  /** The answer is of no use any more. */
  readonly isClosing: boolean;
  park(): void;
  unpark(): void;
  /** Runs what follows from a late answer. */
  guard(run: () => void): void;
}

/**
 * Goes on with a hook's answer: at once if it is there, else when it comes, with the connection parked meanwhile so that the
 * order of its packets holds. A hook that fails counts as `fallback`, which must be a refusal, and is logged.
 */
export function withAnswer<T>(
  asker: Asker,
  hook: string,
  ask: () => Awaitable<T>,
  fallback: T,
  goOn: (answer: T) => void,
): void {
  const failed = (error: unknown): T => {
    asker.shell.complaints.error('hook', { hook, client: asker.clientId, err: error }, `the hook ${hook} failed`);
    return fallback;
  };
  let answer: Awaitable<T>;
  try {
    answer = ask();
  } catch (error) {
    answer = failed(error);
  }
  if (!(answer instanceof Promise)) return goOn(answer);
  asker.park();
  answer.catch(failed).then((settled) => {
    if (asker.isClosing) return;
    asker.shell.readTime();
    asker.guard(() => goOn(settled));
    asker.unpark();
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
