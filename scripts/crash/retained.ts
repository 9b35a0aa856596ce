/**
 * Looks at the retained messages with a client of its own: each must be the last acknowledged one of its topic, or a
 * later one.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from './client.ts';
import { Ledger, type SentMessage } from './ledger.ts';

const patienceMs = 3_000;
/** What is retained comes at once or never; this long for the last of it. */
const quietMs = 50;

/** Of a bridge, topics have other names where they arrive. */
export interface RetainedTopics {
  /** What is subscribed to. */
  readonly filter: string;
  /** With which all of them began where they were published. */
  readonly beginning: string;
}

const usual: RetainedTopics = { filter: 'retained/#', beginning: 'retained/' };

/** A connection that breaks meanwhile finds nothing out. */
export async function checkRetained(ledger: Ledger, port: number, clientId: string, topics = usual): Promise<void> {
  const own = new Ledger();
  const record = own.session(clientId, 1, null);
  const options = { clientId, version: 4, isPersistent: false, reusesPacketIds: false, answerDelayMs: 0 } as const;
  const probe = new Client(options, own, record);
  if (!(await probe.connect(port))) return;
  const histories = retainedHistories(ledger.messages, topics);
  const isSubscribed = await probe.subscribe(topics.filter, 1);
  const deadline = Date.now() + patienceMs;
  const wrong = () => [...histories].flatMap(([topic, history]) => judge(topic, history, record.arrived, ledger));
  while (isSubscribed && probe.state === 'open' && wrong().length > 0 && Date.now() < deadline) await delay(10);
  if (isSubscribed) await delay(quietMs);
  if (isSubscribed && probe.state === 'open') for (const what of wrong()) ledger.report('retained', what);
  await probe.abandon();
}

interface History {
  /** That can be the retained one: the last acknowledged, and later ones. */
  readonly possible: readonly SentMessage[];
  /** Nothing at all may be retained. */
  readonly canBeEmpty: boolean;
}

/** As it stands now: what is acknowledged later is not asked for. */
function retainedHistories(messages: readonly SentMessage[], { beginning }: RetainedTopics): Map<string, History> {
  const byTopic = new Map<string, SentMessage[]>();
  for (const message of messages) {
    if (message.retain && message.topic.startsWith(beginning))
      byTopic.set(message.topic, [...(byTopic.get(message.topic) ?? []), message]);
  }
  const histories = new Map<string, History>();
  for (const [topic, sent] of byTopic) {
    const last = sent.findLastIndex(({ acknowledgedAt }) => acknowledgedAt < Number.POSITIVE_INFINITY);
    const possible = sent.slice(Math.max(last, 0));
    histories.set(topic, { possible, canBeEmpty: last < 0 || possible.some(({ isEmpty }) => isEmpty) });
  }
  return histories;
}

function judge(
  topic: string,
  { possible, canBeEmpty }: History,
  arrived: ReadonlySet<number>,
  ledger: Ledger,
): string[] {
  const found = [...arrived].filter((number) => ledger.messages[number]?.topic === topic);
  if (found.length === 0) {
    return canBeEmpty ? [] : [`nothing for ${topic}, though message ${possible[0]!.number} was acknowledged`];
  }
  // Those sent since the probe subscribed are right too.
  const stale = found.filter((number) => number < possible[0]!.number);
  return stale.map((number) => `message ${number} for ${topic}, though ${possible[0]!.number} was acknowledged`);
}
