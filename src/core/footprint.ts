/**
 * What things of the core take in memory, for the ledger. Bytes of payloads, names and filters are exact; what stands
 * around them is a constant, measured with `scripts/footprint.ts` (heap and buffers after a collection, per object) and
 * rounded up.
 */
import type { Account } from '../base/ledger.ts';
import type { Message } from '../protocol/message.ts';

/** A session with its record in the store, and what of its connection is the same for all. */
export const sessionBytes = 2_000;
/** A subscription in the session, the router and the store. */
const subscriptionBytes = 600;
/** Each level of a filter or topic is a string of its own, and may have a node of its own. */
const levelFactor = 8;
/** A message and its topic, beside their bytes. */
const messageBytes = 320;
/** A delivery, and its place in a queue or window. */
export const deliveryBytes = 80;
/** A retained message's node in the tree. */
export const retainedBytes = 200;
/** A will that waits, with its timer. */
export const willBytes = 300;

/** Strings may take two bytes for each character. */
export const nameBytes = (name: string | null): number => (name === null ? 0 : 2 * name.length);
export const filterFootprint = (filterBytes: number): number => filtersFootprint(1, filterBytes);
/** Of so many filters, which have so many bytes together. */
export const filtersFootprint = (count: number, bytes: number): number =>
  count * subscriptionBytes + levelFactor * bytes;
export const messageFootprint = (message: Message): number =>
  message.size + messageBytes + nameBytes(message.publisher);
/** Around a retained message. */
export const aroundRetained = ({ topic }: Message): number => retainedBytes + levelFactor * topic.encodedBytes;
export const retainedFootprint = (message: Message): number => messageFootprint(message) + aroundRetained(message);

/** The message stays in memory for one holder more. Sessions share its bytes, so in all they are counted once. */
export function hold(account: Account, category: number, message: Message, around: number): void {
  const bytes = messageFootprint(message);
  account.add(category, bytes + around);
  if (message.hold() > 1) account.ledger.addShared(bytes);
}

export function letGo(account: Account, category: number, message: Message, around: number): void {
  const bytes = messageFootprint(message);
  if (message.letGo() > 0) account.ledger.addShared(-bytes);
  account.add(category, -bytes - around);
}
