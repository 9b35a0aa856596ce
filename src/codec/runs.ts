/**
 * Packets that are sent on as they were received, without being written anew: what follows one another in a read buffer
 * and has the same receiver is copied at one go. A client that publishes in bursts sends such runs.
 *
 * They stay where they were received until whoever handed on the bytes calls `settleRuns`.
 */
export interface Run {
  /** Copies them, if that is still to be done. */
  settle(): void;
}

/** Of all brokers in this process: each read is over before the next one begins. */
const unsettled: Run[] = [];

export function settleLater(run: Run): void {
  unsettled.push(run);
}

/** The bytes that were handed on may be written over from now on. */
export function settleRuns(): void {
  if (unsettled.length === 0) return;
  for (let i = 0; i < unsettled.length; i++) unsettled[i]!.settle();
  unsettled.length = 0;
}
