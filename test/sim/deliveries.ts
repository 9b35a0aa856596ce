/**
 * What clients are sent, held against what the broker decided to send and what the oracle says of it: every PUBLISH is
 * as it is owed, in its order, within the client's limits.
 */
import type { Decision } from './decisions.ts';
import type { Judge } from './judge.ts';
import { describe, type InFlight, keyOf, type Link, toleranceMs, type Written } from './link.ts';
import type { ModelSession, QoS } from './model.ts';
import type { Packet } from './network.ts';

const exactlyOnce = 'QoS 2 exactly once, outbound [MQTT5 4.3.3-5]';

export class Deliveries {
  /** QoS 2 packet identifiers given to sessions: never taken back, since clients have seen them. */
  readonly #sending = new Map<string, InFlight>();
  /** The highest number that was sent for the first time, by session and QoS. */
  readonly #firstSent = new Map<string, number>();
  /** Who has a message of a shared subscription under way. */
  readonly #holders = new Map<string, { readonly uid: number; readonly qos: QoS }>();
  readonly #decisionOf = new WeakMap<Packet, Decision>();
  /** QoS 2 that a client's application got. */
  readonly #received = new WeakSet<Decision>();
  readonly #judge: Judge;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  onPublish(link: Link, packet: Packet): void {
    const judge: Judge = this.#judge;
    const written = link.written.shift();
    if (written === undefined) judge.fail('nothing is sent that was not decided', `${link.name} ${packet.topic}`);
    const session = this.sessionOf(link);
    if (session === null) return this.#arrivesBehind(link, packet, written.decision);
    const topic = this.#topicOf(link, packet);
    const { decision } = written;
    const key = keyOf(packet.payload!.toString(), topic);
    judge.world.tell(() => `broker -> ${link.name}: ${describe(packet, key, topic)}`);
    judge.check(packet.bytes <= link.packetBytesMax, 'Maximum Packet Size [MQTT5 3.1.2-24]', () => {
      return `${link.name} takes ${link.packetBytesMax} bytes and was sent ${packet.bytes}`;
    });
    this.#checkContent(link, packet, decision, key, topic);
    this.#checkExpiry(link, packet, written, key);
    this.#checkDup(link, packet, written, key);
    this.#checkOrder(link, session, packet.qos!, decision, key);
    decision.arrivals++;
    this.#decisionOf.set(packet, decision);
    if (packet.qos! > 0) this.#begin(link, session, packet, decision, key);
  }

  /**
   * It was written before the session let go of the connection. Its client may have it, and answer it when it is back.
   */
  #arrivesBehind(link: Link, { qos, messageId }: Packet, decision: Decision): void {
    const session = this.#judge.model.sessions.get(link.clientId);
    if (qos !== 1 || session?.uid !== link.uid || this.#judge.isGone(decision)) return;
    const inFlight = this.inFlight(session);
    if (!inFlight.has(messageId!)) inFlight.set(messageId!, { decision, qos, isReceived: false, isReleased: false });
  }

  /** A client's application is given what came: of QoS 2, once. */
  onMessage(packet: Packet): void {
    const judge: Judge = this.#judge;
    const decision = this.#decisionOf.get(packet);
    if (packet.qos !== 2 || decision === undefined) return;
    const { clientId, expected } = decision;
    const isFirst = !this.#received.has(decision);
    judge.check(isFirst, exactlyOnce, () => `${clientId} has got ${expected!.message.key} twice`);
    this.#received.add(decision);
  }

  sessionOf(link: Link): ModelSession | null {
    const session = this.#judge.model.sessions.get(link.clientId);
    return session === undefined || session.uid !== link.uid || link.isDetached ? null : session;
  }

  inFlight(session: ModelSession): Map<number, InFlight> {
    let inFlight = this.#judge.inFlight.get(session.uid);
    if (inFlight === undefined) this.#judge.inFlight.set(session.uid, (inFlight = new Map()));
    return inFlight;
  }

  /** After a restart, the broker goes on with a packet identifier that it had given before. */
  resumed(session: ModelSession, packetId: number): InFlight | undefined {
    const inFlight = this.#sending.get(`${session.uid} ${packetId}`);
    if (inFlight !== undefined) this.inFlight(session).set(packetId, inFlight);
    return inFlight;
  }

  occupy(link: Link, id: number): void {
    const judge: Judge = this.#judge;
    link.outstanding.add(id);
    const most = Math.min(link.receiveMaximum, judge.profile.settings.limits.inflight);
    judge.check(link.outstanding.size <= most, 'Receive Maximum [MQTT5 3.3.4-9]', () => {
      return `${link.name} has ${link.outstanding.size} messages under way, and takes ${most}`;
    });
  }

  #topicOf(link: Link, packet: Packet): string {
    const alias = packet.properties?.topicAlias;
    if (alias === undefined) return packet.topic!;
    const judge: Judge = this.#judge;
    judge.check(
      alias >= 1 && alias <= link.topicAliasMaximum,
      'Topic Alias Maximum [MQTT5 3.1.2-26]',
      () => `${alias}`,
    );
    if (packet.topic !== '') link.aliases.set(alias, packet.topic!);
    const topic = link.aliases.get(alias);
    if (topic === undefined) judge.fail('topic aliases last as long as a connection', `${link.name}, alias ${alias}`);
    return topic!;
  }

  #checkContent(link: Link, packet: Packet, { expected, uid }: Decision, key: string, topic: string): void {
    const judge: Judge = this.#judge;
    const { message, qos, retain, ids } = expected!;
    const isIt = uid === link.uid && message.topic === topic && message.payload === packet.payload!.toString();
    judge.check(isIt, 'a message comes through as it was routed', () => {
      return `${link.name} is sent ${key} to ${topic} in the place of ${message.key} to ${message.topic}`;
    });
    const found = [packet.properties?.subscriptionIdentifier ?? []].flat();
    const hasIds = link.version !== 5 || found.sort().join(' ') === [...ids].sort().join(' ');
    judge.check(packet.qos === qos && packet.retain === retain && hasIds, 'sent as subscribed [MQTT5 3.8.4]', () => {
      const should = `QoS ${qos}, retain ${retain}, identifiers [${ids}]`;
      return `${link.name}: ${describe(packet, key, topic)} should have ${should}`;
    });
  }

  /** When its way began it was not over; and what is left of its time is said as it was when it was written. */
  #checkExpiry(link: Link, packet: Packet, { decision, at, isFirst }: Written, key: string): void {
    const judge: Judge = this.#judge;
    const { expiresAt } = decision.expected!.message;
    const seconds = packet.properties?.messageExpiryInterval;
    const began = packet.qos === 0 ? at : decision.begunAt;
    judge.check(!isFirst || expiresAt > began - toleranceMs, 'message expiry to the second [MQTT5 3.3.2-5]', () => {
      return `${key} is sent ${began - expiresAt} ms late`;
    });
    if (link.version !== 5) return;
    const left = (atMs: number) => Math.max(0, Math.ceil((expiresAt - atMs) / 1000));
    const isRight =
      expiresAt === Number.POSITIVE_INFINITY
        ? seconds === undefined
        : seconds !== undefined && seconds >= left(at) && seconds <= left(at - toleranceMs);
    judge.check(
      isRight,
      'message expiry [MQTT5 3.3.2-6]',
      () => `${key} has ${left(at)} s left, and is sent with ${seconds}`,
    );
  }

  #checkDup(link: Link, packet: Packet, { decision, isFirst }: Written, key: string): void {
    const judge: Judge = this.#judge;
    // With queueQoS0, a crash can bring back what was sent already; QoS 0 has no DUP. [MQTT5 3.3.1-2]
    if (packet.qos === 0) return judge.check(packet.dup !== true, 'no DUP on QoS 0 [MQTT5 3.3.1-2]', () => key);
    if (decision.arrivals > 0) {
      judge.check(packet.dup === true, 'DUP on what is sent again [MQTT5 3.3.1-1]', () => `${link.name}: ${key}`);
    } else if (packet.dup) {
      const mayBe = !isFirst || decision.begunFor !== link.connection || judge.mayHaveBeenSent(decision);
      judge.check(mayBe, 'no DUP on what was not sent [MQTT5 3.3.1-1]', () => `${link.name}: ${key}`);
    }
  }

  #checkOrder(link: Link, session: ModelSession, qos: QoS, decision: Decision, key: string): void {
    const judge: Judge = this.#judge;
    const { number, expected, filter, group } = decision;
    // Where messages go to some at a time, those of several publishers overtake each other, and what a member of a
    // shared subscription leaves behind comes between the steps.
    const row = judge.profile.hasSmallSteps ? `${qos} ${expected?.message.publisher} ${filter ?? group}` : `${qos}`;
    const last = link.last.get(row) ?? 0;
    judge.check(number > last, 'the order of a session [MQTT5 4.6.0-6]', () => {
      return `${link.name} is sent ${key} (decided as ${number}) after ${last}, QoS ${qos}`;
    });
    link.last.set(row, number);
    // What was given up before a crash that took that back has had its turn.
    if (decision.arrivals > 0 || decision.goneIn > 0) return;
    const at = `${session.uid} ${row}`;
    const first = this.#firstSent.get(at) ?? 0;
    judge.check(number > first, 'the order of a session [MQTT5 4.6.0-6]', () => {
      return `${link.name} is sent ${key} (decided as ${number}) for the first time after ${first}, QoS ${qos}`;
    });
    this.#firstSent.set(at, number);
  }

  #begin(link: Link, session: ModelSession, packet: Packet, decision: Decision, key: string): void {
    const judge: Judge = this.#judge;
    const id = packet.messageId!;
    const qos = packet.qos!;
    judge.check(id === decision.packetId, 'a packet identifier is what the window gave', () => `${link.name}: ${id}`);
    if (link.answered.delete(decision)) return;
    this.#checkIdentifier(link, session, id, decision, key);
    const under = this.inFlight(session).get(id);
    if (under?.decision === decision) {
      // Unanswered on an earlier connection, so it comes again.
      judge.check(!under.isReceived, exactlyOnce, () => `${key} after PUBREC`);
      judge.check(
        !link.outstanding.has(id),
        'sent again only after a reconnect [MQTT5 4.4.0-1]',
        () => `${link.name}: ${key}`,
      );
      return this.occupy(link, id);
    }
    const isFree = under === undefined || judge.isGone(under.decision);
    judge.check(isFree, 'no packet identifier twice at once [MQTT5 2.2.1-4]', () => {
      return `${link.name}: ${id} stands for ${under!.decision.expected!.message.key}, and ${key} is sent with it`;
    });
    this.#checkOnce(link, session, packet, decision, key);
    const inFlight: InFlight = { decision, qos, isReceived: false, isReleased: false };
    if (decision.group !== null) this.#hold(session, decision, key);
    this.inFlight(session).set(id, inFlight);
    if (qos === 2) this.#sending.set(`${session.uid} ${id}`, inFlight);
    else this.#checkBytes(link, session, key);
    this.occupy(link, id);
  }

  /** Of QoS 1, which is written as it begins. That of QoS 2 waits for the disk, and others may begin meanwhile. */
  #checkBytes(link: Link, session: ModelSession, key: string): void {
    const judge: Judge = this.#judge;
    const { inflightBytes } = judge.profile.settings.limits;
    if (inflightBytes === 0) return;
    let bytes = 0;
    for (const id of link.outstanding) {
      const under = this.inFlight(session).get(id);
      if (under === undefined || under.isReceived || under.decision.expected === null) continue;
      const { topic, payload } = under.decision.expected.message;
      bytes += Buffer.byteLength(topic) + Buffer.byteLength(payload);
    }
    judge.check(bytes < inflightBytes, 'no more bytes in flight than limits.inflightBytes', () => {
      return `${link.name} is sent ${key} while ${bytes} bytes are under way`;
    });
  }

  /**
   * What is in flight keeps its identifier, and no other message gets one that the client may hold from before a crash.
   */
  #checkIdentifier(link: Link, session: ModelSession, id: number, decision: Decision, key: string): void {
    const judge: Judge = this.#judge;
    for (const [other, { decision: its }] of this.inFlight(session)) {
      judge.check(its !== decision || other === id, 'what is in flight keeps its identifier [MQTT5 4.4.0-1]', () => {
        return `${link.name}: ${key} was sent with ${other}, and is sent with ${id}`;
      });
    }
    const held = judge.held.get(session.uid)?.get(id) ?? decision;
    judge.check(held === decision, 'no identifier that a client may hold for something else', () => {
      return `${link.name}: ${id} stood for ${held.expected!.message.key}, and ${key} is sent with it`;
    });
  }

  #checkOnce(link: Link, session: ModelSession, { qos, messageId }: Packet, decision: Decision, key: string): void {
    if (qos !== 2) return;
    const judge: Judge = this.#judge;
    const sending = this.#sending.get(`${session.uid} ${messageId}`);
    const isKnown = decision.arrivals === 1 || sending?.decision === decision;
    judge.check(isKnown, 'QoS 2 keeps its packet identifier [MQTT5 4.4.0-1]', () => {
      return `${link.name}: ${key} is sent with ${messageId} for the first time, but not for the first time at all`;
    });
    const isOver = sending?.decision === decision && sending.isReleased;
    judge.check(!isOver, exactlyOnce, () => {
      return `${link.name}: ${key} comes again after PUBREL`;
    });
  }

  /** One member at a time; QoS 2 stays with it for ever. */
  #hold(session: ModelSession, { group, expected, goneIn }: Decision, key: string): void {
    const judge: Judge = this.#judge;
    const { number } = expected!.message;
    const at = `${number} ${group}`;
    const holder = this.#holders.get(at);
    this.#holders.set(at, { uid: session.uid, qos: expected!.qos });
    // What it had been relieved of, a crash can give it back.
    if (holder === undefined || holder.uid === session.uid || goneIn > 0) return;
    judge.check(holder.qos < 2, 'QoS 2 of a shared subscription stays [MQTT5 4.8.2-5]', () => key);
    const other = [...judge.model.sessions.values()].find(({ uid }) => uid === holder.uid);
    const inFlight = judge.inFlight.get(holder.uid);
    const isUnderWay = [...judge.links].some((link) => {
      if (link.uid !== holder.uid || link.isDetached) return false;
      const under = [...link.outstanding].map((id) => inFlight?.get(id)?.decision);
      return under.some((each) => each?.expected?.message.number === number && each.group === group);
    });
    // While another connection takes it over, the broker may write to others before it says so.
    const isThere = other?.isConnected === true && judge.core!.directory.get(other.clientId)?.isConnected === true;
    judge.check(!isThere || !isUnderWay, 'one member of a shared subscription [MQTT5 4.8.2]', () => {
      return `${key} is sent to ${session.clientId} while ${other!.clientId} has it`;
    });
  }
}
