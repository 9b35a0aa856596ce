/** What clients of a cluster were promised, and got. */
import type { Ledger, SentMessage, SessionRecord, Violation } from '../crash/ledger.ts';

/** All sessions have subscribed to everything before the first message was sent. */
export function judge(ledger: Ledger): Violation[] {
  const alone = ledger.sessions.filter(({ group }) => group === null);
  const violations = alone.flatMap((session) => [
    ...lostTo(session, ledger.messages),
    ...twiceTo(session, ledger.messages),
    ...outOfOrderTo(session, ledger.messages),
  ]);
  for (const group of new Set(ledger.sessions.map(({ group }) => group))) {
    if (group === null) continue;
    const members = ledger.sessions.filter((session) => session.group === group);
    violations.push(...lostBetween(group, members, ledger.messages), ...twiceBetween(group, members, ledger.messages));
  }
  // No other node knows when a dead one has sent its last, so what came behind that may have DUP as well.
  return [...ledger.violations.filter(({ kind }) => kind !== 'dup'), ...violations];
}

const described = ({ number, publisher, qos }: SentMessage) => `message ${number} of ${publisher}, QoS ${qos}`;

/** What members of a shared subscription were to get together. */
function lostBetween(group: string, members: readonly SessionRecord[], messages: readonly SentMessage[]): Violation[] {
  const lost = messages.filter(
    ({ number, acknowledgedAt }) => acknowledgedAt < Infinity && members.every(({ arrived }) => !arrived.has(number)),
  );
  return lost.map((message) => ({ kind: 'lost', what: `${described(message)}, never came to a member of ${group}` }));
}

/** Of QoS 2 one of those that asked for it gets each, and once. */
function twiceBetween(group: string, members: readonly SessionRecord[], messages: readonly SentMessage[]): Violation[] {
  const owners = new Map<number, string>();
  return members
    .filter(({ qos }) => qos === 2)
    .flatMap(({ clientId, arrivals }) =>
      arrivals.flatMap(({ number }): Violation[] => {
        const owner = owners.get(number);
        owners.set(number, clientId);
        if (owner === undefined || messages[number]!.qos < 2) return [];
        const what = `${described(messages[number]!)}, came to ${owner} and then to ${clientId}, of ${group}`;
        return [{ kind: 'duplicated', what }];
      }),
    );
}

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
