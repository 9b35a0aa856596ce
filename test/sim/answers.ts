/**
 * Acknowledgements in both directions: what clients answer ends what is under way, and what the broker answers keeps
 * its promise when it leaves.
 */
import { Awaiting } from '../../src/core/send-window.ts';
import type { Deliveries } from './deliveries.ts';
import type { Judge } from './judge.ts';
import { type Exchange, type InFlight, identifier, type Link } from './link.ts';
import type { Expected, ModelSession } from './model.ts';
import { verdictOf } from './pipeline.ts';
import { hasAnswerToFilter } from './program.ts';

export class Answers {
  readonly #judge: Judge;
  readonly #deliveries: Deliveries;

  constructor(judge: Judge, deliveries: Deliveries) {
    this.#judge = judge;
    this.#deliveries = deliveries;
  }

  /** The broker has come to this acknowledgement of a message that it sent. */
  onAck(link: Link, type: string, packetId: number, reasonCode: number): void {
    const session = this.#deliveries.sessionOf(link);
    if (session === null) return;
    const inFlight = this.#deliveries.inFlight(session).get(packetId);
    if (inFlight === undefined && type === 'puback') return this.#answersFromBefore(link, session, packetId);
    // Of QoS 1, it may be for what was sent on an earlier connection: then it need not come again, unless another
    // member of a shared subscription has got it.
    const isLate = type === 'puback' && inFlight?.qos === 1 && !this.#judge.isGone(inFlight.decision);
    if (inFlight === undefined || (!link.outstanding.has(packetId) && !isLate)) return;
    const isEnd =
      (type === 'puback' && inFlight.qos === 1) ||
      (type === 'pubrec' && inFlight.qos === 2 && reasonCode >= 0x80 && !inFlight.isReceived) ||
      (type === 'pubcomp' && inFlight.isReceived);
    if (type === 'pubrec' && inFlight.qos === 2) {
      inFlight.isReceived = true;
      link.marks.set(`pubrel ${packetId}`, session.expirySeconds > 0 ? this.#judge.log.length : 0);
    }
    if (!isEnd) return;
    if (!link.outstanding.delete(packetId)) link.answered.add(inFlight.decision);
    this.#deliveries.inFlight(session).delete(packetId);
    this.#judge.done(inFlight.decision);
  }

  /**
   * What was in flight at an orderly stop, the broker knows by its identifier until it is answered, over crashes as
   * well.
   */
  #answersFromBefore(link: Link, { uid, clientId }: ModelSession, packetId: number): void {
    const judge: Judge = this.#judge;
    const session = judge.core!.directory.get(clientId);
    if (session?.window.awaiting(packetId) !== Awaiting.puback) return;
    const decision = judge.decisions.of(session, session.window.delivery(packetId));
    const held = judge.held.get(uid)?.get(packetId);
    judge.check(held === undefined || held === decision, 'no answer confirms another message', () => {
      return `${clientId}: ${packetId} stood for ${held!.expected!.message.key}`;
    });
    if (held !== undefined) judge.done(held);
    // It may have been written again before the answer came.
    if (decision !== null) link.answered.add(decision);
  }

  /** PUBREL to a subscriber. */
  onPubrel(link: Link, packetId: number, reasonCode: number): void {
    const session = this.#deliveries.sessionOf(link);
    if (session === null || reasonCode >= 0x80) return;
    const judge: Judge = this.#judge;
    const inFlight = this.#deliveries.inFlight(session).get(packetId) ?? this.#resumed(session, packetId);
    judge.check(
      inFlight?.isReceived === true || inFlight?.decision.isSkipped === true,
      'PUBREL only after PUBREC [MQTT5 4.3.3-6]',
      () => `${link.name}: ${packetId}`,
    );
    inFlight!.isReceived = inFlight!.isReleased = true;
    this.#deliveries.occupy(link, packetId);
  }

  /** After a restart, or of a message that was released instead of being sent. */
  #resumed(session: ModelSession, packetId: number): InFlight | undefined {
    const resumed = this.#deliveries.resumed(session, packetId);
    const decision = this.#judge.decisions.begunAs(session.uid, packetId);
    if (decision?.isSkipped !== true || resumed?.decision === decision) return resumed;
    const inFlight: InFlight = { decision, qos: 2, isReceived: true, isReleased: false };
    this.#deliveries.inFlight(session).set(packetId, inFlight);
    return inFlight;
  }

  /** A bug of the broker keeps this one back, and ends the connection behind what its client has published. */
  onUnsent(link: Link, type: string, packetId: number): void {
    const exchange = link.unanswered.get(`${type} ${packetId}`)?.shift();
    if (exchange === undefined || (type !== 'puback' && type !== 'pubrec')) return;
    link.owed[type].splice(link.owed[type].indexOf(exchange), 1);
  }

  /** PUBACK or PUBREC to a publisher. */
  onAnswer(link: Link, type: 'puback' | 'pubrec', packetId: number, reasonCode: number): void {
    const judge: Judge = this.#judge;
    const waiting = link.unanswered.get(`${type} ${packetId}`);
    const exchange = waiting?.shift();
    if (exchange === undefined) judge.fail('only what came is acknowledged', `${link.name}: ${type} ${packetId}`);
    const isNext = link.owed[type].shift() === exchange;
    const order = `acknowledgements in the order of their messages [MQTT5 4.6.0-${type === 'puback' ? 2 : 3}]`;
    judge.check(isNext, order, () => `${link.name}: ${type} ${packetId}`);
    const { sent, isDuplicate, numbers } = exchange;
    const isFailure = reasonCode >= 0x80;
    const { isDenied } = exchange;
    if (isFailure) {
      judge.check(isDenied || reasonCode !== 0x87, 'what may be published is not refused', () => sent.key);
      const lacksRoom = exchange.isRefused || judge.memory.hasBeenShort || judge.disk!.hasBeenInTrouble;
      judge.check(reasonCode !== 0x97 || lacksRoom, 'a message is refused only for want of room', () => sent.key);
      // The client takes its identifier to be free then, and the broker does not.
      judge.check(!isDuplicate, 'what was taken is not refused when it comes again [MQTT5 4.3.3-10]', () => sent.key);
      judge.check(numbers.length === 0, 'a refused message reaches nobody', () => sent.key);
      return;
    }
    // Before 5.0, no answer can say so.
    const isSilent = isDenied && link.version < 5;
    const isOther = isDuplicate || exchange.isRefused || isSilent || judge.profile.pipeline !== 'none';
    judge.check(numbers.length > 0 || isOther, 'an acknowledged message is routed', () => sent.key);
    const isSplit = judge.profile.pipeline !== 'none' && verdictOf(sent.topic, sent.qos, sent.payload) === 'split';
    const isWhole = !isSplit || numbers.length === 2 || isDuplicate || isSilent;
    judge.check(isWhole, 'all of a message that was split is routed', () => `${sent.key}: ${numbers.length}`);
    this.#checkStored(link, exchange);
  }

  /** Nothing acknowledged is lost: when the answer leaves, what it promises is where a crash does not reach it. */
  #checkStored(link: Link, { sent, marks }: Exchange): void {
    const judge: Judge = this.#judge;
    const promise = (what: string) => judge.fail('acknowledged means stored [MQTT5 4.3.2-4]', `${sent.key}: ${what}`);
    for (const [number, mark] of marks) {
      if (judge.safeMark >= mark) continue;
      if (number === identifier) {
        const own = judge.model.sessions.get(link.clientId);
        const isKept = own?.uid === link.uid && own.expirySeconds > 0 && own.received.has(sent.packetId);
        if (sent.qos === 2 && isKept) promise('its packet identifier is not on disk');
        continue;
      }
      for (const session of judge.model.sessions.values()) {
        const expected = session.expected.get(number);
        if (session.expirySeconds === 0 || expected === undefined || this.#isUnstaged(session, expected)) continue;
        promise(`what ${session.clientId} is to get is not on disk`);
      }
      const retained = judge.model.retained.get(sent.topic);
      if (retained?.number === number) promise('the retained message is not on disk');
    }
  }

  /** Nothing of this copy was ever staged: it was dropped, and counted, at once. */
  #isUnstaged(session: ModelSession, { message }: Expected): boolean {
    const { decisions, world } = this.#judge;
    return message.expiresAt <= world.time || decisions.wasDroppedUnstaged(session, message);
  }

  /**
   * What was asked is granted, unless the rules or hooks are against it; what rules let somebody subscribe to is not
   * judged.
   */
  onSuback(link: Link, packetId: number, granted: readonly number[]): void {
    const judge: Judge = this.#judge;
    const { hasSenselessHooks } = judge.profile;
    const asked = [...link.subscribing].filter(([key]) => key.startsWith(`${packetId} `));
    for (const [index, [key, { qos }]] of asked.entries()) {
      const filter = key.slice(key.indexOf(' ') + 1);
      const isRefused = hasSenselessHooks && !hasAnswerToFilter(filter);
      // 3.1 has no code for it.
      const refusal = { 3: 0, 4: 0x80, 5: 0x97 }[link.version];
      const hasNoMemory = judge.memory.hasBeenShort && granted[index]! === refusal;
      const isGranted = granted[index] === qos || hasNoMemory;
      const isRight = isRefused ? granted[index]! >= 0x80 || link.version === 3 : isGranted;
      judge.check(isRight || (judge.rules !== null && !isRefused), 'a subscription is granted as asked', () => {
        return `${link.name}: ${filter} with ${granted[index]} instead of ${isRefused ? 'a refusal' : qos}`;
      });
    }
  }

  /** Any other answer: CONNACK, SUBACK, UNSUBACK, PUBREL, PUBCOMP. */
  onPromise(link: Link, what: string): void {
    const judge: Judge = this.#judge;
    link.asked.delete(what);
    const mark = link.marks.get(what);
    link.marks.delete(what);
    if (mark === undefined || this.#deliveries.sessionOf(link) === null) return;
    judge.check(judge.safeMark >= mark, 'acknowledged means stored [MQTT5 4.3.2-4]', () => `${link.name}: ${what}`);
  }
}
