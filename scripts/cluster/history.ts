/** What clients of a cluster were promised, and got. */
import type { Ledger, SentMessage, SessionRecord, Violation } from '../crash/ledger.ts';

/** All sessions have subscribed to everything before the first message was sent. */
export function judge(ledger: Ledger): Violation[] {
  const violations = ledger.sessions.flatMap((session) => [
    ...lostTo(session, ledger.messages),
    ...twiceTo(session, ledger.messages),
    ...outOfOrderTo(session, ledger.messages),
  ]);
  // No other node knows when a dead one has sent its last, so what came behind that may have DUP as well.
  return [...ledger.violations.filter(({ kind }) => kind !== 'dup'), ...violations];
}

const described = ({ number, publisher, qos }: SentMessage) => `message ${number} of ${publisher}, QoS ${qos}`;

function lostTo({ clientId, arrived }: SessionRecord, messages: readonly SentMessage[]): Violation[] {
  const lost = messages.filter(({ number, acknowledgedAt }) => acknowledgedAt < Infinity && !arrived.has(number));
  return lost.map((message) => ({ kind: 'lost', what: `${described(message)}, never came to ${clientId}` }));
}

function twiceTo({ clientId, arrivals, qos }: SessionRecord, messages: readonly SentMessage[]): Violation[] {
  const seen = new Set<number>();
  return arrivals.flatMap(({ number }): Violation[] => {
    const message = messages[number]!;
    const isAgain = seen.has(number) && Math.min(qos, message.qos) === 2;
    seen.add(number);
    return isAgain ? [{ kind: 'duplicated', what: `${described(message)}, came to ${clientId} again` }] : [];
  });
}

/** Of each publisher and QoS, the first time that a message comes. */
function outOfOrderTo({ clientId, arrivals }: SessionRecord, messages: readonly SentMessage[]): Violation[] {
  const last = new Map<string, number>();
  const seen = new Set<number>();
  return arrivals.flatMap(({ number }): Violation[] => {
    if (seen.has(number)) return [];
    seen.add(number);
    const message = messages[number]!;
    const row = `${message.publisher} ${message.qos}`;
    const before = last.get(row) ?? -1;
    last.set(row, Math.max(before, number));
    if (number > before) return [];
    return [{ kind: 'out of order', what: `${described(message)}, came to ${clientId} behind message ${before}` }];
  });
}
