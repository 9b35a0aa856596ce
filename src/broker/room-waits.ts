/**
 * Publishers whose message would find the queue of a bridge full, and which cannot be told so: those before MQTT 5.0.
 * Each waits with the message it is at, and takes no other packet, until the queue has room. Whoever was here first
 * looks first, and perhaps has to wait anew.
 */

/** So many look in one go. */
const looksAtOnce = 100;

export class RoomWaits {
  readonly #waiting = new Map<object, () => void>();

  /** One at most for each who waits. */
  wait(who: object, look: () => void): void {
    this.#waiting.set(who, look);
  }

  /** It has ended. */
  forget(who: object): void {
    this.#waiting.delete(who);
  }

  /** There may be room: something has left a queue, or some time has passed. */
  look(): void {
    let left = looksAtOnce;
    for (const [who, look] of this.#waiting) {
      if (left-- === 0) return;
      this.#waiting.delete(who);
      look();
    }
  }
}
