/** How much is done in one round of the event loop of what may be very much. */
export interface Pieces {
  /** A message of QoS 0 for no more sessions than these goes to them in one go: who gets several in a round gets them in one write. */
  readonly over: number;
  /** And else to so many in a round. */
  readonly size: number;
  /** Timers that are due: a millisecond, if each of them ends a connection. Those of ten thousand strangers who came together end together. */
  readonly timers: number;
  /** Subscriptions of a session that ends. */
  readonly subscriptions: number;
}

export const defaultPieces: Pieces = { over: 5_000, size: 1_000, timers: 16, subscriptions: 250 };
