/** At the end, when everybody has come and taken what there was: what was owed and never came. */
import type { Judge } from './judge.ts';
import type { GroupExpected, ModelSession, QoS, Routed } from './model.ts';

const lost = 'nothing is lost [MQTT5 4.4]';

/** What was dropped was counted, for the session that it was dropped for, and nothing else is missing. */
export function checkMissing(judge: Judge): void {
  const counted = judge.countedBefore + judge.counters!.droppedInAll;
  judge.check(counted === judge.dropped, lost, () => `${judge.dropped} dropped, and ${counted} counted`);
  let missing = 0;
  for (const session of judge.model.sessions.values()) {
    const found = missingOf(judge, session);
    const dropped = judge.droppedOf.get(session.clientId) ?? 0;
    judge.check(found.length <= dropped, lost, () => tell(found, `${session.clientId} never got`, dropped));
    missing += found.length;
  }
  const found = missingOfGroups(judge);
  judge.check(missing + found.length <= judge.dropped, lost, () => {
    return tell(found, `besides ${missing} others, nobody got`, judge.dropped);
  });
  for (const link of judge.links) {
    const [first] = link.written;
    if (first === undefined || link.isDetached || link.wire.isClosed) continue;
    judge.fail('what was written arrives', `${link.name} never got ${first.decision.expected!.message.key}`);
  }
}

function tell(missing: readonly string[], who: string, dropped: number): string {
  return `${who} ${missing.slice(0, 5).join(', ')} (${missing.length}); ${dropped} counted as dropped`;
}

const isOver = ({ world }: Judge, { expiresAt }: Routed) => expiresAt <= world.time + 1_000;
const name = ({ key, topic, qos, number }: Routed) => `${key} (${topic}, QoS ${qos}, routed as ${number})`;

function missingOf(judge: Judge, { expected, fleeting, replays, isConnected }: ModelSession): string[] {
  const owed = new Set([...expected.values(), ...(isConnected ? fleeting : [])]);
  const found = [...owed].filter(({ message }) => !isOver(judge, message)).map(({ message }) => name(message));
  for (const { message } of [...replays.values()].flatMap((each) => [...each.owed.values()])) {
    // With rules, it may have been its turn while it was not allowed.
    if (judge.rules !== null) break;
    const isStillIt = judge.model.retained.get(message.topic)?.number === message.number;
    if (isStillIt && !isOver(judge, message)) found.push(`the retained ${name(message)}`);
  }
  return found;
}

/** Of shared subscriptions that still have a member. */
function missingOfGroups(judge: Judge): string[] {
  const { model } = judge;
  const members = new Map<string, QoS[]>();
  for (const { subscriptions } of model.sessions.values()) {
    for (const [filter, { qos }] of subscriptions) members.set(filter, [...(members.get(filter) ?? []), qos]);
  }
  return [...model.groups.values()].flat().flatMap((owed) => {
    if (mayBeOver(judge, owed, members.get(`$share/${owed.name}`))) return [];
    return [`${name(owed.message)} by ${owed.name}`];
  });
}

function mayBeOver(judge: Judge, { message, members, joined }: GroupExpected, now: QoS[] | undefined): boolean {
  const { model, lifeOf, life } = judge;
  if (now === undefined || message.qos === 0 || isOver(judge, message)) return true;
  // The will of a member that was leaving for good.
  if ([...members.keys()].every((clientId) => clientId === message.publisher)) return true;
  // QoS 2 that was under way ends with the session of who had it, [MQTT5 4.8.2-5] and anything with a crash if that session was not
  // to outlive it.
  const hasEnded = [...members.keys(), ...joined.keys()].some(
    (id) => (model.sessions.get(id)?.uid ?? Infinity) > message.number,
  );
  if (hasEnded && (message.qos === 2 || lifeOf.get(message.number) !== life)) return true;
  // QoS 0 is owed to nobody who is away or busy.
  return [...now, ...[...members.values(), ...joined.values()].map(({ qos }) => qos)].some((qos) => qos === 0);
}
