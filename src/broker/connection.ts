/**
 * One network connection, from its first byte to its last: reads packets, hands them to the core in order, gathers what
 * goes out. What is cold (CONNECT, SUBSCRIBE, …) is in files of its own beside this one.
 *
 * States: `opening` until CONNECT, `authenticating` while a hook thinks, `open`, `closing` once it is decided that it
 * ends.
 */
import { type Account, Category, Pressure } from '../base/ledger.ts';
import type { Share, Step } from '../base/scheduler.ts';
import { ackBytes, encodeAck, pingresp } from '../codec/encode.ts';
import { Framer } from '../codec/framer.ts';
import {
  copyBytes,
  type PublishHeader,
  publishBytes,
  publishRemainingLength,
  varintSize,
  writePublish,
} from '../codec/publish.ts';
import type { PacketReceiver } from '../codec/receiver.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { ByteReceiver, ByteStream } from '../contracts/transport.ts';
import type { Resumable } from '../core/fan-out.ts';
import { deliveryBytes, hold, letGo } from '../core/footprint.ts';
import { handleAck } from '../core/handlers/acknowledge.ts';
import { handlePublish } from '../core/handlers/publish.ts';
import { disconnected } from '../core/lifecycle.ts';
import type { PendingRoute } from '../core/router.ts';
import type { Session } from '../core/session.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { type Message, never } from '../protocol/message.ts';
import { type AckType, type ControlPacket, type PacketId, PacketType } from '../protocol/packets.ts';
import { describeReason, disconnectCode, isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { isClosedToClients } from '../protocol/topic.ts';
import { type Traits, traitsOf } from '../protocol/traits.ts';
import type { ConnectionTicket } from './admission.ts';
import { send } from './answers.ts';
import { reportDisconnected, reportRefused } from './audit-events.ts';
import type { BrokerContext } from './broker-context.ts';
import type { ClientChannel } from './client-channel.ts';
import { handleControlPacket } from './control-packets.ts';
import { Deadlines } from './deadlines.ts';
import { refuse } from './handshake.ts';
import { type Asker, whenStoreKeepsUp } from './late-answers.ts';
import { type Urgency, urgency } from './outgoing.ts';
import { largePublish, Output } from './output.ts';
import { Pace, unlimited } from './pace.ts';
import { mayChange } from './pipeline-messages.ts';
import { mustBeStored, publishThroughHooks, publishWhenStored, refusePublish, ruledCode } from './publish.ts';
import { ReadGate } from './read-gate.ts';
import type { InboundAliases, OutboundAliases } from './topic-aliases.ts';

/** Retained messages of QoS 0 that a client may have in one commit. */
const retainedQoS0PerCommit = 32;

export class Connection implements ByteReceiver, PacketReceiver, ClientChannel, Asker {
  readonly context: BrokerContext;
  readonly stream: ByteStream;
  readonly listener: string;
  readonly ticket: ConnectionTicket;
  readonly deadlines: Deadlines;
  state: 'opening' | 'authenticating' | 'open' | 'closing' = 'opening';
  /** What differs by protocol version; 3.1.1's until CONNECT tells. */
  traits: Traits = traitsOf[4];
  /** Set while the state is `open`, until the connection is lost or the session taken over. */
  session: Session | null = null;
  identity: ClientIdentity | null = null;
  /** Somebody has vouched for the identity; before, its user name may be a secret that CONNECT has there. */
  isAuthenticated = false;
  /** `connected` was emitted, so `disconnected` must be. */
  isAnnounced = false;
  /** The method of enhanced authentication that CONNECT named. */
  authenticationMethod: string | null = null;
  authenticationState: unknown = undefined;
  /** By which mechanism the client showed who it is. */
  mechanism: string | null = null;
  /** What follows once the exchange of AUTH packets under way succeeds. */
  whenAuthenticated: ((data: Buffer | null) => void) | null = null;
  /** The client's bound for any packet we send. */
  packetBytesMax: number = Number.POSITIVE_INFINITY;
  /** Whether reason strings are welcome. [MQTT5 3.1.2-29] */
  wantsProblemInformation = true;
  inboundAliases: InboundAliases | null = null;
  outboundAliases: OutboundAliases | null = null;
  /** How many more QoS 1 and 2 messages the client may have under way. [MQTT5 3.3.4-7] */
  receiveQuota = 0;
  /** No packet is taken: something is waited for, see `park`, or the client has used up its time. */
  isParked = false;
  /** It goes on as soon as there is time. */
  #isYielding = false;
  #isResuming = false;
  /** Steps of its last packet are queued. */
  #isWorking = false;
  /** Outstanding `park` calls. */
  #parks = 0;
  heldAnswers = 0;
  /** Its CONNECT waits until the disk takes writes. */
  awaitsStore = false;
  /** DISCONNECT came in good order, so there is no will to publish. */
  #isWillCancelled = false;
  /** When what it is sent now will be written. */
  #urgency: Urgency = urgency.none;
  /** Its client's, once that is known. */
  #share: Share | null = null;
  #retainedQoS0Left = retainedQoS0PerCommit;
  /** Its last message is on its way to very many. */
  #fanOut: Resumable | null = null;
  /** A message whose route is long to find. */
  #search: { readonly route: PendingRoute; readonly publish: () => void } | null = null;
  /** Callbacks for when its last message has reached everybody. */
  #whenPublished: (() => void)[] | null = null;
  /** It ends behind that message, and takes no packet any more. */
  #isEnding = false;
  #closeReason = '';
  readonly #framer: Framer;
  readonly #output: Output;
  readonly reading: ReadGate;
  /** Pays for the memory that this connection holds: its client's account, or one for all that are unauthenticated. */
  #account: Account;
  /** Of packets that are not complete, as charged. */
  #packetBytes = 0;
  #waiting: Message | null = null;
  /** When the last whole packet came: later bytes belong to an unfinished one. */
  packetSince = 0;
  /** Null: it may send as fast as it can. */
  readonly #pace: Pace | null;
  /** How many messages it may send before its pace is asked. */
  #messagesLeft = 0;
  /** The transport announces bytes before it hands them over, so `onBytes` does not count them again. */
  #isToldOfArrivals = false;

  constructor(context: BrokerContext, stream: ByteStream, listener: string, ticket: ConnectionTicket) {
    this.context = context;
    this.stream = stream;
    this.listener = listener;
    this.ticket = ticket;
    this.#pace = Pace.for(this, context);
    this.#account = context.memory.unauthenticated;
    this.#framer = new Framer(context.decoder, this);
    this.#output = new Output(stream, context.chunks, this.#account);
    this.reading = new ReadGate(this, this.#output);
    this.deadlines = new Deadlines(this);
  }

  get clientId(): string | undefined {
    return this.identity?.clientId;
  }

  get isClosing(): boolean {
    return this.state === 'closing';
  }

  guard(run: () => void): void {
    this.context.boundary.forOne(this, run);
  }

  get account(): Account {
    return this.#account;
  }

  chargeTo(account: Account): void {
    // Who loses its session loses with it what it had under way.
    this.waiting = null;
    this.#account.add(Category.packets, -this.#packetBytes);
    this.#account = account;
    account.add(Category.packets, this.#packetBytes);
    this.#output.chargeTo(account);
  }

  /** A PUBLISH that waits for a step or the disk while the connection is parked. */
  get waiting(): Message | null {
    return this.#waiting;
  }

  set waiting(message: Message | null) {
    if (this.#waiting !== null) letGo(this.#account, Category.pipelines, this.#waiting, deliveryBytes);
    this.#waiting = message;
    if (message !== null) hold(this.#account, Category.pipelines, message, deliveryBytes);
  }

  /**
   * Whether there is memory for what comes next of the packet under way. A small one is always read on: it may be an
   * answer, which makes room.
   */
  get mayReceive(): boolean {
    const { growth } = this.#framer;
    return this.#packetBytes + growth <= this.#account.ledger.smallBytes || this.#account.mayAdd(growth);
  }

  /** How much more memory the packet under way wants until it is complete. */
  get missingBytes(): number {
    return this.#framer.missingBytes;
  }

  /** What the packet under way takes. */
  get packetBytes(): number {
    return this.#packetBytes;
  }

  /** In memory, whatever account has it. */
  get heldBytes(): number {
    return this.#framer.footprint + this.#output.heldBytes;
  }

  #chargePackets(): void {
    const { footprint } = this.#framer;
    if (footprint === this.#packetBytes) return;
    this.#account.add(Category.packets, footprint - this.#packetBytes);
    this.#packetBytes = footprint;
    if (footprint > 0) this.reading.mindMemory();
  }

  // Bytes in

  get share(): Share {
    const { scheduler } = this.context;
    return this.state === 'open' ? (this.#share ??= scheduler.share()) : scheduler.unauthenticated;
  }

  onArriving(count: number): void {
    if (this.state === 'open' || this.state === 'closing') return;
    this.#isToldOfArrivals = true;
    this.context.boundary.forOne(this, () => this.context.admission.receive(this.ticket, count));
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    if (this.state === 'closing') return;
    const { share } = this;
    if (!share.begin()) return this.#hold(bytes, start, end);
    const now = this.context.timeOfRound();
    const { counters } = this.context;
    const { packetsReceived } = counters;
    try {
      this.#take(bytes, start, end);
      if (counters.packetsReceived !== packetsReceived) this.deadlines.packet((this.packetSince = now));
      else this.deadlines.partOfPacket(end - start, now);
      if (this.#pace !== null) this.#pace.bytes(end - start, this.context.core.now);
      this.reading.mindAnswers();
    } catch (error) {
      this.context.boundary.blame(this, error);
    } finally {
      share.end();
    }
    if (share.balance <= 0) this.#yield();
  }

  /** Counts them, and hands on the packets in them unless the connection is parked. */
  #take(bytes: Buffer, start: number, end: number): void {
    const { counters, admission } = this.context;
    counters.bytesReceived += end - start;
    if (this.state !== 'open' && !this.#isToldOfArrivals) admission.receive(this.ticket, end - start);
    this.#framer.push(bytes, start, end);
    this.#chargePackets();
  }

  /** There is no time for these bytes in this round. */
  #hold(bytes: Buffer, start: number, end: number): void {
    this.#yield();
    this.context.boundary.forOne(this, () => {
      this.#take(bytes, start, end);
      if (this.#pace !== null) this.#pace.bytes(end - start, this.context.core.now);
    });
  }

  inItsTime(run: () => void): void {
    this.share.run(() => {
      run();
      return false;
    });
  }

  /**
   * Takes no further packet until each `park` has had its `unpark`: a hook is thinking, and may lead to another one.
   */
  park(): void {
    this.#parks++;
    this.isParked = true;
    this.stream.pause();
  }

  unpark(): void {
    if (--this.#parks > 0) return;
    this.share.run(() => this.#resume());
  }

  /** Takes the packets that have come meanwhile. Returns whether it has used up its time before the last of them. */
  #resume(): boolean {
    if (this.#parks > 0 || this.#isEnding) return false;
    this.isParked = this.#isYielding = false;
    if (this.#waiting !== null) this.waiting = null;
    if (this.state === 'closing') return false;
    // What it has sent meanwhile is still to be read: only from now on can it be late.
    this.deadlines.heardAt = this.context.core.now;
    this.#isResuming = true;
    this.context.boundary.forOne(this, () => {
      this.#framer.resume();
      this.#chargePackets();
      this.reading.mindAnswers();
      this.reading.goOn();
    });
    this.#isResuming = false;
    return this.#isYielding;
  }

  /** Others are served before the next packet if this client has used up its time. */
  packetDone(): void {
    if (this.context.scheduler.packetDone()) this.#yield();
  }

  #yield(): void {
    if (this.isParked || this.state === 'closing') return;
    this.isParked = this.#isYielding = true;
    this.stream.pause();
    if (!this.#isResuming) this.share.queue(() => this.#resume());
  }

  /** Works through this step until it is done, with others served in between. The next packet is taken after that. */
  work(step: Step): void {
    let isParked = false;
    const isDone = this.share.run(() => {
      let hasMore = false;
      this.context.boundary.forOne(this, () => (hasMore = step()));
      if (hasMore || !isParked) return hasMore;
      this.#isWorking = false;
      this.unpark();
      return false;
    });
    if (isDone) return;
    isParked = this.#isWorking = true;
    this.park();
  }

  /** The same for something that others are to be served before. */
  workLater(run: () => void): void {
    this.park();
    this.#isWorking = true;
    this.share.queue(() => {
      this.#isWorking = false;
      this.context.boundary.forOne(this, run);
      this.unpark();
      return false;
    });
  }

  // Packets in

  onPublish(message: Message, packetId: PacketId, _dup: boolean, topicAlias: number): void {
    const { context, session } = this;
    if (session === null) return this.#outOfTurn('PUBLISH');
    const { counters } = context;
    counters.packetsReceived++;
    if (--this.#messagesLeft < 0) this.#messagesLeft = this.#pace?.message(context.core.now) ?? unlimited;
    counters.publishReceived++;
    counters.publishBytesReceived += message.payloadBytes;
    // Only 5.0 has aliases, and there the connection has a table of them.
    if (topicAlias !== 0) message.topic = this.inboundAliases!.resolve(topicAlias, message.topic);
    message.expiresAt = message.expirySeconds < 0 ? never : context.core.now + message.expirySeconds * 1000;
    if (packetId !== 0) this.#checkQoS(message, packetId, session);
    if (message.retain && !context.settings.retainAvailable) {
      throw new ProtocolError(ReasonCode.RetainNotSupported, 'A retained message, though CONNACK said there are none');
    }
    if (isClosedToClients(message.topic.name, context.settings.allowedDollarPrefixes)) {
      return refusePublish(this, session, message, packetId, ReasonCode.NotAuthorized);
    }
    const { rights } = session;
    if (rights !== null) {
      const code = rights.publish(message.topic, message.qos, message.retain);
      if (isFailure(code)) return refusePublish(this, session, message, packetId, code);
    }
    const search = context.core.router.search(message.topic);
    if (search === null) this.#publish(message, packetId, session);
    else {
      const kept = message.keep();
      this.#search = { route: search, publish: () => this.#publishRouted(kept, packetId, session) };
      this.work(() => this.#findRoute());
    }
  }

  #findRoute(): boolean {
    const search = this.#search;
    this.#search = null;
    if (search === null) return false;
    // One that throws is over.
    if (search.route.step()) {
      this.#search = search;
      return true;
    }
    search.publish();
    if (this.#fanOut === null) this.#published();
    return false;
  }

  /** The rules once more: they may have changed while the route was found. */
  #publishRouted(message: Message, packetId: PacketId, session: Session): void {
    if (this.session !== session) return;
    const code = ruledCode(session, message);
    if (isFailure(code)) refusePublish(this, session, message, packetId, code);
    else this.#publish(message, packetId, session);
  }

  #publish(message: Message, packetId: PacketId, session: Session): void {
    const { context } = this;
    if (context.storeHealth.isStrained && mustBeStored(context, session, message)) {
      return publishWhenStored(this, session, message, packetId);
    }
    if (context.memory.ledger.pressure >= Pressure.refusal && packetId !== 0 && this.traits.hasProperties) {
      // Whoever holds much gets no more done; who cannot be told is refused where the message would have to be kept.
      if (!this.#account.mayAdd(0)) return refusePublish(this, session, message, packetId, ReasonCode.QuotaExceeded);
    }
    const { hooks, pipeline } = context;
    if (
      hooks.authorizePublish !== undefined ||
      (pipeline !== null && mayChange(pipeline, context.core.router, message.topic))
    ) {
      publishThroughHooks(this, session, message, packetId);
    } else handlePublish(context.core, session, message, packetId, true);
    this.finishFanOut();
    if (message.retain && packetId === 0) this.#limitRetainedQoS0();
  }

  /** Sees to what is left of publishing a message for very many. */
  finishFanOut(): void {
    const { core } = this.context;
    if (core.fanOut === null) return;
    this.#fanOut = core.fanOut;
    core.fanOut = null;
    this.work(() => this.#fanOutSome());
  }

  #fanOutSome(): boolean {
    const fanOut = this.#fanOut;
    if (fanOut === null) return false;
    const { outgoing } = this.context;
    outgoing.urgency = urgency.bulk;
    let isLeft = false;
    try {
      isLeft = fanOut.step();
    } finally {
      outgoing.urgency = urgency.now;
      // A step that fails is not tried again.
      if (!isLeft) this.#fanOut = null;
    }
    if (!isLeft) this.#published();
    return isLeft;
  }

  /** Its last message is still on its way to very many. */
  get isPublishing(): boolean {
    return this.#fanOut !== null || this.#search !== null;
  }

  /** Returns whether anything of its last message is left. */
  #publishSome(): boolean {
    return this.#findRoute() || this.#fanOutSome();
  }

  /**
   * For whoever takes its place: calls back once its last message has reached everybody, before it takes another
   * packet.
   */
  whenPublished(callback: () => void): void {
    (this.#whenPublished ??= []).push(callback);
  }

  #published(): void {
    const waiting = this.#whenPublished;
    if (waiting === null) return;
    this.#whenPublished = null;
    for (const call of waiting) call();
  }

  /** QoS 0 has no acknowledgement that slows its publisher down: after so many it is parked until they are stored. */
  #limitRetainedQoS0(): void {
    if (--this.#retainedQoS0Left > 0) return;
    this.#retainedQoS0Left = retainedQoS0PerCommit;
    this.park();
    this.context.commits.whenStored(this, () => this.unpark());
  }

  /** Between CONNECT and CONNACK, where enhanced authentication has AUTH only. [MQTT5 3.1.2-30] */
  #outOfTurn(what: string): void {
    if (this.state === 'closing') return;
    throw new ProtocolError(ReasonCode.ProtocolError, `${what} before authentication ended`);
  }

  #checkQoS(message: Message, packetId: PacketId, session: Session): void {
    if (message.qos > this.context.settings.maximumQoS) {
      throw new ProtocolError(ReasonCode.QoSNotSupported, `QoS ${message.qos} exceeds the maximum of this broker`);
    }
    if (message.qos === 2 && session.received.has(packetId)) return;
    // Only 5.0 tells the client a quota, so only there it can exceed one. [MQTT5 3.3.4-7]
    if (this.receiveQuota-- <= 0 && this.traits.hasProperties) {
      throw new ProtocolError(ReasonCode.ReceiveMaximumExceeded, 'More messages under way than Receive Maximum allows');
    }
  }

  onAck(type: AckType, packetId: PacketId, reasonCode: number): void {
    if (this.session === null) return this.#outOfTurn('An acknowledgement');
    const { counters, storeHealth } = this.context;
    counters.packetsReceived++;
    // The answers of QoS 2 are stored themselves.
    if (type === PacketType.puback || !storeHealth.isStrained || !this.session.isPersistent) {
      return this.takeAck(type, packetId, reasonCode);
    }
    whenStoreKeepsUp(this, () => this.takeAck(type, packetId, reasonCode));
  }

  takeAck(type: AckType, packetId: PacketId, reasonCode: number): void {
    if (this.session !== null) handleAck(this.context.core, this.session, type, packetId, reasonCode);
  }

  onPing(): void {
    if (this.session === null) return this.#outOfTurn('PINGREQ');
    this.context.counters.packetsReceived++;
    this.sendBytes(pingresp);
  }

  onPacket(packet: ControlPacket): void {
    this.context.counters.packetsReceived++;
    handleControlPacket(this, packet);
  }

  // Packets out

  /** Whether the packet may be sent at all, as it would be sent now. [MQTT5 3.1.2-24] */
  fits(message: Message, header: PublishHeader): boolean {
    this.#chooseTopic(message, header);
    return publishBytes(message, header) <= this.packetBytesMax;
  }

  #chooseTopic(message: Message, header: PublishHeader): void {
    if (this.outboundAliases !== null) return this.outboundAliases.choose(message, header);
    header.topicAlias = 0;
    header.hasTopic = true;
  }

  sendPublish(message: Message, header: PublishHeader): void {
    this.#chooseTopic(message, header);
    this.outboundAliases?.sent(message.topic, header);
    const { counters } = this.context;
    counters.packetsSent++;
    counters.publishSent++;
    counters.publishBytesSent += message.payloadEnd - message.payloadStart;
    const remaining = publishRemainingLength(message, header);
    const output = this.#output;
    if (remaining > largePublish) return this.#sendLarge(message, header, remaining);
    const chunk = output.reserve(1 + varintSize(remaining) + remaining);
    const start = output.length;
    const { lastPublish, chunks } = this.context;
    let end = lastPublish.copy(chunk, start, message, header, remaining, chunks.generation);
    if (end === 0) {
      end = writePublish(chunk, start, message, header, remaining);
      lastPublish.remember(chunk, start, end, message, header, chunks.generation);
    }
    output.length = end;
    counters.bytesSent += output.length - start;
    // Not only at the end of the round: one round can bring more than the limit.
    if (output.fullBytes > this.context.memory.outputBytes) this.session!.isCongested = true;
    this.#touch();
  }

  #sendLarge(message: Message, header: PublishHeader, remaining: number): void {
    this.#output.addLarge(message.keep(), header, remaining);
    this.context.counters.bytesSent += 1 + varintSize(remaining) + remaining;
    if (this.#output.fullBytes > this.context.memory.outputBytes) this.session!.isCongested = true;
    this.#touch();
  }

  sendAck(type: AckType, packetId: PacketId, reasonCode: number): void {
    if (this.state !== 'open') return;
    const isEnd = type === PacketType.pubcomp || type === PacketType.puback || isFailure(reasonCode);
    if (isEnd && type !== PacketType.pubrel) this.receiveQuota++;
    const output = this.#output;
    const chunk = output.reserve(ackBytes(reasonCode, this.traits.version));
    const start = output.length;
    output.length = encodeAck(chunk, start, type, packetId, reasonCode, this.traits.version);
    this.context.counters.packetsSent++;
    this.context.counters.bytesSent += output.length - start;
    this.#touch();
  }

  sendBytes(bytes: Buffer): void {
    const chunk = this.#output.reserve(bytes.length);
    this.#output.length = copyBytes(bytes, 0, bytes.length, chunk, this.#output.length);
    this.context.counters.packetsSent++;
    this.context.counters.bytesSent += bytes.length;
    this.#touch();
  }

  #touch(): void {
    const { outgoing } = this.context;
    if (this.#urgency >= outgoing.urgency) return;
    this.#urgency = outgoing.urgency;
    outgoing.touch(this);
  }

  flush(): void {
    if (this.#urgency === urgency.none) return;
    this.#urgency = urgency.none;
    this.#output.flush();
    this.reading.flushed();
  }

  onDrain(): void {
    this.context.boundary.forOne(this, () => this.#goOn());
  }

  #goOn(): void {
    this.#output.flush();
    if (this.stream.pendingBytes > 0) return;
    this.reading.drained();
    const { session } = this;
    if (session === null) return;
    session.isCongested = false;
    this.context.advanceClock();
    if (session.hasWaiting) this.context.core.delivering.pump(session);
  }

  // The end: close, fail, leave and the like → end → #end → #finish → #detach; then onClose → #closed → #giveBack

  /** The core took the session away, or the broker closes. [MQTT5 4.13] */
  close(reasonCode: number): void {
    this.end(reasonCode, describeReason(reasonCode));
  }

  /** The client broke the protocol or a limit: says so, as far as its version can be told, and closes. */
  fail(error: ProtocolError): void {
    if (this.state === 'closing' || this.#isEnding) return;
    const { counters, limitedLog } = this.context;
    counters.protocolErrors++;
    if (this.#framer.version === 0 && error.reasonCode === ReasonCode.PacketTooLarge) counters.limited.connectBytes++;
    const fields = { client: this.identity?.clientId, from: this.stream.remoteAddress, reason: error.reasonCode };
    limitedLog.warn('refused', fields, `refused: ${error.message}`);
    if (this.state !== 'open') reportRefused(this, error);
    this.end(error.reasonCode, error.message);
  }

  /** A bug of ours hit work for this connection; the log has it already. */
  endByBug(): void {
    this.end(ReasonCode.ImplementationSpecificError, 'internal error');
  }

  /** Others need the memory that it holds. What it does not read at once is given up. */
  endForMemory(reasonCode: ReasonCode): void {
    this.end(reasonCode, 'memory is nearly used up, and this client holds much of it');
    if (this.#output.heldBytes > 0) this.stream.destroy();
  }

  /** Even ending it as usual failed: nothing more is sent. For its session, the connection is lost like any other. */
  abandon(): void {
    this.state = 'closing';
    this.stream.destroy();
    this.#detach();
  }

  /**
   * Says so, as far as the client's version can be told, and closes. What it has published reaches everybody before its
   * will does, and before anything that its client publishes next, so it ends behind that.
   */
  end(reasonCode: number, why: string): void {
    if (this.state === 'closing' || this.#isEnding) return;
    if (!this.isPublishing) return this.#end(reasonCode, why);
    this.#isEnding = this.isParked = true;
    this.stream.pause();
    this.share.queue(() => {
      let isLeft = false;
      this.guard(() => (isLeft = this.#publishSome()));
      if (!isLeft) this.guard(() => this.#end(reasonCode, why));
      return isLeft;
    });
  }

  #end(reasonCode: number, why: string): void {
    if (this.state === 'closing') return;
    if (this.state === 'opening' || this.state === 'authenticating')
      refuse(this, this.#framer.version, reasonCode, why);
    if (this.state === 'open' && this.traits.hasServerDisconnect) {
      const properties = isFailure(reasonCode) && this.wantsProblemInformation ? { reasonString: why } : {};
      send(this, { cmd: 'disconnect', reasonCode: disconnectCode(reasonCode), properties });
    }
    // A peer whose version is not known cannot be told anything: what it has sent need not be read to its end.
    this.#finish(why, this.#framer.version === 0 ? 'destroy' : 'end');
  }

  /** The client said that it goes. [MQTT5 3.14] */
  leave(why: string, isWillCancelled: boolean): void {
    this.#isWillCancelled = isWillCancelled;
    // Our closing is all the answer there is: a will that was called off must not come back after a crash.
    this.#finish(why, 'end once stored');
  }

  #finish(why: string, how: 'end' | 'end once stored' | 'destroy' = 'end'): void {
    if (this.state === 'closing') return;
    this.state = 'closing';
    this.#closeReason = why;
    this.#framer.clear();
    this.#chargePackets();
    const { core, commits, storeHealth } = this.context;
    const { staged } = core.store;
    storeHealth.forget(this);
    this.#detach();
    this.#output.flush();
    if (how === 'destroy') this.stream.destroy();
    else if (how === 'end once stored' && !storeHealth.isFailing) {
      commits.whenStored(this, () => this.stream.end(), staged);
    } else this.stream.end();
  }

  onPeerEnd(): void {
    this.context.admission.closing(this.ticket);
  }

  onClose(error: Error | null): void {
    // Behind what the client has sent before, its DISCONNECT above all. That may come to wait again.
    const isBehind = (this.#isYielding || this.#isWorking || this.#isEnding) && this.state === 'open';
    if (!isBehind) return this.#closed(error);
    this.share.queue(() => {
      this.onClose(error);
      return false;
    });
  }

  #closed(error: Error | null): void {
    const { boundary, connections, onDisconnected } = this.context;
    const now = this.context.advanceClock();
    connections.delete(this);
    if (this.#closeReason === '') this.#closeReason = error === null ? 'closed by the client' : error.message;
    this.state = 'closing';
    boundary.forOne(this, () => this.#giveBack(now));
    boundary.forOne(this, () => this.#announceEnd());
    onDisconnected();
  }

  #giveBack(now: number): void {
    this.deadlines.clear();
    this.context.storeHealth.forget(this);
    this.#pace?.end();
    try {
      this.#detach();
    } finally {
      this.#framer.clear();
      this.#chargePackets();
      this.#output.clear();
      this.#published();
      this.context.memory.forget(this);
      this.context.admission.leave(this.ticket, now);
    }
  }

  #announceEnd(): void {
    if (this.identity === null || !this.isAnnounced) return;
    reportDisconnected(this, this.#closeReason);
    this.context.limitedLog.info(
      'disconnected',
      { client: this.identity.clientId, from: this.stream.remoteAddress, why: this.#closeReason },
      'client disconnected',
    );
    this.context.events.emit('disconnected', this.identity, this.#closeReason);
  }

  #detach(): void {
    const { session } = this;
    if (this.context.boundary.isBroken) return;
    this.session = null;
    this.chargeTo(this.context.memory.unauthenticated);
    this.context.admission.end(this.ticket, this.context.core.now);
    if (session !== null && session.channel === this) disconnected(this.context.core, session, !this.#isWillCancelled);
  }
}
