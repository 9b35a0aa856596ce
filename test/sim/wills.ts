/** That a will is published when, and only when, it is due, and once. [MQTT5 3.1.2-8] [MQTT5 3.1.2-10] */
import type { Judge } from './judge.ts';
import { toleranceMs } from './link.ts';
import type { LeftWill, Will } from './model.ts';
import { verdictOf } from './pipeline.ts';
import { isWaitingForDisk } from './state.ts';

const whenDue = 'a will when it is due [MQTT5 3.1.2-8]';
const onlyWhenDue = 'a will only when it is due [MQTT5 3.1.2-10]';
/** Longer than a part of the pipeline takes its time. */
const underWayMs = 1_000;

/** One that became due in this event. Why it did is known when the event is over. */
interface Due {
  readonly will: Pick<LeftWill, 'key' | 'clientId' | 'dueAt' | 'graceUntil' | 'isLeftBehind'>;
  readonly at: number;
  /** Of the session that the client had; undefined: it was over. */
  readonly uid: number | undefined;
  /** Its client was connected. */
  readonly wasConnected: boolean;
}

export class Wills {
  /** The broker stops, and its clients find their wills where they left them. */
  isStopping = false;
  /**
   * Keys of those that were on their way when all connections had ended: the stop waits for them. Null: it has not
   * begun to.
   */
  #awaitedByStop: ReadonlySet<string> | null = null;
  /** Whose it is, by its key. */
  readonly #clients = new Map<string, string>();
  /** Who connected when. */
  readonly #connectedAt = new Set<string>();
  /** How often a will that is under way was routed, and which were refused, by what. */
  #routed = new Map<string, number>();
  #refused = new Map<string, 'rules' | 'pipeline'>();
  #toCheck: Due[] = [];
  readonly #judge: Judge;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  has(key: string): boolean {
    return this.#clients.has(key);
  }

  clientOf(key: string): string | null {
    return this.#clients.get(key) ?? null;
  }

  /** Another process: nothing is under way in it. */
  restarted(): void {
    this.isStopping = false;
    this.#awaitedByStop = null;
    this.#routed = new Map();
    this.#refused = new Map();
  }

  onConnected(clientId: string, will: Will | null): void {
    this.#connectedAt.add(`${clientId} ${this.#judge.world.time}`);
    if (will !== null) this.#clients.set(will.key, clientId);
  }

  /** It begins its way through rules and pipeline. */
  onDue(key: string): void {
    const judge: Judge = this.#judge;
    const { model } = judge;
    const at = judge.world.time;
    const clientId = this.#clients.get(key)!;
    const session = model.sessions.get(clientId);
    const wasConnected = session?.will?.key === key;
    // Another connection is taking the session over: whether it is, is seen when the event is over.
    if (wasConnected) judge.onTakenOver(session);
    const will = model.wills.get(key);
    if (will === undefined) judge.fail(onlyWhenDue, `${key} of ${clientId} is not to be published`);
    judge.check(!will.isUnderWay, 'a will once', () => `${key} of ${clientId} is published a second time`);
    judge.world.tell(() => `broker: the will ${key} of ${clientId} is due`);
    this.#toCheck.push({ will: { ...will }, at, uid: session?.uid, wasConnected });
    judge.tell({ kind: 'willDue', key, at });
    this.#routed.set(key, 0);
    this.#refused.delete(key);
  }

  onRouted(key: string): void {
    const judge: Judge = this.#judge;
    const isUnderWay = judge.model.wills.get(key)?.isUnderWay === true;
    judge.check(isUnderWay, onlyWhenDue, () => `${key} is routed, and is not under way`);
    const times = (this.#routed.get(key) ?? 0) + 1;
    this.#routed.set(key, times);
    judge.check(times === 1, 'a will once', () => `${key} is routed again`);
  }

  /** The rules do not allow it any more, or the pipeline refuses it. */
  onRefused(key: string, topic: string, qos: number, payload: string): void {
    const judge: Judge = this.#judge;
    const isByRules = judge.model.wills.get(key)?.isUnderWay !== true;
    if (isByRules) this.onDue(key);
    // They are asked again when it is through the pipeline.
    const isForbidden = judge.rules?.mayPublish(this.#clients.get(key)!, topic) === false;
    const isRejected = judge.profile.pipeline !== 'none' && verdictOf(topic, qos, payload) === 'reject';
    judge.check(isForbidden || (!isByRules && isRejected), whenDue, () => `${key} was refused, and is allowed`);
    this.#refused.set(key, isForbidden ? 'rules' : 'pipeline');
    if (isByRules) judge.tell({ kind: 'willDone', key });
  }

  /** Its way is over, and its record goes. */
  onDone(key: string, topic: string, qos: number, payload: string): void {
    const judge: Judge = this.#judge;
    const verdict = judge.profile.pipeline === 'none' ? 'keep' : verdictOf(topic, qos, payload);
    const refusedBy = this.#refused.get(key);
    const became = refusedBy !== undefined ? 'reject' : this.#routed.get(key) === 1 ? 'keep' : 'drop';
    judge.check(became === verdict || refusedBy === 'rules', whenDue, () => `${key}: ${became} instead of ${verdict}`);
    judge.tell({ kind: 'willDone', key });
  }

  /** Once the event is over, it is known why a will became due in it. */
  afterEvent(): void {
    const judge: Judge = this.#judge;
    for (const { will, at, uid, wasConnected } of this.#toCheck) {
      const { clientId, key, dueAt, graceUntil, isLeftBehind } = will;
      const now = judge.model.sessions.get(clientId);
      // It was connected when its will was published: then this very event has taken the connection from it.
      const isOver = uid === undefined || now?.uid !== uid;
      const isTakenOver = isOver || this.#connectedAt.has(`${clientId} ${at}`);
      judge.check(!wasConnected || isTakenOver || !now!.isConnected, onlyWhenDue, () => {
        return `${clientId} is connected, and its will ${key} was published`;
      });
      const isEarly = at < dueAt && !(isOver && (!isLeftBehind || at >= graceUntil));
      judge.check(!isEarly, 'a will not before its delay [MQTT5 3.1.3-9]', () => {
        return `${key} of ${clientId}: ${dueAt - at} ms early`;
      });
    }
    this.#toCheck = [];
  }

  /** The broker stops and begins to wait for wills: those of the connections that it has just ended are among them. */
  stopWaits(): void {
    const underWay = [...this.#judge.model.wills.values()].filter(({ isUnderWay }) => isUnderWay);
    this.#awaitedByStop = new Set(underWay.map(({ key }) => key));
  }

  /** What becomes due after the wait, be it in the same millisecond, is for the next start. */
  checkStopped(): void {
    for (const { key, clientId, isUnderWay } of this.#judge.model.wills.values()) {
      this.#judge.check(
        !isUnderWay || this.#awaitedByStop?.has(key) === false,
        'a stop lets wills pass',
        () => `${key} of ${clientId} is still under way`,
      );
    }
  }

  /** Whether one should have been published by now. */
  checkOverdue(): void {
    const judge: Judge = this.#judge;
    // One that is to be stored waits for it.
    if (isWaitingForDisk(judge) || judge.store?.isBehind === true) return;
    for (const { key, clientId, dueAt, isUnderWay } of judge.model.wills.values()) {
      const lateMs = judge.world.time - dueAt - toleranceMs - (isUnderWay ? underWayMs : 0);
      judge.check(lateMs <= 0, whenDue, () => `${key} of ${clientId} is ${lateMs} ms late`);
    }
  }
}
