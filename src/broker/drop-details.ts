/** What an entry of the ring of drops says of its cause, in words: written when somebody asks. */
import { plural } from '../base/plural.ts';
import type { DropView, PublisherView } from '../contracts/drops.ts';
import { dropReasonTexts } from '../contracts/drops.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import { readPublisher } from '../protocol/publisher.ts';
import type { DropEntry } from './drop-ring.ts';

type DetailedDrop = Pick<DropEntry, 'reason' | 'figure' | 'limit' | 'bytes'>;

export function dropViewOf(entry: DropEntry, settings: BrokerSettings): DropView {
  const { time, lastTime, count, reason, topic, qos, bytes, recipient } = entry;
  return {
    time,
    lastTime,
    count,
    kind: dropReasonTexts[reason].kind,
    reason,
    topic,
    qos: qos < 0 ? null : (qos as 0 | 1 | 2),
    bytes,
    publisher: publisherView(entry.publisher, entry.username, entry.address),
    recipient,
    detail: entry.detail ?? detailOf(entry, settings),
  };
}

export function publisherView(
  publisher: string | null,
  username: string | null = null,
  address: string | null = null,
): PublisherView | null {
  if (publisher !== null) return { ...readPublisher(publisher), username, address };
  return address === null ? null : { kind: 'client', clientId: null, username, address };
}

/** For entries that have no words of their own. */
export function detailOf(entry: DetailedDrop, settings: BrokerSettings): string {
  const { reason, figure, limit } = entry;
  switch (reason) {
    case 'slowConsumer':
      return `more bytes are unsent than the client reads (limits.outputBytes: ${settings.limits.outputBytes}, less where memory is short)`;
    case 'queueFull':
      return queueDetail(entry, settings);
    case 'expired':
      return figure === 0 ? 'on disk' : `Message Expiry Interval ${limit} s, over at ${new Date(figure).toISOString()}`;
    case 'packetTooLarge':
      return `about ${figure} bytes, beyond the client's Maximum Packet Size of ${limit}`;
    case 'retainedLimit':
      return `limits.retainedMessages: ${settings.limits.retainedMessages}, or memory (limits.memoryBytes)`;
    case 'clientAway':
      return figure === 0 ? 'its CONNACK has not left' : `away since ${new Date(figure).toISOString()}`;
    default:
      return dropReasonTexts[reason].what;
  }
}

/** The queue as it was: one message less, where the oldest one has made room. */
function queueDetail({ figure, limit, bytes }: DetailedDrop, { limits }: BrokerSettings): string {
  const { queueMessages, queueBytes, queuePolicy } = limits;
  const policy = `queuePolicy: ${queuePolicy}`;
  if (figure + 1 >= queueMessages)
    return `${plural(figure, 'message')} in the queue (limits.queueMessages: ${queueMessages}, ${policy})`;
  if (limit + bytes >= queueBytes / 2)
    return `${plural(limit, 'byte')} in the queue (limits.queueBytes: ${queueBytes}, ${policy})`;
  return `${plural(figure, 'message')} in the queue, and the client may hold no more memory (limits.memoryBytes, ${policy})`;
}
