/**
 * One network connection, from its first byte to its last: cuts what it reads into packets, gathers what goes out, and
 * ends. What packets mean is not decided here but by who gets them, see `client-packets.ts`.
 */
import { type Account, Category } from '../base/ledger.ts';
import { printableWithin } from '../base/printable.ts';
import { followedBy, type Share, type Step } from '../base/scheduler.ts';
import { ackBytes, encodeAck, encodeAnswer, withoutExplanations } from '../codec/encode.ts';
import { Framer } from '../codec/framer.ts';
import {
  copyBytes,
  formOf,
  type PublishHeader,
  publishBytes,
  publishRemainingLength,
  varintSize,
  writePublish,
} from '../codec/publish.ts';
import type { PacketReceiver } from '../codec/receiver.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { ListenerLimits } from '../contracts/listener-limits.ts';
import type { ByteReceiver, ByteStream } from '../contracts/transport.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { Obstacle } from '../core/sink.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Message } from '../protocol/message.ts';
import { type AckType, type PacketId, PacketType, type QoS, type ServerPacket } from '../protocol/packets.ts';
import { describeReason, disconnectCode, isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { type ProtocolVersion, type Traits, traitsOf } from '../protocol/traits.ts';
import type { ConnectionTicket } from './admission.ts';
import type { BrokerContext } from './broker-context.ts';
import type { ClientChannel } from './client-channel.ts';
import { refusal } from './connack.ts';
import type { CountedVersion } from './connection-counts.ts';
import { type ConnectionState, closing, type Open, opening, raiseQuota } from './connection-state.ts';
import { Deadlines } from './deadlines.ts';
import type { Asker } from './late-answers.ts';
import type { MountPoint } from './mount-point.ts';
import { type Urgency, urgency } from './outgoing.ts';
import { largePublish, Output } from './output.ts';
import { Pace } from './pace.ts';
import { PendingPublish } from './pending-publish.ts';
import { type Readable, Reading } from './reading.ts';

/** Where a connection comes from, and who is told when it is gone. */
export interface Accepted {
  readonly stream: ByteStream;
  /** The URL that it came through. */
  readonly listener: string;
  readonly limits: ListenerLimits;
  /** Null: topics are named as the client names them. */
  readonly mountPoint: MountPoint | null;
  readonly ticket: ConnectionTicket;
  readonly onClosed: (connection: Connection) => void;
}

/** Of the reason that a session keeps. */
const reasonBytesMax = 256;

export class Connection implements ByteReceiver, ClientChannel, Asker, Readable {
  readonly context: BrokerContext;
  readonly stream: ByteStream;
  readonly listener: string;
  /** Of MQTT, those that the listener accepts. */
  readonly protocolVersions: readonly ProtocolVersion[];
  /** Of the broker and the listener. */
  readonly maximumQoS: QoS;
  /** Null: topics are named as the client names them. */
  readonly mountPoint: MountPoint | null;
  /** How client identifiers begin that are given out here. */
  readonly clientIdPrefix: string;
  readonly ticket: ConnectionTicket;
  /** Gets the packets. */
  readonly packets: PacketReceiver;
  readonly reading: Reading;
  readonly deadlines: Deadlines;
  readonly pendingPublish: PendingPublish;
  /** Null: it may send as fast as it can. */
  readonly pace: Pace | null;
  state: ConnectionState = opening;
  /** What differs by protocol version; 3.1.1's until CONNECT tells. */
  traits: Traits = traitsOf[4];
  /** The client's bound for any packet we send. */
  packetBytesMax: number = Number.POSITIVE_INFINITY;
  /** Whether reason strings are welcome. [MQTT5 3.1.2-29] */
  wantsProblemInformation = true;
  /** See `ConnectPacket.isBridge`. */
  isBridge = false;
  heldAnswers = 0;
  heldForBatch = 0;
  /** See `TracedConnection`. */
  traced = -1;
  /** As what `ConnectionCounts` has it. */
  countedVersion: CountedVersion = 0;
  /** When the last whole packet came: later bytes belong to an unfinished one. */
  packetSince = 0;
  readonly #onClosed: (connection: Connection) => void;
  /** When what it is sent now will be written. */
  #urgency: Urgency = urgency.none;
  /** Its client's, once that is known. */
  #share: Share | null = null;
  readonly #framer: Framer;
  readonly #output: Output;
  /** Pays for the memory that this connection holds: its client's account, or one for all that are unauthenticated. */
  #account: Account;
  /** In the framer, as charged. */
  #packetBytes = 0;
  /** The transport announces bytes before it hands them over, so `onBytes` does not count them again. */
  #isToldOfArrivals = false;

  constructor(context: BrokerContext, accepted: Accepted, packetsOf: (connection: Connection) => PacketReceiver) {
    this.context = context;
    this.stream = accepted.stream;
    this.listener = accepted.listener;
    this.protocolVersions = accepted.limits.protocolVersions;
    this.maximumQoS = Math.min(context.settings.maximumQoS, accepted.limits.maximumQoS) as QoS;
    this.mountPoint = accepted.mountPoint;
    this.clientIdPrefix = accepted.limits.clientIdPrefix;
    this.ticket = accepted.ticket;
    this.#onClosed = accepted.onClosed;
    this.#account = context.memory.unauthenticated;
    this.#output = new Output(this.stream, context.chunks, this.#account);
    this.reading = new Reading(this, this.#output);
    this.pendingPublish = new PendingPublish(context.outgoing, this.#account, (step) => this.reading.work(step));
    this.pace = Pace.for(this.reading, context);
    this.deadlines = new Deadlines(this);
    this.packets = packetsOf(this);
    this.#framer = new Framer(context.decoder, this.packets, this.reading);
  }

  get session(): ClientSession | null {
    return this.state.name === 'open' ? this.state.session : null;
  }

  get identity(): ClientIdentity | null {
    return this.state.name === 'opening' ? null : this.state.identity;
  }

  get clientId(): string | undefined {
    return this.identity?.clientId;
  }

  /** CONNACK has left. */
  get isAnswered(): boolean {
    return this.state.name === 'open' && this.state.isAnswered;
  }

  get isClosing(): boolean {
    return this.state.name === 'closing';
  }

  get share(): Share {
    const { scheduler } = this.context;
    return this.isAnswered ? (this.#share ??= scheduler.share()) : scheduler.unauthenticated;
  }

  guard(run: () => void): void {
    this.context.boundary.forOne(this, run);
  }

  inItsTime(run: () => void): void {
    this.share.run(() => {
      run();
      return false;
    });
  }

  inSteps(step: Step, done: () => void): void {
    this.share.queue(followedBy(step, done));
  }

  park(): void {
    this.reading.park();
  }

  unpark(): void {
    this.reading.unpark();
  }

  restartKeepAlive(now: number): void {
    this.deadlines.heardAt = now;
  }

  // Memory

  get account(): Account {
    return this.#account;
  }

  /** The client may come in. */
  open(state: Open): void {
    this.state = state;
    this.traced = -1;
    this.#chargeTo(state.session.account);
    const { connectionCounts } = this.context;
    connectionCounts.add(this.stream.kind, this.countedVersion, -1);
    this.countedVersion = this.traits.version;
    connectionCounts.add(this.stream.kind, this.countedVersion, 1);
  }

  #chargeTo(account: Account): void {
    this.pendingPublish.chargeTo(account);
    this.#account.add(Category.packets, -this.#packetBytes);
    this.#account = account;
    account.add(Category.packets, this.#packetBytes);
    this.#output.chargeTo(account);
  }

  /**
   * Whether there is memory for what comes next of the packet under way. A small one is always read on: it may be an
   * answer, which makes room. So is one that wants no more memory than it has: answers may be behind it.
   */
  get mayReceive(): boolean {
    const { growth } = this.#framer;
    if (growth === 0 || this.#packetBytes + growth <= this.#account.ledger.smallBytes) return true;
    return this.#account.mayAdd(growth);
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
    if (footprint > 0 && this.reading.pauseIfMemoryShort()) this.context.memory.wait(this);
  }

  memoryFound(now: number): void {
    this.packetSince = now;
    this.guard(() => this.reading.memoryFound());
  }

  // Bytes in

  onArriving(count: number): void {
    if (this.isAnswered || this.isClosing) return;
    this.#isToldOfArrivals = true;
    this.guard(() => this.context.admission.receive(this.ticket, count));
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    if (this.isClosing) return;
    const { share } = this;
    if (!share.begin()) return this.#feedLater(bytes, start, end);
    const now = this.context.timeOfRound();
    const { counters, journal } = this.context;
    journal.publishing = this.identity;
    const { packetsReceived } = counters;
    try {
      this.#feed(bytes, start, end);
      if (counters.packetsReceived !== packetsReceived) this.deadlines.packet((this.packetSince = now));
      else this.deadlines.partOfPacket(end - start, now);
      this.reading.pauseIfOwedTooMany();
    } catch (error) {
      this.context.boundary.blame(this, error);
    } finally {
      share.end();
    }
    if (share.balance <= 0) this.reading.yield();
  }

  /** Counts them, and hands on the packets in them unless the connection is parked. */
  #feed(bytes: Buffer, start: number, end: number): void {
    const { counters, admission } = this.context;
    counters.bytesReceived += end - start;
    if (!this.#isToldOfArrivals && !this.isAnswered) admission.receive(this.ticket, end - start);
    this.#framer.push(bytes, start, end);
    this.#chargePackets();
    if (this.pace !== null) this.pace.bytes(end - start, this.context.core.now);
  }

  /** There is no time for these bytes in this round. */
  #feedLater(bytes: Buffer, start: number, end: number): void {
    this.reading.yield();
    this.guard(() => this.#feed(bytes, start, end));
  }

  takeParked(): void {
    this.pendingPublish.endWaiting();
    this.#framer.resume();
    this.#chargePackets();
  }

  // Packets out

  /** Why the packet may not be sent at all, as it would be sent now. [MQTT5 3.1.2-24] */
  obstacle(message: Message, header: PublishHeader): Obstacle | null {
    const { state, mountPoint } = this;
    if (mountPoint !== null && !mountPoint.has(message.topic)) return 'notAuthorized';
    const sent = state.name === 'open' && state.bridge !== null ? state.bridge.mark(message) : message;
    this.#chooseTopic(sent, header);
    const seen = mountPoint === null ? sent : mountPoint.clientView(sent);
    return publishBytes(seen, header) <= this.packetBytesMax ? null : 'packetTooLarge';
  }

  #chooseTopic(message: Message, header: PublishHeader): void {
    const { state } = this;
    if (state.name === 'open' && state.outboundAliases !== null) return state.outboundAliases.choose(message, header);
    header.topicAlias = 0;
    header.hasTopic = true;
  }

  sendPublish(message: Message, header: PublishHeader): void {
    const state = this.state as Open;
    if (state.bridge !== null) message = state.bridge.mark(message);
    this.#chooseTopic(message, header);
    state.outboundAliases?.sent(message.topic, header);
    const { counters, topicMetrics, journal } = this.context;
    const { tracer } = journal;
    if (tracer?.concerns(this, message.topic, message.publisher)) tracer.publishSent(this, message, header);
    counters.publishSent++;
    counters.publishBytesSent += message.payloadEnd - message.payloadStart;
    if (topicMetrics !== null) topicMetrics.sent(message);
    const output = this.#output;
    counters.bytesSent += this.#write(this.mountPoint === null ? message : this.mountPoint.clientView(message), header);
    // Not only at the end of the round: one round can bring more than the limit.
    if (output.fullBytes > this.context.memory.outputBytes) state.session.isCongested = true;
    this.#touch();
  }

  /** Returns how many bytes the packet has. */
  #write(message: Message, header: PublishHeader): number {
    const output = this.#output;
    const { packet } = message;
    if (packet !== null && packet.form >= 0 && packet.form === formOf(header)) {
      const bytes = message.payloadEnd - packet.start;
      if (bytes <= largePublish) {
        output.passOn(message, packet, header.packetId);
        return bytes;
      }
    }
    const remaining = publishRemainingLength(message, header);
    const total = 1 + varintSize(remaining) + remaining;
    if (remaining > largePublish) output.addLarge(message.keep(), header, remaining);
    else this.#writePublish(output.reserve(total), message, header, remaining);
    return total;
  }

  #writePublish(chunk: Buffer, message: Message, header: PublishHeader, remaining: number): void {
    const { lastPublish, chunks } = this.context;
    const start = this.#output.length;
    let end = lastPublish.copy(chunk, start, message, header, remaining, chunks.generation);
    if (end === 0) {
      end = writePublish(chunk, start, message, header, remaining);
      lastPublish.remember(chunk, start, end, message, header, chunks.generation);
    }
    this.#output.length = end;
  }

  sendAck(type: AckType, packetId: PacketId, reasonCode: number): void {
    const { state } = this;
    if (state.name !== 'open' || !state.isAnswered) return;
    const isEnd = type === PacketType.pubcomp || type === PacketType.puback || isFailure(reasonCode);
    if (isEnd && type !== PacketType.pubrel) raiseQuota(state);
    const { tracer } = this.context.journal;
    if (tracer?.concerns(this, null, null)) tracer.ackSent(this, type, packetId, reasonCode);
    const output = this.#output;
    const chunk = output.reserve(ackBytes(reasonCode, this.traits.version));
    const start = output.length;
    output.length = encodeAck(chunk, start, type, packetId, reasonCode, this.traits.version);
    const { counters } = this.context;
    counters.sentByType[type]!++;
    counters.bytesSent += output.length - start;
    // It may be the end of a message for very many, and is itself for one.
    this.#touch(urgency.now);
  }

  /**
   * Sends a packet that is seldom sent, without its explanations where they are unwelcome or would not fit. False if it
   * cannot fit at all. [MQTT5 3.1.2-24] [MQTT5 3.1.2-29]
   */
  send(packet: ServerPacket): boolean {
    const { wantsProblemInformation, packetBytesMax, traits } = this;
    const mayExplain = wantsProblemInformation || packet.cmd === 'connack' || packet.cmd === 'disconnect';
    let bytes = encodeAnswer(mayExplain ? packet : withoutExplanations(packet), traits.version);
    if (bytes.length > packetBytesMax) bytes = encodeAnswer(withoutExplanations(packet), traits.version);
    if (bytes.length > packetBytesMax) return false;
    this.context.journal.tracer?.packetSent(this, packet);
    this.sendBytes(bytes);
    return true;
  }

  /**
   * Sends what the client waits for. One whose Maximum Packet Size leaves no room for it would wait without end, so its
   * connection ends with 0x95 then, and this returns false.
   */
  sendOrEnd(packet: ServerPacket): boolean {
    if (this.send(packet)) return true;
    const what = `Maximum Packet Size ${this.packetBytesMax} leaves no room for ${packet.cmd.toUpperCase()}`;
    this.fail(new ProtocolError(ReasonCode.PacketTooLarge, what));
    return false;
  }

  sendBytes(bytes: Buffer): void {
    const chunk = this.#output.reserve(bytes.length);
    this.#output.length = copyBytes(bytes, 0, bytes.length, chunk, this.#output.length);
    const { counters } = this.context;
    counters.sentByType[bytes[0]! >> 4]!++;
    counters.bytesSent += bytes.length;
    this.#touch();
  }

  #touch(wanted: Urgency = this.context.outgoing.urgency): void {
    if (this.#urgency >= wanted) return;
    this.#urgency = wanted;
    this.context.outgoing.touch(this, wanted);
  }

  flush(): void {
    if (this.#urgency === urgency.none) return;
    this.#urgency = urgency.none;
    this.#output.flush();
    this.reading.flushed();
  }

  onDrain(): void {
    this.guard(() => this.#drained());
  }

  #drained(): void {
    this.#output.flush();
    if (this.stream.pendingBytes > 0) return;
    this.reading.drained();
    const { session } = this;
    if (session === null) return;
    this.context.advanceClock();
    this.context.core.drained(session);
  }

  // The end. `close`, `fail`, `endByBug` and `endForMemory` call `end`, which lets the last PUBLISH finish, and then
  // `#endNow` → `#shut`. DISCONNECT from the client: `leave` → `#shut`. `abandon` skips all that. Last, always, the
  // transport has closed it: `onClose` → `#closed`.

  /** The core took the session away, or the broker closes. [MQTT5 4.13] */
  close(reasonCode: number): void {
    this.end(reasonCode, describeReason(reasonCode));
  }

  /** The client broke the protocol or a limit: says so, as far as its version can be told, and closes. */
  fail(error: ProtocolError): void {
    if (this.isClosing || this.reading.isEnding) return;
    const { counters, limitedLog } = this.context;
    counters.protocolErrors++;
    if (this.#framer.version === 0 && error.reasonCode === ReasonCode.PacketTooLarge) counters.limited.connectBytes++;
    limitedLog.warn('refused', { ...this.#whoseLine(), reason: error.reasonCode }, `refused: ${error.message}`);
    this.context.journal.failed(this, error, this.isAnswered);
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
    this.#becomeClosing('internal error', true);
    this.stream.destroy();
    this.#detach();
  }

  /**
   * Says so, as far as the client's version can be told, and closes. What it has published reaches everybody before its
   * will does, and before anything that its client publishes next, so it ends behind that.
   */
  end(reasonCode: number, why: string, publishesWill = true): void {
    if (this.isClosing || this.reading.isEnding) return;
    if (!this.pendingPublish.isRunning) return this.#endNow(reasonCode, why, publishesWill);
    this.reading.takeNoMore();
    this.share.queue(() => {
      let isLeft = false;
      this.guard(() => (isLeft = this.pendingPublish.step()));
      if (!isLeft) this.guard(() => this.#endNow(reasonCode, why, publishesWill));
      return isLeft;
    });
  }

  #endNow(reasonCode: number, why: string, publishesWill: boolean): void {
    if (this.isClosing) return;
    // A peer whose version is not known cannot be told anything: what it has sent need not be read to its end.
    const { version } = this.#framer;
    if (version !== 0) this.#tell(traitsOf[version], reasonCode, why);
    this.#shut(why, { publishesWill, how: version === 0 ? 'destroy' : 'end' });
  }

  /** Why it ends. */
  #tell(traits: Traits, reasonCode: number, why: string): void {
    if (!this.isAnswered) {
      this.traits = traits;
      this.context.counters.connects[reasonCode]!++;
      const packet = refusal(traits, reasonCode, why, this.#referenceFor(reasonCode));
      if (packet !== null) this.send(packet);
    } else if (traits.hasServerDisconnect) {
      const explanation = isFailure(reasonCode) && this.wantsProblemInformation ? { reasonString: why } : {};
      const properties = { ...explanation, ...this.#referenceFor(reasonCode) };
      this.send({ cmd: 'disconnect', reasonCode: disconnectCode(reasonCode), properties });
    }
  }

  /** Where the client should go instead. [MQTT5 4.11] */
  #referenceFor(reasonCode: number): { readonly serverReference?: string } {
    const serverReference = this.context.drain.state?.serverReference ?? null;
    return reasonCode === ReasonCode.UseAnotherServer && serverReference !== null ? { serverReference } : {};
  }

  /** The client said that it goes. [MQTT5 3.14] */
  leave(why: string, publishesWill: boolean): void {
    // The session's time begins now, and not when the round did.
    this.context.advanceClock();
    // Our closing is all the answer there is: a will that was called off must not come back after a crash.
    this.#shut(why, { publishesWill, how: 'end once stored' });
  }

  #shut(why: string, options: { publishesWill: boolean; how: 'end' | 'end once stored' | 'destroy' }): void {
    if (this.isClosing) return;
    const { store, commits, storeHealth, roomWaits } = this.context;
    const { staged } = store;
    this.#becomeClosing(why, options.publishesWill);
    this.#framer.clear();
    this.#chargePackets();
    storeHealth.forget(this);
    roomWaits.forget(this);
    this.#detach();
    this.#output.flush();
    if (options.how === 'destroy') this.stream.destroy();
    else if (options.how === 'end once stored' && !storeHealth.isFailing) {
      commits.whenStored(this, () => this.stream.end(), staged);
    } else this.stream.end();
  }

  #becomeClosing(why: string, publishesWill: boolean): void {
    if (this.isClosing) return;
    if (this.state.name === 'open') this.state.bridge?.demand?.close();
    this.state = closing(this.state, why, publishesWill);
  }

  onPeerEnd(): void {
    this.context.admission.closing(this.ticket);
  }

  onClose(error: Error | null): void {
    // Behind what the client has sent before, its DISCONNECT above all. That may come to wait again.
    if (!this.reading.isBehind || !this.isAnswered) return this.#closed(error);
    this.share.queue(() => {
      this.onClose(error);
      return false;
    });
  }

  #closed(error: Error | null): void {
    const now = this.context.advanceClock();
    this.#becomeClosing(error === null ? 'closed by the client' : error.message, true);
    this.guard(() => this.#giveBack(now));
    this.guard(() => this.#announceEnd());
    this.#onClosed(this);
  }

  #giveBack(now: number): void {
    this.deadlines.clear();
    this.context.storeHealth.forget(this);
    this.context.roomWaits.forget(this);
    this.pace?.end();
    try {
      this.#detach();
    } finally {
      this.#framer.clear();
      this.#chargePackets();
      this.#output.clear();
      this.pendingPublish.done();
      this.context.memory.forget(this);
      this.context.admission.leave(this.ticket, now);
    }
  }

  #announceEnd(): void {
    const { state } = this;
    if (state.name !== 'closing' || state.identity === null || !state.wasAnswered) return;
    const { identity, why } = state;
    this.context.journal.disconnected(this, why);
    this.context.limitedLog.info('disconnected', { ...this.#whoseLine(), why }, 'client disconnected');
    this.context.events.emit('disconnected', identity, why);
  }

  /** In log lines. Before somebody has vouched for it, a user name may be a secret. */
  #whoseLine(): object {
    const { state, identity, stream, listener } = this;
    const isKnown = this.isAnswered || (state.name === 'closing' && state.wasAnswered);
    const user = isKnown ? identity?.username : null;
    return { client: this.clientId, ...(user == null ? {} : { user }), from: stream.remoteAddress, listener };
  }

  /** The session, if there is one, learns that the connection is gone. */
  #detach(): void {
    const { state, context } = this;
    if (context.boundary.isBroken || state.name !== 'closing') return;
    const { session } = state;
    state.session = null;
    this.#chargeTo(context.memory.unauthenticated);
    context.admission.end(this.ticket, context.core.now);
    if (session === null || session.channel !== this) return;
    session.disconnectReason = printableWithin(state.why, reasonBytesMax);
    context.spans?.disconnected(session);
    context.core.disconnected(session, state.publishesWill);
  }
}
