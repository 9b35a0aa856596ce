/** What an orderly stop writes down, so that the next run of the broker goes on where this one was. */
import type { CoreParts } from './parts.ts';
import { Awaiting } from './send-window.ts';

/** So many records in one go. */
const recordsInRow = 1_000;

/**
 * Under which identifiers QoS 1 messages are in flight; of QoS 2 the store knows. Some of it at each step, since there
 * may be thousands for each of thousands of clients.
 */
export function* storeWindows({ directory, store }: CoreParts): Generator<void> {
  let records = 0;
  for (const { sid, window, isPersistent } of directory) {
    if (!isPersistent || window.count === 0) continue;
    for (const packetId of window) {
      if (window.awaiting(packetId) !== Awaiting.puback || window.isStraggler(packetId)) continue;
      store.putSending(sid, { packetId, messageId: window.delivery(packetId)!.message.id, isReceived: false });
      if (++records % recordsInRow === 0) yield;
    }
  }
}
