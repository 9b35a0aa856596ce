/**
 * How long a client takes from the arrival of a QoS 1 or 2 message for it to the end of the exchange. One message a
 * second of each connected session is timed.
 *
 * It is found again by its place: as many exchanges end before it as messages were in flight or waiting when it came.
 * So nothing is kept of the message itself, wherever it waits. A client that acknowledges out of order is timed by
 * as many of its acknowledgements.
 */
export class AckTiming {
  /** Milliseconds since the epoch. */
  readonly since: number;
  /** Exchanges that are to end, its own included. */
  left: number;

  constructor(since: number, left: number) {
    this.since = since;
    this.left = left;
  }
}
