/**
 * What the broker promised, and what came: the record that `verify.ts` judges.
 *
 * Everything that happens gets a number (`now`) in the order in which the clients saw it, so "before" never depends on
 * a clock.
 */
export type QoS = 1 | 2;

export const ReasonCode = {
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  serverShuttingDown: 0x8b,
  sessionTakenOver: 0x8e,
};
const serverUnavailable311 = 3;

/**
 * After a start, clients that were connected at the stop have this long to come back before their wills are published.
 */
export const willGraceSeconds = 1;
/** The pipeline adds this to wills that pass it. */
export const pipedMark = ', piped';

export interface SentMessage {
  /** Unique in the round, rising in the order of sending; the payload begins with it. */
  readonly number: number;
  readonly publisher: string;
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  /** Removes the retained message of its topic. */
  readonly isEmpty: boolean;
  /** Bytes of its payload, if it is not empty. */
  readonly size: number;
  readonly sentAt: number;
  /** PUBACK or PUBREC; Infinity as long as there is none. */
  acknowledgedAt: number;
  /** It was sent again with DUP, so at QoS 1 it may arrive again. */
  wasResent: boolean;
}

export interface Arrival {
  readonly clientId: string;
  readonly number: number;
  readonly at: number;
  readonly qos: number;
  readonly dup: boolean;
  /** Which of its connections it came by. */
  readonly connection: number;
  /** In which life of the broker it came. */
  readonly life: number;
}

/** A SUBSCRIBE or UNSUBSCRIBE and its answer. */
interface Change {
  readonly kind: 'subscribe' | 'unsubscribe';
  readonly sentAt: number;
  acknowledgedAt: number;
}

/** What one client's session was promised, and got. */
export class SessionRecord {
  readonly clientId: string;
  /** Of all its subscriptions. */
  readonly qos: QoS;
  /** Shared with the sessions of the same group, or null. */
  readonly group: string | null;
  readonly changes = new Map<string, Change[]>();
  readonly arrivals: Arrival[] = [];
  readonly arrived = new Set<number>();
  connections = 0;
  /** Which life of its broker this is, where there are several brokers. */
  life: number | null = null;
  /**
   * When the broker knew that the connection before the current one was over: what was sent later cannot have been sent
   * by it. Infinity if only the client knows when it was.
   */
  awaySince = 0;
  /** What was sent before may be lost: a session on its way was deleted. */
  promisedFrom = 0;
  /** When the wills of these clients came, in milliseconds since the epoch. */
  readonly wills = new Map<string, number[]>();

  constructor(clientId: string, qos: QoS, group: string | null) {
    this.clientId = clientId;
    this.qos = qos;
    this.group = group;
  }
}

export const willFates = ['stays', 'leaves', 'breaks off', 'returns'] as const;
/** Connected at the stop; sent DISCONNECT before it; dropped its connection before it; comes back in time. */
export type WillFate = (typeof willFates)[number];

export interface WillRecord {
  readonly clientId: string;
  readonly qos: QoS;
  readonly delaySeconds: number;
  readonly fate: WillFate;
  /** `either`: the crash came while CONNECT or DISCONNECT was under way. */
  expectation: 'arrives' | 'never' | 'either';
  /** Milliseconds since the epoch: when its connection ended. */
  endedAt: number;
  /** It was connected when the broker stopped. */
  wasCut: boolean;
}

export interface Violation {
  readonly kind:
    | 'lost'
    | 'duplicated'
    | 'out of order'
    | 'unwanted'
    | 'session'
    | 'retained'
    | 'will'
    | 'dup'
    | 'packet id'
    | 'broker';
  readonly what: string;
}

export class Ledger {
  readonly messages: SentMessage[] = [];
  readonly sessions: SessionRecord[] = [];
  readonly wills: WillRecord[] = [];
  /** Those found while the round runs. */
  readonly violations: Violation[] = [];
  crashes = 0;
  /** Lives of the broker that ended by order. */
  stops = 0;
  /** When the broker's lives began, in milliseconds since the epoch. */
  readonly starts: number[] = [];
  /** The broker has been told to stop, and may say so, in DISCONNECT … */
  isStopping = false;
  farewells: readonly number[] = [ReasonCode.serverShuttingDown];
  /** … and in CONNACK, which has no code for that. [MQTT5 3.2.2.2] [MQTT3 3.2.2.3] */
  refusals: readonly number[] = [ReasonCode.serverUnavailable, serverUnavailable311];
  /** A disk was full, so a broker may have refused messages with 0x97. */
  hasBeenFull = false;
  /**
   * Over a bridge, what comes at QoS 1 without DUP, and without a publisher that repeats it, may have come before. To a
   * Sluice only in the next life of its broker: it may leave for a subscriber of QoS 1 before the crash that makes it
   * unknown, and the bridge then sends it again.
   */
  mayRepeat: 'never' | 'in the next life' | 'always' = 'never';
  /** One of the brokers keeps no order: Mosquitto does not where it has more than it may send at a time. */
  mayReorder = false;
  /** Of the last thing that arrived. */
  lastArrivalMs = Date.now();
  #now = 0;

  /** The number of what is happening. */
  tick(): number {
    return ++this.#now;
  }

  session(clientId: string, qos: QoS, group: string | null): SessionRecord {
    const session = new SessionRecord(clientId, qos, group);
    this.sessions.push(session);
    return session;
  }

  send(fields: Pick<SentMessage, 'publisher' | 'topic' | 'qos' | 'retain' | 'isEmpty' | 'size'>): SentMessage {
    const number = this.messages.length;
    const message = {
      ...fields,
      number,
      sentAt: this.tick(),
      acknowledgedAt: Number.POSITIVE_INFINITY,
      wasResent: false,
    };
    this.messages.push(message);
    return message;
  }

  change(session: SessionRecord, kind: Change['kind'], filter: string): Change {
    const change = { kind, sentAt: this.tick(), acknowledgedAt: Number.POSITIVE_INFINITY };
    const changes = session.changes.get(filter);
    if (changes === undefined) session.changes.set(filter, [change]);
    else changes.push(change);
    return change;
  }

  arrived(session: SessionRecord, payload: string, qos: number, dup: boolean): void {
    this.lastArrivalMs = Date.now();
    const at = this.tick();
    if (payload.startsWith('will of ')) {
      const [clientId, ...passed] = payload.slice('will of '.length).split(', ') as [string, ...string[]];
      if (passed.length !== (isPiped(clientId) ? 1 : 0)) {
        this.report('will', `"${payload}" has not passed the pipeline once where it should, at ${session.clientId}`);
      }
      session.wills.set(clientId, [...(session.wills.get(clientId) ?? []), this.lastArrivalMs]);
      return;
    }
    // What removes a retained message has no payload to know it by.
    if (payload === '') return;
    const number = Number.parseInt(payload, 10);
    const { clientId, connections: connection } = session;
    if (dup && !session.arrived.has(number) && (this.messages[number]?.sentAt ?? 0) > session.awaySince) {
      const what = `message ${number} came to ${clientId} with DUP, which it cannot have been sent before`;
      this.report('dup', `${what} [MQTT-3.3.1-3]`);
    }
    session.arrivals.push({ clientId, number, at, qos, dup, connection, life: session.life ?? this.starts.length });
    session.arrived.add(number);
  }

  report(kind: Violation['kind'], what: string): void {
    this.violations.push({ kind, what });
  }
}

/** Whether the will of this client passes the pipeline. */
export const isPiped = (clientId: string): boolean => clientId.endsWith('-piped');

/** Plain, `+` and a final `#`: all that the clients here use. */
export function matches(filter: string, topic: string): boolean {
  const wanted = filter.split('/');
  const levels = topic.split('/');
  if (wanted.at(-1) === '#') return wanted.slice(0, -1).every((level, i) => level === '+' || level === levels[i]);
  return wanted.length === levels.length && wanted.every((level, i) => level === '+' || level === levels[i]);
}
