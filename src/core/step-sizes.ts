/** How much one step does of what may be very much: about a tenth of a millisecond. */
export interface StepSizes {
  /** Copies of a message of QoS 0. */
  readonly copies: number;
  /** Copies that may have to be stored, or wait. */
  readonly storedCopies: number;
  /** Answers that waited for a commit. */
  readonly answers: number;
  /** Timers that are due, each of which may end a connection or a session. */
  readonly timers: number;
  /** Subscriptions of a session that has ended, to be taken out of the router. */
  readonly subscriptions: number;
  /** Records of a session that has ended, or messages of one that have expired, to be taken out of the store. */
  readonly records: number;
  /** Nodes of the tree of retained messages, for a new subscription or in search of those that have expired. */
  readonly retained: number;
}

export const defaultStepSizes: StepSizes = {
  copies: 128,
  answers: 64,
  storedCopies: 32,
  timers: 16,
  subscriptions: 64,
  records: 64,
  retained: 1_000,
};
