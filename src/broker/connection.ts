/**
 * One network connection, from its first byte to its last: reads packets, hands them to the core in order, gathers what goes
 * out. What is cold (CONNECT, SUBSCRIBE, …) is in files of its own beside this one.
 *
 * States: `opening` until CONNECT, `authenticating` while a hook thinks, `open`, `closing` once it is decided that it ends.
 */
import { ackBytes, encodeAck } from '../codec/encode.ts';
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
import { handleAck } from '../core/handlers/acknowledge.ts';
import { handlePublish } from '../core/handlers/publish.ts';
import { disconnected } from '../core/lifecycle.ts';
import type { Session } from '../core/session.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { type Message, never } from '../protocol/message.ts';
import { type AckType, type ColdPacket, type PacketId, PacketType } from '../protocol/packets.ts';
import { describeReason, disconnectCode, isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { isClosedToClients } from '../protocol/topic.ts';
import { type Traits, traitsOf } from '../protocol/traits.ts';
import type { Visit } from './admission.ts';
import { send } from './answers.ts';
import type { Asker } from './awaiting.ts';
import { handleColdPacket } from './cold-packets.ts';
import { Deadlines } from './deadlines.ts';
import { refuse } from './handshake.ts';
import type { Link } from './link.ts';
import { Output } from './output.ts';
import { Pace, unlimited } from './pace.ts';
import { mayChange } from './piping.ts';
import { mustBeStored, publishThroughHooks, publishWhenStored, refusePublish } from './publishing.ts';
import { ReadGate } from './read-gate.ts';
import { reportDisconnected, reportRefused } from './reporting.ts';
import type { Shell } from './shell.ts';
import { TakingTurns } from './taking-turns.ts';
import type { InboundAliases, OutboundAliases } from './topic-aliases.ts';

export class Connection implements ByteReceiver, PacketReceiver, Link, Asker {
  readonly shell: Shell;
  readonly stream: ByteStream;
  readonly listener: string;
  readonly visit: Visit;
  readonly deadlines: Deadlines;
  readonly turns: TakingTurns;
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
  /** Whether anything is waited for before the next packet is taken: see `park`. */
  isParked = false;
  /** Outstanding `park` calls. */
  #parks = 0;
  heldAnswers = 0;
  /** Its CONNECT waits until the disk takes writes. */
  awaitsStore = false;
  /** DISCONNECT came in good order, so there is no will to publish. */
  #isWillCancelled = false;
  #isTouched = false;
  #closeReason = '';
  readonly #framer: Framer;
  readonly #output: Output;
  readonly reading: ReadGate;
  /** Null: it may send as fast as it can. */
  readonly #pace: Pace | null;
  /** How many messages it may send before its pace is asked. */
  #messagesLeft = 0;
  /** Bytes are counted before they are handed over. */
  #isToldOfArrivals = false;

  constructor(shell: Shell, stream: ByteStream, listener: string, visit: Visit) {
    this.shell = shell;
    this.stream = stream;
    this.listener = listener;
    this.visit = visit;
    this.#pace = Pace.for(this, shell);
    this.#framer = new Framer(shell.decoder, this);
    this.#output = new Output(stream, shell.chunks);
    this.reading = new ReadGate(this, this.#output);
    this.deadlines = new Deadlines(this);
    this.turns = new TakingTurns(this);
  }

  get clientId(): string | undefined {
    return this.identity?.clientId;
  }

  get isClosing(): boolean {
    return this.state === 'closing';
  }

  /** Runs what follows from an answer that came later. */
  guard(run: () => void): void {
    this.shell.boundary.forOne(this, run);
  }

  // Bytes in

  get isStranger(): boolean {
    return this.state !== 'open';
  }

  onArriving(count: number): boolean {
    if (this.state === 'open' || this.state === 'closing') return false;
    this.#isToldOfArrivals = true;
    this.shell.boundary.forOne(this, () => this.shell.admission.receive(this.visit, count));
    return true;
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    const now = this.shell.readTime();
    const { counters } = this.shell;
    const { packetsReceived } = counters;
    counters.bytesReceived += end - start;
    this.turns.begin();
    try {
      if (this.state !== 'open') {
        if (this.state === 'closing') return;
        if (!this.#isToldOfArrivals) this.shell.admission.receive(this.visit, end - start);
      }
      this.#framer.push(bytes, start, end);
      if (counters.packetsReceived !== packetsReceived) this.deadlines.packet(now);
      else this.deadlines.partOfPacket(end - start, now);
      if (this.#pace !== null) this.#pace.bytes(end - start, this.shell.core.now);
      this.reading.mindAnswers();
    } catch (error) {
      this.shell.boundary.blame(this, error);
    }
  }

  /** Takes no further packet until each `park` has had its `unpark`: a hook is thinking, and may lead to another one. */
  park(): void {
    this.#parks++;
    this.isParked = true;
    this.stream.pause();
  }

  unpark(): void {
    if (--this.#parks > 0) return;
    this.isParked = false;
    // What it has sent meanwhile is still to be read: only from now on can it be late.
    this.deadlines.heardAt = this.shell.core.now;
    if (this.state === 'closing') return;
    this.turns.begin();
    this.shell.boundary.forOne(this, () => {
      this.#framer.resume();
      this.reading.mindAnswers();
      this.reading.goOn();
    });
  }

  // Packets in

  onPublish(message: Message, packetId: PacketId, _dup: boolean, topicAlias: number): void {
    const { shell, session } = this;
    if (session === null) return this.#outOfTurn('PUBLISH');
    const { counters } = shell;
    counters.packetsReceived++;
    if (--this.#messagesLeft < 0) this.#messagesLeft = this.#pace?.message(shell.core.now) ?? unlimited;
    counters.publishReceived++;
    counters.publishBytesReceived += message.payloadBytes;
    // Only 5.0 has aliases, and there the connection has a table of them.
    if (topicAlias !== 0) message.topic = this.inboundAliases!.resolve(topicAlias, message.topic);
    message.expiresAt = message.expirySeconds < 0 ? never : shell.core.now + message.expirySeconds * 1000;
    if (packetId !== 0) this.#checkQoS(message, packetId, session);
    if (message.retain && !shell.settings.retainAvailable) {
      throw new ProtocolError(ReasonCode.RetainNotSupported, 'A retained message, though CONNACK said there are none');
    }
    if (isClosedToClients(message.topic.name, shell.settings.allowedDollarPrefixes)) {
      return refusePublish(this, session, message, packetId, ReasonCode.NotAuthorized);
    }
    const { rights } = session;
    if (rights !== null) {
      const code = rights.publish(message.topic, message.qos, message.retain);
      if (isFailure(code)) return refusePublish(this, session, message, packetId, code);
    }
    if (shell.storeHealth.isStrained && mustBeStored(this, session, message)) {
      return publishWhenStored(this, session, message, packetId);
    }
    const { hooks, pipeline } = shell;
    if (
      hooks.authorizePublish !== undefined ||
      (pipeline !== null && mayChange(pipeline, shell.core.router, message.topic))
    ) {
      publishThroughHooks(this, session, message, packetId);
    } else handlePublish(shell.core, session, message, packetId, true);
    this.turns.published(message, packetId);
  }

  /** Between CONNECT and CONNACK, where enhanced authentication has AUTH only. [MQTT5 3.1.2-30] */
  #outOfTurn(what: string): void {
    if (this.state === 'closing') return;
    throw new ProtocolError(ReasonCode.ProtocolError, `${what} before authentication ended`);
  }

  #checkQoS(message: Message, packetId: PacketId, session: Session): void {
    if (message.qos > this.shell.settings.maximumQoS) {
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
    this.shell.counters.packetsReceived++;
    handleAck(this.shell.core, this.session, type, packetId, reasonCode);
  }

  onPacket(packet: ColdPacket): void {
    this.shell.counters.packetsReceived++;
    handleColdPacket(this, packet);
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
    const { counters } = this.shell;
    counters.packetsSent++;
    counters.publishSent++;
    counters.publishBytesSent += message.payloadEnd - message.payloadStart;
    const remaining = publishRemainingLength(message, header);
    const output = this.#output;
    const chunk = output.reserve(1 + varintSize(remaining) + remaining);
    const start = output.length;
    const { lastPublish, chunks } = this.shell;
    let end = lastPublish.copy(chunk, start, message, header, remaining, chunks.generation);
    if (end === 0) {
      end = writePublish(chunk, start, message, header, remaining);
      lastPublish.remember(chunk, start, end, message, header, chunks.generation);
    }
    output.length = end;
    counters.bytesSent += output.length - start;
    // Not only at the end of the turn: one turn can bring more than the limit.
    if (output.fullBytes > this.shell.settings.limits.outputBytes) this.session!.isCongested = true;
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
    this.shell.counters.packetsSent++;
    this.shell.counters.bytesSent += output.length - start;
    this.#touch();
  }

  sendBytes(bytes: Buffer): void {
    const chunk = this.#output.reserve(bytes.length);
    this.#output.length = copyBytes(bytes, 0, bytes.length, chunk, this.#output.length);
    this.shell.counters.packetsSent++;
    this.shell.counters.bytesSent += bytes.length;
    this.#touch();
  }

  #touch(): void {
    if (this.#isTouched) return;
    this.#isTouched = true;
    this.shell.turn.touch(this);
  }

  flush(): void {
    this.#isTouched = false;
    this.#output.flush();
    this.reading.flushed();
  }

  onDrain(): void {
    this.shell.boundary.forOne(this, () => this.#goOn());
  }

  #goOn(): void {
    this.#output.flush();
    if (this.stream.pendingBytes > 0) return;
    this.reading.drained();
    const { session } = this;
    if (session === null) return;
    session.isCongested = false;
    this.shell.readTime();
    if (session.hasWaiting) this.shell.core.delivering.pump(session);
  }

  // The end

  /** The core took the session away, or the broker closes. [MQTT5 4.13] */
  close(reasonCode: number): void {
    this.end(reasonCode, describeReason(reasonCode));
  }

  /** The client broke the protocol or a limit: says so, as far as its version can be told, and closes. */
  fail(error: ProtocolError): void {
    if (this.state === 'closing') return;
    const { counters, complaints } = this.shell;
    counters.protocolErrors++;
    if (this.#framer.version === 0 && error.reasonCode === ReasonCode.PacketTooLarge) counters.limited.connectBytes++;
    const fields = { client: this.identity?.clientId, from: this.stream.remoteAddress, reason: error.reasonCode };
    complaints.warn('refused', fields, `refused: ${error.message}`);
    if (this.state !== 'open') reportRefused(this, error);
    this.end(error.reasonCode, error.message);
  }

  /** A bug of ours hit work for this connection; the log has it already. */
  endByBug(): void {
    this.end(ReasonCode.ImplementationSpecificError, 'internal error');
  }

  /** Even ending it as usual failed: nothing more is sent, and its session lets go of it. */
  abandon(): void {
    const { session } = this;
    this.state = 'closing';
    this.session = null;
    if (session?.link === this) {
      session.link = null;
      session.isReady = false;
    }
    this.stream.destroy();
  }

  /** Says so, as far as the client's version can be told, and closes. */
  end(reasonCode: number, why: string): void {
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
    const { core, turn, storeHealth } = this.shell;
    const { staged } = core.store;
    storeHealth.forget(this);
    this.#detach();
    this.#output.flush();
    if (how === 'destroy') this.stream.destroy();
    else if (how === 'end once stored' && !storeHealth.isFailing) {
      turn.whenStored(this, () => this.stream.end(), staged);
    } else this.stream.end();
  }

  onPeerEnd(): void {
    this.shell.admission.closing(this.visit);
  }

  onClose(error: Error | null): void {
    const { boundary, connections, onDisconnected } = this.shell;
    const now = this.shell.readTime();
    connections.delete(this);
    if (this.#closeReason === '') this.#closeReason = error === null ? 'closed by the client' : error.message;
    this.state = 'closing';
    boundary.forOne(this, () => this.#giveBack(now));
    boundary.forOne(this, () => this.#announceEnd());
    onDisconnected();
  }

  #giveBack(now: number): void {
    this.deadlines.clear();
    this.shell.storeHealth.forget(this);
    this.#pace?.end();
    try {
      this.#detach();
    } finally {
      this.#framer.clear();
      this.#output.clear();
      this.shell.admission.leave(this.visit, now);
    }
  }

  #announceEnd(): void {
    if (this.identity === null || !this.isAnnounced) return;
    reportDisconnected(this, this.#closeReason);
    this.shell.log.info(
      { client: this.identity.clientId, from: this.stream.remoteAddress, why: this.#closeReason },
      'client disconnected',
    );
    this.shell.events.emit('disconnected', this.identity, this.#closeReason);
  }

  #detach(): void {
    const { session } = this;
    if (this.shell.boundary.isBroken) return;
    this.turns.completeFanOut();
    this.session = null;
    this.shell.admission.end(this.visit, this.shell.core.now);
    if (session !== null && session.link === this) disconnected(this.shell.core, session, !this.#isWillCancelled);
  }
}
