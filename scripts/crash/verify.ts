/**
 * Judges a ledger: was every promise kept? Nothing here knows the broker.
 */
import {
  type Arrival,
  type Ledger,
  matches,
  type SentMessage,
  type SessionRecord,
  type Violation,
  willGraceSeconds,
} from './ledger.ts';

export interface Verdict {
  readonly violations: readonly Violation[];
  /** Arrived once more at QoS 1, as it may: marked DUP, resent by its publisher, or handed on in a group. */
  readonly repeated: number;
  readonly willsArrived: number;
}

/** Messages that have not arrived everywhere yet, and wills: what the end of a round waits for. */
export function outstanding(ledger: Ledger): number {
  return missing(ledger).length + missingWills(ledger).length;
}

export function verify(ledger: Ledger): Verdict {
  const violations: Violation[] = [...ledger.violations];
  for (const { message, where } of missing(ledger))
    violations.push({ kind: 'lost', what: `${tell(message)} for ${where}` });
  for (const what of missingWills(ledger)) violations.push({ kind: 'will', what });
  const repetitions = { repeated: 0 };
  for (const session of ledger.sessions) {
    violations.push(...wrongWills(ledger, session), ...unwanted(ledger, session));
    if (session.group === null) {
      violations.push(...repeated(ledger, session.arrivals, session.qos, session.clientId, repetitions));
      if (!ledger.mayReorder) violations.push(...disordered(ledger, session));
    }
  }
  for (const [group, members] of groupsOf(ledger)) {
    const arrivals = members.flatMap((member) => member.arrivals).sort((a, b) => a.at - b.at);
    violations.push(...repeated(ledger, arrivals, members[0]!.qos, group, repetitions));
  }
  const willsArrived = ledger.wills.filter(({ clientId }) =>
    ledger.sessions.some(({ wills }) => wills.has(clientId)),
  ).length;
  return { violations, willsArrived, ...repetitions };
}

const tell = ({ number, topic, qos, publisher, wasResent }: SentMessage) =>
  `message ${number} (${topic}, QoS ${qos}, from ${publisher}${wasResent ? ', resent' : ''})`;

function groupsOf(ledger: Ledger): Map<string, SessionRecord[]> {
  const groups = new Map<string, SessionRecord[]>();
  for (const session of ledger.sessions) {
    if (session.group === null) continue;
    groups.set(session.group, [...(groups.get(session.group) ?? []), session]);
  }
  return groups;
}

const filterOf = (subscribed: string) => subscribed.replace(/^\$share\/[^/]+\//, '');

/** SUBACK came before it was sent, and no UNSUBSCRIBE left before it was acknowledged. */
function isPromised(session: SessionRecord, message: SentMessage): boolean {
  if (message.sentAt < session.promisedFrom) return false;
  for (const [filter, changes] of session.changes) {
    // What a member subscribes to beside its group is only there to wait before what the group gets.
    if (session.group !== null && filter !== session.group) continue;
    if (!matches(filterOf(filter), message.topic)) continue;
    const subscription = changes.findLast((each) => each.kind === 'subscribe' && each.acknowledgedAt < message.sentAt);
    if (subscription === undefined) continue;
    const isEnded = changes.some(
      ({ kind, sentAt }) => kind === 'unsubscribe' && sentAt > subscription.sentAt && sentAt < message.acknowledgedAt,
    );
    if (!isEnded) return true;
  }
  return false;
}

/** It was retained before SUBSCRIBE left, and SUBACK came. Nothing replaces what is in the archive. */
function isPromisedAsRetained(session: SessionRecord, message: SentMessage): boolean {
  if (!isArchived(message)) return false;
  const subscriptions = [...session.changes].flatMap(([filter, changes]) =>
    matches(filter, message.topic) ? changes : [],
  );
  return subscriptions.some(
    (each) => each.sentAt > message.acknowledgedAt && each.acknowledgedAt < Number.POSITIVE_INFINITY,
  );
}

const isArchived = ({ topic }: SentMessage) => topic.startsWith('archive/');

/**
 * A subscription may have stood at some moment between sending and acknowledgement, or have come later and found it
 * retained.
 */
function isPossible(session: SessionRecord, message: SentMessage): boolean {
  for (const [filter, changes] of session.changes) {
    if (!matches(filterOf(filter), message.topic)) continue;
    if (isArchived(message)) return true;
    const end = changes.findLast((each) => each.kind === 'unsubscribe' && each.acknowledgedAt < message.sentAt);
    const isSubscribed = changes.some(
      ({ kind, sentAt }) => kind === 'subscribe' && sentAt < message.acknowledgedAt && sentAt > (end?.sentAt ?? 0),
    );
    if (isSubscribed) return true;
  }
  return false;
}

function missing(ledger: Ledger): { message: SentMessage; where: string }[] {
  const found: { message: SentMessage; where: string }[] = [];
  const groups = groupsOf(ledger);
  for (const message of ledger.messages) {
    if (message.isEmpty || message.acknowledgedAt === Number.POSITIVE_INFINITY) continue;
    for (const session of ledger.sessions) {
      if (session.group !== null || session.arrived.has(message.number)) continue;
      if (!isPromised(session, message) && !isPromisedAsRetained(session, message)) continue;
      found.push({ message, where: session.clientId });
    }
    for (const [group, members] of groups) {
      if (members.some(({ arrived }) => arrived.has(message.number))) continue;
      if (members.some((member) => isPromised(member, message))) found.push({ message, where: group });
    }
  }
  return found;
}

/** QoS 2: never again. QoS 1: where its publisher or the broker had to repeat it. */
function repeated(
  ledger: Ledger,
  arrivals: readonly Arrival[],
  grantedQoS: number,
  where: string,
  counts: { repeated: number },
): Violation[] {
  const violations: Violation[] = [];
  const last = new Map<number, Arrival>();
  for (const arrival of arrivals) {
    const message = ledger.messages[arrival.number];
    if (message === undefined) continue;
    const before = last.get(arrival.number);
    last.set(arrival.number, arrival);
    const qos = Math.min(message.qos, grantedQoS);
    if (arrival.qos !== qos) {
      violations.push({ kind: 'unwanted', what: `${tell(message)} at ${where} with QoS ${arrival.qos}, not ${qos}` });
    }
    if (before === undefined) continue;
    // Another member of the group gets it as new, and so does the first one if it comes back to it later. [MQTT5 4.8.2]
    const isOtherConnection = arrival.clientId !== before.clientId || arrival.connection !== before.connection;
    const isHandedOn = where.startsWith('$share/') && isOtherConnection;
    // What is retained begins again where a restart cut it off, and what was in flight then is sent again as well.
    const isReplay = isArchived(message) && arrival.life > 1;
    // One that its publisher sent again may have left for subscribers of QoS 1 before the crash that made it unknown.
    if (
      isReplay ||
      (qos === 1 && (arrival.dup || isHandedOn || message.wasResent || mayRepeat(ledger, before, arrival)))
    )
      counts.repeated++;
    else {
      const when = `by connection ${before.connection} and then ${arrival.connection}`;
      violations.push({ kind: 'duplicated', what: `${tell(message)} at ${where} with QoS ${qos}, ${when}` });
    }
  }
  return violations;
}

function mayRepeat({ mayRepeat }: Ledger, before: Arrival, after: Arrival): boolean {
  return mayRepeat === 'always' || (mayRepeat === 'in the next life' && after.life !== before.life);
}

/** First arrivals, by publisher, topic and QoS. [MQTT5 4.6.0-6] */
function disordered(ledger: Ledger, session: SessionRecord): Violation[] {
  const violations: Violation[] = [];
  const seen = new Set<number>();
  const newest = new Map<string, number>();
  for (const { number } of session.arrivals) {
    const message = ledger.messages[number];
    if (message === undefined || seen.has(number)) continue;
    seen.add(number);
    const stream = `${message.publisher} ${message.topic} ${message.qos}`;
    const previous = newest.get(stream) ?? -1;
    if (number > previous) newest.set(stream, number);
    else if (!isSecondPass(ledger, session, message, previous))
      violations.push({ kind: 'out of order', what: `${tell(message)} at ${session.clientId}, after ${previous}` });
  }
  return violations;
}

/**
 * A crash makes a publisher send everything again that was not acknowledged, in its order. Who subscribed between the
 * first and the second sending of a message sees the newest of the first pass, and then the second pass from its
 * beginning.
 */
function isSecondPass(ledger: Ledger, session: SessionRecord, message: SentMessage, previous: number): boolean {
  return message.wasResent && ledger.messages[previous]!.wasResent && !isPromised(session, message);
}

/** Arrived although the client was not subscribed, or had never been sent. */
function unwanted(ledger: Ledger, session: SessionRecord): Violation[] {
  const violations: Violation[] = [];
  for (const number of session.arrived) {
    const message = ledger.messages[number];
    const what = message === undefined ? `message ${number}, which nobody sent,` : tell(message);
    if (message !== undefined && isPossible(session, message)) continue;
    violations.push({ kind: 'unwanted', what: `${what} at ${session.clientId}, which was not subscribed` });
  }
  return violations;
}

const watchers = (ledger: Ledger) => ledger.sessions.filter(({ clientId }) => clientId.startsWith('watcher'));

function missingWills(ledger: Ledger): string[] {
  return ledger.wills.flatMap(({ clientId, expectation, fate }) => {
    if (expectation !== 'arrives') return [];
    const without = watchers(ledger).filter(({ wills }) => !wills.has(clientId));
    return without.map((watcher) => `the will of ${clientId} (${fate}) did not arrive at ${watcher.clientId}`);
  });
}

/** After a start, the wills of those who were connected wait for a while. */
function graceEnd(ledger: Ledger, arrivedAt: number): number {
  return (ledger.starts.findLast((start) => start <= arrivedAt) ?? 0) + willGraceSeconds * 1_000;
}

/** Those that must not come, come early, or come twice at QoS 2. */
function wrongWills(ledger: Ledger, session: SessionRecord): Violation[] {
  const violations: Violation[] = [];
  for (const { clientId, qos, delaySeconds, fate, expectation, endedAt, wasCut } of ledger.wills) {
    const times = session.wills.get(clientId) ?? [];
    if (times.length === 0) continue;
    const told = `the will of ${clientId} (${fate}) at ${session.clientId}`;
    if (expectation === 'never') violations.push({ kind: 'will', what: `${told}, which must not come` });
    const first = Math.min(...times);
    const due = endedAt + delaySeconds * 1_000;
    const early = (wasCut ? Math.max(due, graceEnd(ledger, first)) : due) - first;
    if (early > 0) violations.push({ kind: 'will', what: `${told}, ${early} ms early` });
    if (times.length > 1 && Math.min(qos, session.qos) === 2) violations.push({ kind: 'will', what: `${told}, twice` });
  }
  return violations;
}
