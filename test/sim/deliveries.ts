/**
 * What clients are sent, held against the oracle: every PUBLISH is one that its session is owed, as it is owed, in its order,
 * within the client's limits; every acknowledgement keeps its promise when it leaves.
 */
import { matches } from '../../src/protocol/topic.ts';
import { type Exchange, type InFlight, type Judge, keyOf, type Link, toleranceMs } from './judge.ts';
import type { Expected, ModelSession, Options, QoS } from './model.ts';
import type { Packet } from './network.ts';

interface Match {
  readonly expected: Expected;
  readonly group: string | null;
  readonly isReplay: boolean;
}

/** Of a message that a session was sent. */
interface SentBefore {
  times: number;
  packetId: number;
}

export class Deliveries {
  /** By session, message and group: never taken back, since clients have seen it. */
  readonly #sent = new Map<string, SentBefore>();
  /** QoS 2 packet identifiers given to sessions. */
  readonly #sending = new Map<string, InFlight>();
  readonly #replays = new Map<string, number>();
  /** The highest number that was sent for the first time, by session and QoS. */
  readonly #firstSent = new Map<string, number>();
  /** Who has a message of a shared subscription under way. */
  readonly #holders = new Map<string, { readonly uid: number; readonly qos: QoS }>();
  /** Packet identifiers of copies that could not be told apart. */
  readonly #strays = new Set<string>();
  /** Sessions that came back with a small Maximum Packet Size. */
  readonly #shrunk = new Set<number>();
  readonly #relieved = new Map<string, string>();
  readonly #judge: Judge;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  // PUBLISH to a client

  onPublish(link: Link, packet: Packet): void {
    const judge = this.#judge;
    const session = this.#sessionOf(link);
    // It was written before the session was over or taken over, and is on its way.
    if (session === null) return;
    const topic = this.#topicOf(link, packet);
    const payload = packet.payload!.toString();
    const key = keyOf(payload, topic);
    judge.world.tell(() => `broker -> ${link.name}: ${describe(packet, key, topic)}`);
    judge.check(packet.bytes <= link.packetBytesMax, 'Maximum Packet Size [MQTT5 3.1.2-24]', () => {
      return `${link.name} takes ${link.packetBytesMax} bytes and was sent ${packet.bytes}`;
    });
    const id = packet.messageId ?? 0;
    const under = this.#inFlight(session).get(id);
    if (packet.qos! > 0 && under !== undefined) return this.#again(link, session, packet, under, key);
    if (packet.dup && this.#isStray(session, key, packet.messageId!)) return;
    const match = this.#find(link, session, packet, key, topic);
    if (match === null) {
      this.#strays.add(`${session.uid} ${packet.messageId}`);
      return;
    }
    if (!packet.dup && !this.#sent.has(sentKey(session, { ...match, number: match.expected.message.number }))) {
      this.#checkExpiry(link, match, packet);
    }
    this.#checkOrder(link, session, packet, match);
    if (packet.qos === 0) this.#done(link, session, match);
    else this.#begin(link, session, packet, match);
  }

  /**
   * A session that got a message twice, once by a shared subscription, was relieved of one of the two: which one, a client cannot
   * tell, and so neither can the judge.
   */
  #isStray(session: ModelSession, key: string, packetId: number): boolean {
    return this.#relieved.get(`${session.uid} ${packetId}`) === key;
  }

  #sessionOf(link: Link): ModelSession | null {
    const session = this.#judge.model.sessions.get(link.clientId);
    return session === undefined || session.uid !== link.uid || link.isDetached ? null : session;
  }

  #inFlight(session: ModelSession): Map<number, InFlight> {
    let inFlight = this.#judge.inFlight.get(session.uid);
    if (inFlight === undefined) this.#judge.inFlight.set(session.uid, (inFlight = new Map()));
    return inFlight;
  }

  #topicOf(link: Link, packet: Packet): string {
    const alias = packet.properties?.topicAlias;
    if (alias === undefined) return packet.topic!;
    const judge = this.#judge;
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

  /** Unanswered on an earlier connection, so it comes again: once, marked, in its order. */
  #again(link: Link, session: ModelSession, packet: Packet, under: InFlight, key: string): void {
    const judge = this.#judge;
    const id = packet.messageId!;
    judge.check(under.key === key, 'no packet identifier twice at once [MQTT5 2.2.1-4]', () => {
      return `${link.name}: ${id} stands for ${under.key}, and ${key} is sent with it`;
    });
    judge.check(!under.isReceived, 'QoS 2 exactly once, outbound [MQTT5 4.3.3-5]', () => `${key} after PUBREC`);
    judge.check(
      !link.outstanding.has(id),
      'sent again only after a reconnect [MQTT5 4.4.0-1]',
      () => `${link.name}: ${key}`,
    );
    judge.check(packet.dup === true, 'DUP on what is sent again [MQTT5 3.3.1-1]', () => `${link.name}: ${key}`);
    if (!under.isReplay && under.group === null && !judge.model.ambiguous.has(key))
      this.#inOrder(link, packet.qos!, under.number, key);
    this.#countSent(session, under, id);
    this.#occupy(link, id);
  }

  #inOrder(link: Link, qos: QoS, number: number, key: string): void {
    const last = link.last[qos]!;
    this.#judge.check(number > last, 'the order of a session [MQTT5 4.6.0-6]', () => {
      return `${link.name} is sent ${key} (routed as ${number}) after ${last}, QoS ${qos}`;
    });
    link.last[qos] = number;
  }

  #find(link: Link, session: ModelSession, packet: Packet, key: string, topic: string): Match | null {
    const judge = this.#judge;
    const inFlight = this.#inFlight(session);
    const underWay = new Set<string>();
    for (const [id, { number, group, isReplay }] of inFlight) {
      if (isReplay) continue;
      // Of a shared subscription it may have been taken away, and come back, while the client was away.
      if (group === null || link.outstanding.has(id)) underWay.add(`${number} ${group}`);
    }
    const all = this.#candidates(session, key, topic).filter(({ expected, group, isReplay }) => {
      return isReplay || !underWay.has(`${expected.message.number} ${group}`);
    });
    // Several copies, of which one was retained or sent again by its publisher.
    const numbers = new Set(all.map(({ expected, isReplay }) => `${expected.message.number} ${isReplay}`));
    if (numbers.size > 1) judge.model.ambiguous.add(key);
    if (all.length === 0 && judge.model.ambiguous.has(key)) return null;
    judge.check(all.length > 0, 'no delivery that nobody subscribed to [MQTT5 3.3.4]', () => {
      return `${link.name} is sent ${key} (${topic}, QoS ${packet.qos}${packet.retain ? ', retained' : ''})`;
    });
    const fittings = all.filter(({ expected }) => fits(link, packet, expected));
    // A publisher may have sent it twice, so that two members have one each.
    const seconds = packet.properties?.messageExpiryInterval;
    const inOrder = fittings.filter((each) => {
      const left = Math.ceil((each.expected.message.expiresAt - judge.world.time) / 1000);
      const isSame = link.version !== 5 || (seconds ?? Number.POSITIVE_INFINITY) === left;
      return this.#isInOrder(link, session, packet.qos!, each) && left >= 0 && isSame;
    });
    const fitting = [...inOrder, ...fittings].find((each) => !this.#isHeld(session, each)) ?? fittings[0];
    if (fitting === undefined && judge.model.ambiguous.has(key)) return null;
    if (fitting === undefined) {
      const [{ expected }] = all as [Match];
      const should = `QoS ${expected.qos}, retain ${expected.retain}, identifiers [${expected.ids}]`;
      judge.fail(
        'sent as subscribed [MQTT5 3.8.4]',
        `${link.name}: ${describe(packet, key, topic)} should have ${should}`,
      );
    }
    return fitting!;
  }

  #isInOrder(link: Link, session: ModelSession, qos: QoS, { expected, group, isReplay }: Match): boolean {
    const { number } = expected.message;
    if (isReplay || group !== null) return true;
    const first = this.#sent.has(sentKey(session, { number, group, isReplay: false }))
      ? 0
      : this.#firstSent.get(`${session.uid} ${qos}`);
    return number > link.last[qos]! && number > (first ?? 0);
  }

  #isHeld(session: ModelSession, { expected, group }: Match): boolean {
    const holder = this.#holders.get(`${expected.message.number} ${group}`);
    return group !== null && holder !== undefined && holder.uid !== session.uid;
  }

  #candidates(session: ModelSession, key: string, topic: string): Match[] {
    const { model } = this.#judge;
    const found: Match[] = [];
    const add = (expected: Expected, group: string | null, isReplay: boolean) =>
      found.push({ expected, group, isReplay });
    for (const each of session.fleeting) if (each.message.key === key) add(each, null, false);
    for (const each of session.expected.values()) if (each.message.key === key) add(each, null, false);
    found.sort((a, b) => a.expected.message.number - b.expected.message.number);
    const addShared = (message: Expected['message'], name: string, options: Options | undefined) => {
      if (options === undefined) return;
      const ids = options.id > 0 ? [options.id] : [];
      for (const qos of [Math.min(message.qos, options.qos), message.qos] as QoS[]) {
        add({ message, qos, retain: message.retain && options.rap, ids }, name, false);
        if (message.retain) add({ message, qos, retain: true, ids }, name, false);
      }
    };
    const later: (() => void)[] = [];
    for (const owed of model.groups.values()) {
      for (const { message, name, members, joined } of owed) {
        if (message.key !== key) continue;
        // What it was given before it unsubscribed may still come. [MQTT5 3.10.4-3]
        addShared(message, name, members.get(session.clientId));
        later.push(() => addShared(message, name, joined.get(session.clientId)));
        later.push(() => addShared(message, name, session.subscriptions.get(`$share/${name}`)));
      }
    }
    found.push(...this.#replayCandidates(session, key, topic));
    for (const each of later) each();
    return found;
  }

  /** A retained message for a new subscription: as it was then, or has become since. */
  #replayCandidates(session: ModelSession, key: string, topic: string): Match[] {
    const judge = this.#judge;
    const found: Match[] = [];
    const history = (judge.retainedHistory.get(topic) ?? []).filter((each) => each.key === key);
    const entry = judge.log.findLast((each) => each.kind === 'route' && each.message.key === key);
    if (history.length === 0 || entry?.kind !== 'route') return found;
    const { message } = entry;
    const acts = session.replayed.filter(
      ({ filter, at }) => matches(filter, topic) && history.some(({ to }) => to >= at),
    );
    // What was not answered before the broker was started comes again.
    if ((this.#replays.get(`${judge.life} ${session.uid} ${key}`) ?? 0) >= acts.length) return found;
    for (const { options } of acts) {
      const qos = Math.min(message.qos, options.qos) as QoS;
      const ids = options.id > 0 ? [options.id] : [];
      found.push({ expected: { message, qos, retain: true, ids }, group: null, isReplay: true });
    }
    return found;
  }

  #checkExpiry(link: Link, { expected }: Match, packet: Packet): void {
    const judge = this.#judge;
    const { expiresAt, key } = expected.message;
    const seconds = packet.properties?.messageExpiryInterval;
    if (expiresAt === Number.POSITIVE_INFINITY) {
      judge.check(
        seconds === undefined,
        'message expiry [MQTT5 3.3.2-6]',
        () => `${key} has none, and is sent with ${seconds}`,
      );
      return;
    }
    const leftMs = expiresAt - judge.world.time;
    const slackMs = link.hadBacklog ? Number.POSITIVE_INFINITY : this.#slackMs(packet.qos!);
    judge.check(
      leftMs > -slackMs,
      'message expiry to the second [MQTT5 3.3.2-5]',
      () => `${key} is sent ${-leftMs} ms late`,
    );
    if (link.version !== 5) return;
    const left = Math.max(0, Math.ceil(leftMs / 1000));
    const most = Math.max(0, Math.ceil((leftMs + slackMs) / 1000));
    judge.check(seconds !== undefined && seconds >= left && seconds <= most, 'message expiry [MQTT5 3.3.2-6]', () => {
      return `${key} has ${left} s left, and is sent with ${seconds}`;
    });
  }

  /** QoS 2 is on its way as soon as its packet identifier is being stored. */
  #slackMs(qos: QoS): number {
    const { profile, disk } = this.#judge;
    if (qos < 2) return toleranceMs;
    return disk!.hasRefused
      ? Number.POSITIVE_INFINITY
      : toleranceMs + 22 * profile.disk.writeMs + profile.maxCommitDelayMs;
  }

  #checkOrder(link: Link, session: ModelSession, packet: Packet, { expected, group, isReplay }: Match): void {
    const judge = this.#judge;
    if (isReplay || group !== null || judge.model.ambiguous.has(expected.message.key)) return;
    const { number, key } = expected.message;
    const qos = packet.qos!;
    this.#inOrder(link, qos, number, key);
    if (this.#sent.has(sentKey(session, { number, group, isReplay: false }))) return;
    const at = `${session.uid} ${qos}`;
    const first = this.#firstSent.get(at) ?? 0;
    judge.check(number > first, 'the order of a session [MQTT5 4.6.0-6]', () => {
      return `${link.name} is sent ${key} (routed as ${number}) for the first time after ${first}, QoS ${qos}`;
    });
    this.#firstSent.set(at, number);
  }

  #begin(link: Link, session: ModelSession, packet: Packet, { expected, group, isReplay }: Match): void {
    const judge = this.#judge;
    const { number, key } = expected.message;
    const id = packet.messageId!;
    const inFlight: InFlight = { key, number, qos: packet.qos!, group, isReplay, isReceived: false, isReleased: false };
    const before = this.#sent.get(sentKey(session, inFlight));
    if (!isReplay && group === null && !judge.model.ambiguous.has(key)) {
      if (before !== undefined) {
        judge.check(packet.dup === true, 'DUP on what is sent again [MQTT5 3.3.1-1]', () => `${link.name}: ${key}`);
        if (packet.qos === 2) {
          judge.check(before.packetId === id, 'QoS 2 keeps its packet identifier [MQTT5 4.4.0-1]', () => {
            return `${link.name}: ${key} was sent with ${before.packetId}, and now with ${id}`;
          });
        }
      } else if (packet.dup) {
        // After a restart, so many of a queue may have been sent; which ones, the broker does not know.
        const mayBe = judge.life > 1 || link.connectedAt > number;
        judge.check(mayBe, 'no DUP on what was not sent [MQTT5 3.3.1-1]', () => `${link.name}: ${key}`);
      }
    }
    const sending = this.#sending.get(`${session.uid} ${id}`);
    const isOver = sending?.number === number && sending.group === group && sending.isReleased;
    judge.check(packet.qos !== 2 || isReplay || !isOver, 'QoS 2 exactly once, outbound [MQTT5 4.3.3-5]', () => {
      return `${link.name}: ${key} comes again after PUBREL`;
    });
    if (isReplay) this.#countReplay(session, expected);
    if (group !== null) this.#hold(session, inFlight);
    this.#inFlight(session).set(id, inFlight);
    if (packet.qos === 2) this.#sending.set(`${session.uid} ${id}`, inFlight);
    this.#countSent(session, inFlight, id);
    this.#occupy(link, id);
  }

  /** One member at a time; QoS 2 stays with it for ever. */
  #hold(session: ModelSession, { key, number, qos, group }: InFlight): void {
    const judge = this.#judge;
    const at = `${number} ${group}`;
    const holder = this.#holders.get(at);
    this.#holders.set(at, { uid: session.uid, qos });
    if (holder === undefined || holder.uid === session.uid || judge.model.ambiguous.has(key)) return;
    judge.check(holder.qos < 2, 'QoS 2 of a shared subscription stays [MQTT5 4.8.2-5]', () => key);
    const other = [...judge.model.sessions.values()].find(({ uid }) => uid === holder.uid);
    const inFlight = judge.inFlight.get(holder.uid);
    const isUnderWay = [...judge.links].some((link) => {
      if (link.uid !== holder.uid || link.isDetached) return false;
      const under = [...link.outstanding].map((id) => inFlight?.get(id));
      return under.some((each) => each?.number === number && each.group === group);
    });
    // Whoever had it has been relieved of it.
    for (const [id, each] of inFlight ?? [])
      if (each.number === number && each.group === group) {
        inFlight!.delete(id);
        this.#relieved.set(`${holder.uid} ${id}`, key);
      }
    judge.check(other?.isConnected !== true || !isUnderWay, 'one member of a shared subscription [MQTT5 4.8.2]', () => {
      return `${key} is sent to ${session.clientId} while ${other!.clientId} has it`;
    });
  }

  #countReplay(session: ModelSession, { message }: Expected): void {
    const at = `${this.#judge.life} ${session.uid} ${message.key}`;
    this.#replays.set(at, (this.#replays.get(at) ?? 0) + 1);
    for (const owed of session.replays.values()) if (owed.delete(message.topic)) return;
  }

  #countSent(session: ModelSession, inFlight: Pick<InFlight, 'number' | 'group' | 'isReplay'>, packetId: number): void {
    const key = sentKey(session, inFlight);
    const before = this.#sent.get(key);
    this.#sent.set(key, { times: (before?.times ?? 0) + 1, packetId });
  }

  #occupy(link: Link, id: number): void {
    const judge = this.#judge;
    link.outstanding.add(id);
    const most = Math.min(link.receiveMaximum, judge.profile.settings.limits.inflight);
    judge.check(link.outstanding.size <= most, 'Receive Maximum [MQTT5 3.3.4-9]', () => {
      return `${link.name} has ${link.outstanding.size} messages under way, and takes ${most}`;
    });
  }

  #done(link: Link, session: ModelSession, { expected, group, isReplay }: Match): void {
    const at = session.fleeting.indexOf(expected);
    if (at >= 0) {
      this.#countSent(session, { number: expected.message.number, group, isReplay }, 0);
      session.fleeting.splice(at, 1);
      return;
    }
    if (isReplay) return this.#countReplay(session, expected);
    this.#countSent(session, { number: expected.message.number, group, isReplay }, 0);
    this.#judge.tell({ kind: 'done', clientId: link.clientId, number: expected.message.number, group });
  }

  // What clients answer

  /** The broker has come to this acknowledgement of a message that it sent. */
  onAck(link: Link, type: string, packetId: number, reasonCode: number): void {
    const session = this.#sessionOf(link);
    if (session === null) return;
    const inFlight = this.#inFlight(session).get(packetId);
    if (inFlight === undefined || !link.outstanding.has(packetId)) return;
    const isEnd =
      (type === 'puback' && inFlight.qos === 1) ||
      (type === 'pubrec' && inFlight.qos === 2 && reasonCode >= 0x80 && !inFlight.isReceived) ||
      (type === 'pubcomp' && inFlight.isReceived);
    if (type === 'pubrec' && inFlight.qos === 2) {
      inFlight.isReceived = true;
      link.marks.set(`pubrel ${packetId}`, session.expirySeconds > 0 ? this.#judge.log.length : 0);
    }
    if (!isEnd) return;
    link.outstanding.delete(packetId);
    this.#inFlight(session).delete(packetId);
    const { number, group, isReplay } = inFlight;
    if (!isReplay) this.#judge.tell({ kind: 'done', clientId: link.clientId, number, group });
  }

  // Acknowledgements to clients

  onPubrel(link: Link, packetId: number, reasonCode: number): void {
    const session = this.#sessionOf(link);
    if (session === null || reasonCode >= 0x80 || this.#strays.has(`${session.uid} ${packetId}`)) return;
    const judge = this.#judge;
    let inFlight = this.#inFlight(session).get(packetId);
    if (inFlight === undefined) {
      // After a restart the broker goes on from there.
      inFlight = this.#sending.get(`${session.uid} ${packetId}`);
      if (inFlight !== undefined) this.#inFlight(session).set(packetId, inFlight);
    }
    // What became too large to be sent again is released all the same.
    if (link.packetBytesMax < 1_000_000) this.#shrunk.add(session.uid);
    if (this.#shrunk.has(session.uid)) {
      if (inFlight === undefined) return;
      inFlight.isReceived = true;
    }
    judge.check(
      inFlight?.isReceived === true,
      'PUBREL only after PUBREC [MQTT5 4.3.3-6]',
      () => `${link.name}: ${packetId}`,
    );
    inFlight!.isReleased = true;
    this.#occupy(link, packetId);
  }

  /** PUBACK or PUBREC to a publisher. */
  onAnswer(link: Link, type: 'puback' | 'pubrec', packetId: number, reasonCode: number): void {
    const judge = this.#judge;
    const waiting = link.unanswered.get(`${type} ${packetId}`);
    const exchange = waiting?.shift();
    if (exchange === undefined) judge.fail('only what came is acknowledged', `${link.name}: ${type} ${packetId}`);
    const { sent, isDuplicate, numbers } = exchange!;
    const isFailure = reasonCode >= 0x80;
    if (isFailure) {
      judge.check(numbers.length === 0, 'a refused message reaches nobody', () => sent.key);
      return;
    }
    const isLost = numbers.length === 0 && !isDuplicate && !exchange!.isRefused && judge.profile.pipeline === 'none';
    judge.check(!isLost, 'an acknowledged message is routed', () => sent.key);
    this.#checkStored(link, exchange!);
  }

  /** Nothing acknowledged is lost: when the answer leaves, what it promises is where a crash does not reach it. */
  #checkStored(link: Link, { sent, numbers, mark }: Exchange): void {
    const judge = this.#judge;
    if (judge.safeMark >= mark) return;
    const promise = (what: string) => judge.fail('acknowledged means stored [MQTT5 4.3.2-4]', `${sent.key}: ${what}`);
    for (const number of numbers) {
      for (const session of judge.model.sessions.values()) {
        const expected = session.expected.get(number);
        if (session.expirySeconds === 0 || expected === undefined || this.#mayBeDropped(session, expected)) continue;
        promise(`what ${session.clientId} is to get is not on disk`);
      }
    }
    const retained = judge.model.retained.get(sent.topic);
    if (retained !== undefined && numbers.includes(retained.number)) promise('the retained message is not on disk');
    const own = judge.model.sessions.get(link.clientId);
    if (sent.qos === 2 && own?.uid === link.uid && own.expirySeconds > 0 && own.received.has(sent.packetId)) {
      promise('its packet identifier is not on disk');
    }
  }

  /** It may have been given up, and counted, at once. */
  #mayBeDropped({ uid }: ModelSession, { message }: Expected): boolean {
    const { profile, links, world } = this.#judge;
    if (profile.isTight || message.expiresAt <= world.time) return true;
    return [...links].some((link) => link.uid === uid && message.payload.length + 60 > link.packetBytesMax);
  }

  /** Any other answer: CONNACK, SUBACK, UNSUBACK, PUBREL, PUBCOMP. */
  onPromise(link: Link, what: string): void {
    const judge = this.#judge;
    const mark = link.marks.get(what);
    link.marks.delete(what);
    if (mark === undefined || this.#sessionOf(link) === null) return;
    judge.check(judge.safeMark >= mark, 'acknowledged means stored [MQTT5 4.3.2-4]', () => `${link.name}: ${what}`);
  }

  // At the end

  /** Messages that are owed still, though everybody has come and taken what there was. */
  missing(): string[] {
    const { model, world } = this.#judge;
    const found: string[] = [];
    for (const { clientId, expected, fleeting, replays, isConnected } of model.sessions.values()) {
      for (const { message, qos } of [...expected.values(), ...(isConnected && !model.queuesQoS0 ? fleeting : [])]) {
        if (message.expiresAt <= world.time + 1_000 || model.ambiguous.has(message.key)) continue;
        if (qos === 0 && message.payload === '') continue; // one cannot be told from another
        found.push(`${clientId} never got ${message.key} (${message.topic}, QoS ${qos}, routed as ${message.number})`);
      }
      for (const owed of replays.values()) {
        for (const { message, qos } of owed.values()) {
          if (qos === 0) continue; // it may have been on its way when the connection broke
          const isStillIt = model.retained.get(message.topic)?.number === message.number;
          if (!isStillIt || message.expiresAt <= world.time + 1_000) continue;
          found.push(`${clientId} never got the retained ${message.key} (${message.topic})`);
        }
      }
    }
    return found;
  }

  /** Of shared subscriptions that still have a member. */
  missingOfGroups(): string[] {
    const { model, world } = this.#judge;
    const members = new Map<string, QoS[]>();
    for (const { subscriptions } of model.sessions.values()) {
      for (const [filter, { qos }] of subscriptions) members.set(filter, [...(members.get(filter) ?? []), qos]);
    }
    return [...model.groups.values()].flat().flatMap(({ message, name, members: then, joined }) => {
      // The will of a member that was leaving for good.
      if ([...then.keys()].every((clientId) => clientId === message.publisher)) return [];
      const now = members.get(`$share/${name}`);
      // QoS 2 that was under way ends with the session of who had it, [MQTT5 4.8.2-5] and anything with a crash if that
      // session was not to outlive it.
      const hasEnded = [...then.keys()].some((id) => (model.sessions.get(id)?.uid ?? Infinity) > message.number);
      if (hasEnded && (message.qos === 2 || this.#judge.lifeOf.get(message.number) !== this.#judge.life)) return [];
      // QoS 0 is owed to nobody who is away or busy.
      const isReliable = [...(now ?? []), ...[...then.values(), ...joined.values()].map(({ qos }) => qos)].every(
        (qos) => qos > 0,
      );
      if (
        message.qos === 0 ||
        model.ambiguous.has(message.key) ||
        now === undefined ||
        !isReliable ||
        message.expiresAt <= world.time + 1_000
      )
        return [];
      return [`nobody of ${name} got ${message.key} (QoS ${message.qos}, routed as ${message.number})`];
    });
  }
}

const sentKey = (
  session: ModelSession,
  { number, group, isReplay }: { number: number; group: string | null; isReplay: boolean },
) => `${session.uid} ${number} ${group} ${isReplay}`;

function fits(link: Link, packet: Packet, { message, qos, retain, ids }: Expected): boolean {
  if (packet.qos !== qos || packet.retain !== retain || packet.payload!.toString() !== message.payload) return false;
  if (link.version !== 5) return true;
  const found = [packet.properties?.subscriptionIdentifier ?? []].flat();
  return found.sort().join(' ') === [...ids].sort().join(' ');
}

export function describe(packet: Packet, key: string, topic: string): string {
  const { qos, messageId, dup, retain, properties } = packet;
  const id = qos === 0 ? '' : ` id ${messageId}`;
  const seconds = properties?.messageExpiryInterval;
  const identifiers = properties?.subscriptionIdentifier === undefined ? '' : ` [${properties.subscriptionIdentifier}]`;
  const flags = `${dup ? ' DUP' : ''}${retain ? ' RETAIN' : ''}${seconds === undefined ? '' : ` ${seconds} s left`}`;
  return `PUBLISH ${key} to ${topic}, QoS ${qos}${id}${flags}${identifiers}`;
}
