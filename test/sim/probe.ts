/**
 * How the judge sees what the broker decides, and when: it stands between the framer and the connection, before the
 * core's own door, and between the core and its sink and store. Nothing of the broker's source knows of it.
 */
import type { ChunkPool } from '../../src/base/chunk-pool.ts';
import type { Broker } from '../../src/broker/broker.ts';
import { ClientPackets } from '../../src/broker/client-packets.ts';
import { Connection } from '../../src/broker/connection.ts';
import type { ConnectionState } from '../../src/broker/connection-state.ts';
import { queuedBytes } from '../../src/contracts/session-store.ts';
import type { Resumable } from '../../src/core/fan-out.ts';
import type { JointCommit } from '../../src/core/joint-commit.ts';
import type { CoreParts } from '../../src/core/parts.ts';
import type { Session } from '../../src/core/session.ts';
import { Message } from '../../src/protocol/message.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import type { Answers } from './answers.ts';
import type { Decision } from './decisions.ts';
import type { Judge } from './judge.ts';
import { watchSessions } from './ledger.ts';
import { keyOf, type Link } from './link.ts';
import type { QoS, Routed } from './model.ts';
import { PlantedError } from './program.ts';
import { MakingRoom } from './room.ts';
import { checkSendingStored, checkTooLarge } from './state.ts';

const ackNames: Record<number, string> = {
  [PacketType.puback]: 'puback',
  [PacketType.pubrec]: 'pubrec',
  [PacketType.pubrel]: 'pubrel',
  [PacketType.pubcomp]: 'pubcomp',
};

/** The link whose packet is being handled. */
let current: Link | null = null;
/** What is being given to a session. */
let deciding: Decision | null = null;
/** Of the PUBREC that is being handled; 0: none. */
let pubrecId = 0;
/** What a message that is kept was routed as. */
const routedAs = new WeakMap<Message, Routed>();
const { renumbered } = Message.prototype;
Message.prototype.renumbered = function (this: Message, id: number): Message {
  const copy = renumbered.call(this, id);
  const routed = routedAs.get(this.keep());
  if (routed !== undefined) routedAs.set(copy, routed);
  return copy;
};

export function watchCore(core: CoreParts, broker: Broker, judge: Judge): void {
  watchDecisions(core, judge);
  watchSessions(core, judge);
  broker.events.on('connected', ({ clientId }) => judge.tell({ kind: 'ready', clientId }));
  broker.events.on('sessionEnded', (clientId, why) => judge.onSessionEnded(clientId, why));
  broker.events.on('subscribed', ({ clientId, remoteAddress }, filter, qos) => {
    const link = [...judge.links].find(({ name }) => name === remoteAddress)!;
    judge.onSubscribed(link, clientId, filter, qos);
  });
  broker.events.on('unsubscribed', ({ clientId, remoteAddress }, filter) => {
    const link = [...judge.links].find(({ name }) => name === remoteAddress)!;
    judge.onUnsubscribed(link, clientId, filter);
  });
}

/** A message that is being routed, and what the judge made of it once it was known that the core takes it. */
interface Routing {
  readonly message: Message;
  readonly tell: () => Routed | null;
  routed: Routed | null;
  /** There was no room for it among the retained messages. */
  isNotRetained: boolean;
}

/** Follows each copy of a message from the decision to the connection. */
function watchDecisions(core: CoreParts, judge: Judge): void {
  const { delivering, distributor, store, sink } = core;
  const { decisions, commonCommits } = judge;
  const { underWay } = commonCommits;
  let routing: Routing | null = null;

  const publish = distributor.publish.bind(distributor);
  distributor.publish = (message, origin, forms, joint) => {
    // Kept before, since a borrowed message may be filled anew meanwhile.
    const kept = message.keep();
    const link = current;
    const outer = routing;
    const tell = () => judge.onRouted(kept, origin, link, own.isNotRetained ? 'not retained' : 'taken');
    const own: Routing = { message, tell, routed: null, isNotRetained: false };
    routing = own;
    try {
      const outcome = publish(message, origin, forms, joint);
      own.routed ??= tell();
      if (joint) watchJoint(joint, own);
      if (typeof outcome !== 'number') watchFanOut(outcome, kept, own);
      else judge.explained?.routed(own.routed!);
      return outcome;
    } finally {
      routing = outer;
    }
  };

  const checkRoom = distributor.checkRoom.bind(distributor);
  distributor.checkRoom = (messages, origin, onRefused) => {
    const check = checkRoom(messages, origin, onRefused);
    // Somebody only asks.
    if (onRefused !== undefined) return check;
    const link = current;
    const kept = messages.map(({ message }) => message.keep());
    const step = check.step.bind(check);
    check.step = () => {
      const isRefused = step();
      if (isRefused === true) judge.onRefused(kept, origin, link);
      return isRefused;
    };
    return check;
  };

  /** Messages that are committed together, by what commits them. */
  const joined = new WeakMap<JointCommit, number[]>();
  const watchJoint = (joint: JointCommit, { routed }: Routing): void => {
    const numbers = joined.get(joint) ?? [];
    numbers.push(routed!.number);
    underWay.add(routed!.number);
    if (joined.has(joint)) return;
    joined.set(joint, numbers);
    const end = joint.end.bind(joint);
    joint.end = () => {
      end();
      for (const number of numbers) underWay.delete(number);
    };
  };

  /** What follows later is still of this message. */
  const watchFanOut = (fanOut: Resumable, message: Message, own: Routing): void => {
    const step = fanOut.step.bind(fanOut);
    const { number } = own.routed!;
    const isJoined = underWay.has(number);
    underWay.add(number);
    fanOut.step = () => {
      const outer = routing;
      routing = { ...own, message };
      try {
        const hasMore = step();
        if (!hasMore && !isJoined) underWay.delete(number);
        if (!hasMore) judge.explained?.routed(own.routed!);
        return hasMore;
      } finally {
        routing = outer;
      }
    };
  };

  const decide = (session: Session, message: Message, group: string | null, qos: QoS): Decision => {
    if (routing?.message === message) {
      routing.routed ??= routing.tell()!;
      routedAs.set(message.keep(), routing.routed);
      return decisions.take(session, routing.routed, group, qos);
    }
    if (group === null) return decisions.replay(session, message);
    return decisions.passOn(session, routedAs.get(message), group);
  };
  /** For what is being given to a session. */
  let room: MakingRoom | null = null;
  const deliver = delivering.deliver.bind(delivering);
  delivering.deliver = (session, message, qos, retain, ids, group) => {
    const outer = deciding;
    const outerRoom = room;
    watchSession(session, judge);
    deciding = decide(session, message, group?.name ?? null, qos);
    room = new MakingRoom(judge, session, queuedBytes(message, ids));
    judge.drops.giving(message, routing?.message === message);
    const give = () => deliver(session, message, qos, retain, ids, group);
    const routed = deciding.filter === null ? (routedAs.get(message.keep()) ?? null) : null;
    try {
      if (judge.explained === null) give();
      else judge.explained.giving(session.clientId, routed, group?.name ?? null, give);
    } finally {
      deciding = outer;
      room = outerRoom;
    }
  };

  const enqueue = delivering.enqueue.bind(delivering);
  delivering.enqueue = (session, delivery) => {
    decisions.waits(deciding!);
    decisions.isIn(delivery, deciding!);
    enqueue(session, delivery);
  };
  const putDelivery = store.putDelivery.bind(store);
  store.putDelivery = (sid, delivery, changes) => {
    decisions.waits(deciding!);
    decisions.isInRecord(sid, delivery.message.id, deciding!);
    commonCommits.onStored(deciding!, changes != null);
    putDelivery(sid, delivery, changes);
  };
  const removeDelivery = store.removeDelivery.bind(store);
  store.removeDelivery = (sid, messageId) => {
    decisions.recordGone(sid, messageId);
    removeDelivery(sid, messageId);
  };
  /** A message that is read back is what was routed once. */
  const wasRead = (sid: number, { message }: { readonly message: Message }): void => {
    const routed = decisions.inRecord(sid, message.id)?.expected?.message;
    if (routed !== undefined) routedAs.set(message, routed);
  };
  const load = store.load.bind(store);
  store.load = async () => {
    const state = await load();
    for (const { session, sendings } of state.sessions)
      for (const { delivery } of sendings) wasRead(session.sid, delivery);
    return state;
  };
  const readDeliveries = store.readDeliveries.bind(store);
  store.readDeliveries = (sid, after, bytesMax, done) => {
    readDeliveries(sid, after, bytesMax, (deliveries, damaged) => {
      for (const delivery of deliveries) wasRead(sid, delivery);
      done(deliveries, damaged);
    });
  };

  /** What is dropped is the very copy that is being given to the session, and not one that makes room for it. */
  const noteUnstaged = (session: Session, message: Message): void => {
    const routed = routing?.routed ?? null;
    if (routed === null || deciding?.group != null) return;
    if (routing!.message === message || routedAs.get(message.keep()) === routed) {
      decisions.droppedUnstaged(session, routed);
    }
  };
  /** Given up while it waited, perhaps before its batch was written: then nothing of it is. */
  const noteGivenUp = (session: Session, message: Message): void => {
    const routed = decisions.inRecord(session.sid, message.id)?.expected?.message;
    if (routed !== undefined) decisions.droppedUnstaged(session, routed);
  };
  const dropped = sink.dropped.bind(sink);
  sink.dropped = (reason, session, message, count = 1) => {
    if (reason === 'queueFull' && session !== null) room?.dropped(session);
    if (reason === 'packetTooLarge') checkTooLarge(judge, session!, message);
    if (session !== null && message !== null) {
      noteUnstaged(session, message);
      noteGivenUp(session, message);
    }
    if (reason === 'retainedLimit' && routing !== null) routing.isNotRetained = true;
    judge.onDropped(reason, session?.clientId ?? null, count);
    judge.drops.dropped(reason, session ?? withoutRoom, message, count);
    if (session !== null) judge.explained?.happens(session.clientId, reason);
    dropped(reason, session, message, count);
  };
  /** Whose queue has no room for what is refused. */
  let withoutRoom: Session | null = null;
  const noRoom = sink.noRoom.bind(sink);
  sink.noRoom = (reason, session, message) => {
    withoutRoom = session;
    if (message !== null) judge.drops.giving(message, false);
    noRoom(reason, session, message);
    withoutRoom = null;
  };
  const skipped = sink.skipped.bind(sink);
  sink.skipped = (reason, session, message) => {
    judge.drops.dropped(reason, session, message, 1);
    if (reason === 'noLocal') judge.explained?.skippedForNoLocal(session.clientId, message);
    else judge.explained?.happens(session.clientId, reason);
    skipped(reason, session, message);
  };
  const unmatched = sink.unmatched.bind(sink);
  sink.unmatched = (message) => {
    // In a later round than it was routed in.
    if (routing !== null && routing.routed !== null) judge.drops.unmatched(message, routing.routed.number);
    unmatched(message);
  };
  const queued = sink.queued.bind(sink);
  sink.queued = (session, message) => {
    judge.explained?.happens(session.clientId, 'queued');
    queued(session, message);
  };
  const willRefused = sink.willRefused.bind(sink);
  sink.willRefused = (message, will, reasonCode, why) => {
    judge.wills.onRefused(...willOf(message));
    willRefused(message, will, reasonCode, why);
  };
  const publishWill = sink.publishWill.bind(sink);
  sink.publishWill = (message, will, done) => {
    const [key, topic, qos, payload] = willOf(message);
    judge.wills.onDue(key);
    const isAllowed = judge.rules?.mayPublish(will.clientId, topic) !== false;
    judge.check(isAllowed, 'only what the rules allow is routed', () => `the will of ${will.clientId}`);
    publishWill(message, will, () => {
      judge.wills.onDone(key, topic, qos, payload);
      done();
    });
  };
  const stop = core.wills.stop.bind(core.wills);
  core.wills.stop = () => {
    const { durability, settings } = judge.profile;
    judge.wills.isStopping = durability !== 'none' && settings.wills.restartGraceSeconds > 0;
    stop();
  };
  const idle = core.wills.idle.bind(core.wills);
  core.wills.idle = () => {
    judge.wills.stopWaits();
    return idle();
  };
  const send = sink.publish.bind(sink);
  sink.publish = (session, message, qos, packetId, retain, dup, ids) => {
    const delivery = packetId === 0 ? lastTaken.get(session) : session.window.delivery(packetId);
    const written = decisions.written(meant(session, delivery, judge), session);
    const link = judge.linkBy(session.channel!)!;
    if (qos === 2 && session.isPersistent) checkSendingStored(judge, session, packetId);
    link.written.push({ decision: written, at: judge.world.time, isFirst: written.writes === 1 });
    judge.explained?.happens(session.clientId, 'sent');
    send(session, message, qos, packetId, retain, dup, ids);
  };
}

function willOf({ topic, qos, payload }: Message): [key: string, topic: string, qos: number, payload: string] {
  const text = payload.toString();
  return [keyOf(text, topic.name), topic.name, qos, text];
}

/** What is being given to the session, or what was when this delivery was. */
function meant(session: Session, delivery: Taken | null | undefined, { decisions }: Judge): Decision | null {
  return deciding?.clientId === session.clientId ? deciding : decisions.of(session, delivery);
}

/** Memory that is given back is nobody's until it is taken again. */
export function watchChunks(chunks: ChunkPool, judge: Judge): void {
  const taken = new WeakSet<Buffer>();
  const take = chunks.take.bind(chunks);
  chunks.take = (bytes) => {
    const chunk = take(bytes);
    judge.check(!taken.has(chunk), 'memory is used once at a time', () => `${chunk.length} bytes are given twice`);
    taken.add(chunk);
    return chunk;
  };
  const giveBack = chunks.giveBack.bind(chunks);
  chunks.giveBack = (chunk) => {
    judge.check(taken.delete(chunk), 'memory is used once at a time', () => `${chunk.length} bytes come back twice`);
    giveBack(chunk);
  };
}

const watchedSessions = new WeakSet<Session>();
type Taken = { readonly message: Message };
/** What was taken out of a session's queue last. */
const lastTaken = new WeakMap<Session, Taken>();

/** What is begun, and what is taken out of the queue to be. */
function watchSession(session: Session, judge: Judge): void {
  if (watchedSessions.has(session)) return;
  watchedSessions.add(session);
  const { decisions } = judge;
  const { window, queue } = session;
  const begin = window.begin.bind(window);
  window.begin = (delivery, qos) => {
    const packetId = begin(delivery, qos);
    judge.explained?.happens(session.clientId, 'sent');
    const decision = meant(session, delivery, judge);
    if (decision === null) return packetId;
    if (delivery !== null) decisions.isIn(delivery, decision);
    decisions.begins(session, decision, packetId);
    return packetId;
  };
  const received = window.received.bind(window);
  window.received = (packetId) => {
    const isAnswer = current?.clientId === session.clientId && pubrecId === packetId;
    if (!isAnswer) decisions.skipped(session, decisions.of(session, window.delivery(packetId)));
    received(packetId);
  };
  const shift = queue.shift.bind(queue);
  queue.shift = () => {
    const delivery = shift();
    if (delivery !== undefined) lastTaken.set(session, delivery);
    return delivery;
  };
}

const watchedReceived = new WeakSet<Session>();

/** `isUnlucky`: a bug is to hit the connection now. */
export function watchConnection(
  connection: Connection,
  link: Link,
  judge: Judge,
  answers: Answers,
  isUnlucky: () => boolean,
): void {
  const { onPublish, takeAck, onPacket } = ClientPackets.prototype;
  const packets = connection.packets as ClientPackets;
  judge.isOf(connection, link);
  link.connection = connection;
  const within = (run: () => void) => {
    const before = current;
    current = link;
    try {
      run();
    } finally {
      current = before;
    }
  };
  packets.onPublish = (message, packetId, dup, topicAlias) => {
    judge.onPublish(link, message, packetId);
    within(() => onPublish.call(packets, message, packetId, dup, topicAlias));
    judge.afterPublish(link);
  };
  packets.takeAck = (type, packetId, reasonCode) => {
    if (connection.session === null) return;
    judge.onAck(link, ackNames[type]!, packetId);
    answers.onAck(link, ackNames[type]!, packetId, reasonCode);
    pubrecId = type === PacketType.pubrec ? packetId : 0;
    within(() => takeAck.call(packets, type, packetId, reasonCode));
    pubrecId = 0;
  };
  packets.onPacket = (packet) => {
    judge.onPacket(link, packet);
    within(() => onPacket.call(packets, packet));
  };
  const { sendAck } = Connection.prototype;
  connection.sendAck = (type, packetId, reasonCode) => {
    if (isUnlucky()) {
      link.hasBug = true;
      answers.onUnsent(link, ackNames[type]!, packetId);
      throw new PlantedError(`${link.name}: ${ackNames[type]} ${packetId}`);
    }
    sendAck.call(connection, type, packetId, reasonCode);
  };
  let { state } = connection;
  Object.defineProperty(connection, 'state', {
    get: () => state,
    set: (next: ConnectionState) => {
      const wasOpen = state.name === 'open';
      state = next;
      if (next.name === 'open') {
        judge.onConnected(link);
        const session = next.session as Session;
        watchSession(session, judge);
        if (!watchedReceived.has(session)) watchReceived(session, judge);
      } else if (wasOpen) judge.onDetached(link);
    },
  });
}

/** Until PUBREL, the identifier stands for the message. */
function watchReceived(session: Session, judge: Judge): void {
  watchedReceived.add(session);
  const { received } = session;
  const add = received.add.bind(received);
  received.add = (packetId) => {
    add(packetId);
    judge.onReceived(session.clientId, packetId, current);
  };
}
