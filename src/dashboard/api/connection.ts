/**
 * Whether the broker answers. Whoever asks it says here how that went; while it is away, it is asked again, less and
 * less often, and whoever shows something of it asks anew once it is back.
 */
import { signal } from '@preact/signals';

export type Connection =
  | { readonly state: 'open' }
  /** `triesAt`: when it is asked again, in milliseconds since the epoch; null: at this moment. */
  | { readonly state: 'away'; readonly since: number; readonly triesAt: number | null };

export const connection = signal<Connection>({ state: 'open' });
/** Rises each time that the broker is back: what was shown may be of another process. */
export const returns = signal(0);

const firstMs = 1_000;
const longestMs = 15_000;
let waitMs = firstMs;
let timer: ReturnType<typeof setTimeout> | undefined;

export function answered(): void {
  if (connection.peek().state === 'open') return;
  clearTimeout(timer);
  waitMs = firstMs;
  connection.value = { state: 'open' };
  returns.value++;
}

export function unanswered(): void {
  if (connection.peek().state === 'open') wait(Date.now());
}

/** At once, since somebody does not want to wait. */
export function tryNow(): void {
  const now = connection.peek();
  if (now.state === 'open' || now.triesAt === null) return;
  clearTimeout(timer);
  void tryAgain(now.since);
}

function wait(since: number): void {
  connection.value = { state: 'away', since, triesAt: Date.now() + waitMs };
  timer = setTimeout(() => void tryAgain(since), waitMs);
  // Pages that lost it at the same moment do not come back in the same one.
  waitMs = Math.min(longestMs, waitMs * (1.6 + Math.random() * 0.4));
}

const answerMs = 10_000;

async function tryAgain(since: number): Promise<void> {
  connection.value = { state: 'away', since, triesAt: null };
  try {
    const { ok } = await fetch('../livez', { cache: 'no-store', signal: AbortSignal.timeout(answerMs) });
    if (ok) return answered();
  } catch {}
  wait(since);
}

addEventListener('online', tryNow);
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') tryNow();
});
