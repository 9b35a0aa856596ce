/** A part that works within a broker, and ends with it. */
export interface Attachment {
  /** In good order: the store still takes what it does meanwhile. */
  close(): Promise<void>;
  /** The broker has ended. */
  abandon(): void;
}
