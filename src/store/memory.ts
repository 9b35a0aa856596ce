/**
 * The store that remembers nothing beyond the process: what the core holds in memory is all there is. Every answer may
 * leave at once, since nothing more durable is promised. Chosen with `--memory`.
 */
import type { SessionStore } from '../contracts/session-store.ts';
import { KeepsNothing } from './nowhere.ts';

export class MemoryStore extends KeepsNothing implements SessionStore {
  readonly staged = 0;
  readonly durableChanges = 0;
  readonly hasStaged = false;
  readonly isBehind = false;
  readonly isDurable = true;
  readonly isFailing = false;
  readonly unwritten = 0;
  readonly unwrittenBytes = 0;
  readonly failure = null;
  readonly recordsWritten = 0;
  onUrgent: () => void = () => {};

  commit(done: () => void): void {
    done();
  }
}
