import type { Step } from '../base/scheduler.ts';
import type { Awaitable, ClientIdentity } from '../contracts/hooks.ts';
import type { BrokerContext } from './broker-context.ts';

/** For whom a hook is asked: a connection, or a will, whose client has gone. */
export interface Asker {
  readonly context: BrokerContext;
  readonly identity: ClientIdentity | null;
  readonly clientId: string | undefined;
  /** The answer is of no use any more. */
  readonly isClosing: boolean;
  park(): void;
  unpark(): void;
  guard(run: () => void): void;
  /** Runs what follows from a late answer, within the time of whoever asked. */
  inItsTime(run: () => void): void;
  /** Does a step after the other within that time, with others served in between, and then `done`. */
  inSteps(step: Step, done: () => void): void;
}

/**
 * Calls `use` with a hook's answer (see `answerOf`): at once if it is there, else when it comes, with the connection
 * parked meanwhile so that the order of its packets holds.
 */
export function withAnswer<T>(
  asker: Asker,
  hook: string,
  ask: () => Awaitable<T>,
  fallback: T,
  use: (answer: T) => void,
): void {
  const answer = answerOf(asker.context, asker.clientId, hook, ask, fallback);
  if (!(answer instanceof Promise)) return use(answer);
  asker.park();
  answer.then((settled) => {
    asker.inItsTime(() => {
      if (asker.isClosing) return;
      asker.context.advanceClock();
      asker.guard(() => use(settled));
    });
    asker.unpark();
  });
}

/**
 * A hook's answer. It never throws or rejects: a hook that fails is logged, and counts as `fallback`, which must be a
 * refusal.
 */
export function answerOf<T>(
  { limitedLog, scheduler }: BrokerContext,
  client: string | undefined,
  hook: string,
  ask: () => Awaitable<T>,
  fallback: T,
): Awaitable<T> {
  const failed = (err: unknown): T => {
    limitedLog.error('hook', { hook, client, err }, `the hook ${hook} failed`);
    return fallback;
  };
  // Nobody knows how long a hook takes.
  scheduler.checkSoon();
  try {
    const answer = ask();
    return answer instanceof Promise ? answer.catch(failed) : answer;
  } catch (error) {
    return failed(error);
  }
}

/** Calls `then` once the disk takes writes and keeps up, with the connection parked until that. */
export function whenStoreKeepsUp(asker: Asker, then: () => void): void {
  const { storeHealth } = asker.context;
  if (!storeHealth.isStrained) return then();
  const keepsUp = () => new Promise<void>((resolve) => storeHealth.wait(asker, resolve));
  withAnswer<void>(asker, 'store', keepsUp, undefined, () => whenStoreKeepsUp(asker, then));
}

/** Calls `then` once a queue that was full may have room, with the connection parked until that. */
export function whenThereIsRoom(asker: Asker, then: () => void): void {
  const { roomWaits, limitedLog } = asker.context;
  const fields = { client: asker.clientId };
  limitedLog.warn('waiting', fields, 'a publisher waits until the queue of a bridge has room');
  const hasRoom = () => new Promise<void>((resolve) => roomWaits.wait(asker, resolve));
  withAnswer<void>(asker, 'room', hasRoom, undefined, then);
}
