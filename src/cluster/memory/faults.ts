/** What goes wrong between nodes and an engine in memory, and how often. */
export interface Faults {
  /** Of each request, and of each answer, in milliseconds; at most. 0: in the next round of the event loop. */
  delayMsMax: number;
  /** Likelihoods, from 0 to 1: the request never arrives, … */
  lostRequest: number;
  /** … is carried out after its sender has been told that the outcome is unknown, … */
  lateRequest: number;
  /** … is carried out twice, and either answer may come first, … */
  repeatedRequest: number;
  /** … or is carried out, and the answer never comes. */
  lostAnswer: number;
  /**
   * A read is answered by who does not know the newest entries: `peek` at any time, others after a change of leader.
   */
  staleRead: number;
  /** A tail stands still from a change of leader on, and does not say so. */
  stalledTail: number;
  /** A broadcast does not reach one of its listeners. */
  lostBroadcast: number;
}

export const noFaults: Readonly<Faults> = {
  delayMsMax: 0,
  lostRequest: 0,
  lateRequest: 0,
  repeatedRequest: 0,
  lostAnswer: 0,
  staleRead: 0,
  stalledTail: 0,
  lostBroadcast: 0,
};
