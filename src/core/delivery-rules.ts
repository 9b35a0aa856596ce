/** What becomes of a delivery, for whoever delivers it and for whoever asks what would. */
import type { DeliverySummary } from '../contracts/session-store.ts';
import type { Limits } from '../contracts/settings.ts';
import type { Session } from './session.ts';

/** Why a QoS 0 message is neither sent to a session nor kept for it; null: it is one of the two. */
export function lossOfQoS0(
  { isReady, isCongested }: Pick<Session, 'isReady' | 'isCongested'>,
  queueQoS0: boolean,
): 'clientAway' | 'slowConsumer' | null {
  if (isReady) return isCongested ? 'slowConsumer' : null;
  return queueQoS0 ? null : 'clientAway';
}

/** Of a queue without room: whether the new message gives way, or the oldest one. */
export function givesWay(
  oldest: DeliverySummary | null,
  now: number,
  { queuePolicy }: Pick<Limits, 'queuePolicy'>,
): boolean {
  return oldest === null || (oldest.expiresAt > now && queuePolicy !== 'drop-oldest');
}
