/** At the end, when everybody has come and taken what there was: what was owed and never came. */
import type { Judge } from './judge.ts';
import type { GroupExpected, QoS } from './model.ts';

/** What was dropped was counted, and nothing else is missing. */
export function checkMissing(judge: Judge): void {
  const missing = [...missingOfSessions(judge), ...missingOfGroups(judge)];
  const dropped = judge.droppedBefore + judge.counters!.droppedInAll;
  if (missing.length > dropped) {
    const what = `${missing.length} missing, ${dropped} counted as dropped:`;
    judge.fail('nothing is lost [MQTT5 4.4]', `${what} ${missing.slice(0, 5).join('; ')}`);
  }
  for (const link of judge.links) {
    const [first] = link.written;
    if (first === undefined || link.isDetached || link.wire.isClosed) continue;
    judge.fail('what was written arrives', `${link.name} never got ${first.decision.expected!.message.key}`);
  }
}

function missingOfSessions({ model, world }: Judge): string[] {
  const found: string[] = [];
  const isOver = (expiresAt: number) => expiresAt <= world.time + 1_000;
  for (const { clientId, expected, fleeting, replays, isConnected } of model.sessions.values()) {
    const owed = new Set([...expected.values(), ...(isConnected ? fleeting : [])]);
    for (const { message, qos } of owed) {
      if (isOver(message.expiresAt)) continue;
      found.push(`${clientId} never got ${message.key} (${message.topic}, QoS ${qos}, routed as ${message.number})`);
    }
    for (const { message } of [...replays.values()].flatMap(({ owed }) => [...owed.values()])) {
      const isStillIt = model.retained.get(message.topic)?.number === message.number;
      if (!isStillIt || isOver(message.expiresAt)) continue;
      found.push(`${clientId} never got the retained ${message.key} (${message.topic})`);
    }
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
    const { message, name } = owed;
    return [`nobody of ${name} got ${message.key} (QoS ${message.qos}, routed as ${message.number})`];
  });
}

function mayBeOver(judge: Judge, { message, members, joined }: GroupExpected, now: QoS[] | undefined): boolean {
  const { model, world, lifeOf, life } = judge;
  if (now === undefined || message.qos === 0 || message.expiresAt <= world.time + 1_000) return true;
  // The will of a member that was leaving for good.
  if ([...members.keys()].every((clientId) => clientId === message.publisher)) return true;
  // QoS 2 that was under way ends with the session of who had it, [MQTT5 4.8.2-5] and anything with a crash if that session was not
  // to outlive it.
  const hasEnded = [...members.keys()].some((id) => (model.sessions.get(id)?.uid ?? Infinity) > message.number);
  if (hasEnded && (message.qos === 2 || lifeOf.get(message.number) !== life)) return true;
  // QoS 0 is owed to nobody who is away or busy.
  return [...now, ...[...members.values(), ...joined.values()].map(({ qos }) => qos)].some((qos) => qos === 0);
}
