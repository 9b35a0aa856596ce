/** That a will is published when, and only when, it is due. [MQTT5 3.1.2-8] [MQTT5 3.1.2-10] */
import type { Judge } from './judge.ts';
import type { ModelSession, Will } from './model.ts';

export class Wills {
  /** Whose it is, by its key. */
  readonly #clients = new Map<string, string>();
  /** Who connected when. */
  readonly #connectedAt = new Set<string>();
  #toCheck: { clientId: string; session: ModelSession | undefined; at: number; key: string }[] = [];
  readonly #judge: Judge;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  has(key: string): boolean {
    return this.#clients.has(key);
  }

  onConnected(clientId: string, will: Will | null): void {
    this.#connectedAt.add(`${clientId} ${this.#judge.world.time}`);
    if (will !== null) this.#clients.set(will.key, clientId);
  }

  onPublished(key: string, topic: string): void {
    const judge: Judge = this.#judge;
    const clientId = this.#clients.get(key)!;
    const session = judge.model.sessions.get(clientId);
    const isCurrent = session?.will?.key === key;
    // On its way through the pipeline, what it was due for may be over.
    if (judge.profile.pipeline === 'async') {
      if (isCurrent) judge.tell({ kind: 'willPublished', clientId });
      return;
    }
    const isAllowed = judge.rules?.mayPublish(clientId, topic) !== false;
    judge.check(isAllowed, 'only what the rules allow is routed', () => `the will of ${clientId}`);
    // As it was when the will was published.
    const was = isCurrent ? { ...session! } : undefined;
    this.#toCheck.push({ clientId, session: was, at: judge.world.time, key });
    judge.world.tell(() => `broker: publishes the will of ${clientId}`);
    if (!isCurrent) return;
    // Another connection is taking the session over: whether it is, is seen when the event is over.
    if (session!.isConnected) {
      judge.tell({ kind: 'disconnect', clientId, hasWill: true, expirySeconds: null, at: judge.world.time });
    }
    judge.tell({ kind: 'willPublished', clientId });
  }

  /** It is due, and the rules do not allow it any more. */
  onRefused(clientId: string, topic: string): void {
    const judge: Judge = this.#judge;
    const isRight = judge.rules?.mayPublish(clientId, topic) === false;
    judge.check(isRight, 'a will when it is due [MQTT5 3.1.2-8]', () => `${clientId}'s was refused, and is allowed`);
    judge.tell({ kind: 'willPublished', clientId });
  }

  /** Once the event is over, it is known why a will was published in it. */
  afterEvent(): void {
    const judge: Judge = this.#judge;
    for (const { clientId, session, at, key } of this.#toCheck) {
      if (session === undefined)
        judge.fail('a will only when it is due [MQTT5 3.1.2-10]', `${key} of ${clientId} is not to be published`);
      const now = judge.model.sessions.get(clientId);
      // It was connected when its will was published: then this very event has taken the connection from it.
      const isOver = now?.uid !== session.uid;
      const since = session.isConnected ? at : session.disconnectedAt;
      const delayMs = session.will!.delaySeconds * 1000;
      const isTakenOver = session.isConnected && (isOver || this.#connectedAt.has(`${clientId} ${at}`));
      judge.check(
        !session.isConnected || isTakenOver || !now!.isConnected,
        'a will only when it is due [MQTT5 3.1.2-10]',
        () => {
          return `${clientId} is connected, and its will was published`;
        },
      );
      const isEarly = at < since + delayMs && !isOver;
      judge.check(
        !isEarly,
        'a will not before its delay [MQTT5 3.1.3-9]',
        () => `${clientId}: ${at - since} of ${delayMs} ms`,
      );
    }
    this.#toCheck = [];
  }
}
