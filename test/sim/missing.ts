/** At the end, when everybody has come and taken what there was: what was owed and never came. */
import type { Decision } from './decisions.ts';
import type { Judge } from './judge.ts';
import type { GroupExpected, ModelSession, Routed } from './model.ts';

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
  judge.check(missing + found.length <= judge.droppedOwed, lost, () => {
    return tell(found, `besides ${missing} others, nobody got`, judge.droppedOwed);
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

function missingOf(judge: Judge, { clientId, expected, fleeting, replays, isConnected }: ModelSession): string[] {
  const owed = new Set([...expected.values(), ...(isConnected ? fleeting : [])]);
  const found = [...owed].filter(({ message }) => !isOver(judge, message)).map(({ message }) => name(message));
  for (const { message } of [...replays.values()].flatMap((each) => [...each.owed.values()])) {
    // It may have been its turn while it was not allowed.
    if (judge.rules?.mightAlwaysReceive(clientId, message.topic) === false) continue;
    const isStillIt = judge.model.retained.get(message.topic)?.number === message.number;
    if (isStillIt && !isOver(judge, message)) found.push(`the retained ${name(message)}`);
  }
  return found;
}

/** Of shared subscriptions that still have a member. */
function missingOfGroups(judge: Judge): string[] {
  const { model } = judge;
  const filters = new Set([...model.sessions.values()].flatMap(({ subscriptions }) => [...subscriptions.keys()]));
  return [...model.groups.values()].flat().flatMap((owed) => {
    if (!filters.has(`$share/${owed.name}`) || mayBeOver(judge, owed)) return [];
    return [`${name(owed.message)} by ${owed.name}`];
  });
}

function mayBeOver(judge: Judge, { message, name, members, ended, isOrphaned }: GroupExpected): boolean {
  if (isOrphaned || message.qos === 0 || isOver(judge, message)) return true;
  const given = judge.decisions.ofGroup(message.number, name);
  // It is given to some in each round, and those who might have had it had ended when it came to them.
  if (given.length === 0 && [...members.keys()].every((clientId) => ended.has(clientId))) return true;
  // The will of a member that was leaving for good.
  if ([...members.keys()].every((clientId) => clientId === message.publisher)) return true;
  return given.some((each) => mayHaveEndedWith(judge, each));
}

/**
 * With a member of a shared subscription ends what it asked for with QoS 0, QoS 2 that was under way to it, [MQTT5
 * 4.8.2-5] and, if the process crashed, what a session had that was not to outlive its connection.
 */
function mayHaveEndedWith({ model, life }: Judge, given: Decision): boolean {
  const qos = given.expected?.qos ?? 0;
  if (qos === 0) return true;
  if (model.sessions.get(given.clientId)?.uid === given.uid) return false;
  return (qos === 2 && given.begunAt > 0) || (!given.isKept && given.life !== life);
}
