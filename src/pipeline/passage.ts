/** The way of one message through the parts that its topic matches. */
import type { Awaitable, PublishedMessage } from '../contracts/hooks.ts';
import { matches } from '../protocol/topic.ts';
import type { Part, PartContext } from './part.ts';
import { Pauses } from './pauses.ts';

/**
 * The message through the parts from `from` on. Each takes it if its filter matches the topic that the message has by
 * then.
 */
export function through(
  parts: readonly Part[],
  from: number,
  message: PublishedMessage,
  context: PartContext,
): Awaitable<readonly PublishedMessage[]> {
  let current = message;
  for (let i = from; i < parts.length; i++) {
    const part = parts[i]!;
    if (part.filter !== null && !matches(part.filter, current.topic)) continue;
    const made = part.run(current, context);
    if (made instanceof Promise) return made.then((settled) => throughEach(parts, i + 1, settled, context));
    if (made.length !== 1) return throughEach(parts, i + 1, made, context);
    current = made[0]!;
  }
  return [current];
}

/** One after the other, so that their order holds. */
function throughEach(
  parts: readonly Part[],
  from: number,
  messages: readonly PublishedMessage[],
  context: PartContext,
): Awaitable<readonly PublishedMessage[]> {
  return inTurn(messages, (message) => through(parts, from, message, context));
}

/** More are too many to follow each other without a pause. */
const atOnceMax = 32;

/**
 * What becomes of each, together. Waits for one before it begins with the next; at once if nothing has to be waited
 * for, and they are not many.
 */
export function inTurn<T, R>(items: readonly T[], make: (item: T) => Awaitable<readonly R[]>): Awaitable<readonly R[]> {
  if (items.length > atOnceMax) return restInTurn(items, 0, Promise.resolve([]), make, []);
  const out: R[] = [];
  for (const [index, item] of items.entries()) {
    const made = make(item);
    if (made instanceof Promise) return restInTurn(items, index + 1, made, make, out);
    for (const each of made) out.push(each);
  }
  return out;
}

/** The same from one on, behind the first that has to be waited for. */
async function restInTurn<T, R>(
  items: readonly T[],
  from: number,
  first: Promise<readonly R[]>,
  make: (item: T) => Awaitable<readonly R[]>,
  out: R[],
): Promise<readonly R[]> {
  for (const each of await first) out.push(each);
  const pauses = new Pauses();
  for (let i = from; i < items.length; i++) {
    const made = make(items[i]!);
    for (const each of made instanceof Promise ? await made : made) out.push(each);
    const pause = pauses.due();
    if (pause !== null) await pause;
  }
  return out;
}
