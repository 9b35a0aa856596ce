/**
 * One connection to the peer, from its first byte to its last: to the core, it is the channel of the bridge's session,
 * like the connection of a client; to the peer, it is a client.
 *
 * What comes from the peer goes to `packets` (see `from-peer.ts`), and what the core sends through `Outbound`.
 */
import { type Account, Category } from '../base/ledger.ts';
import { followedBy, type Share, type Step } from '../base/scheduler.ts';
import { Timer } from '../base/timer-wheel.ts';
import type { BrokerContext } from '../broker/broker-context.ts';
import type { ClientChannel } from '../broker/client-channel.ts';
import type { Asker } from '../broker/late-answers.ts';
import { Output } from '../broker/output.ts';
import { PendingPublish } from '../broker/pending-publish.ts';
import { type Readable, Reading } from '../broker/reading.ts';
import { ackBytes, encodeAck } from '../codec/encode.ts';
import { encodeNotice, encodeRequest, pingreq } from '../codec/encode-client.ts';
import { Framer, type PacketDecoder } from '../codec/framer.ts';
import { copyBytes, type PublishHeader } from '../codec/publish.ts';
import type { PacketReceiver } from '../codec/receiver.ts';
import type { BridgeSettings } from '../contracts/bridge-settings.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { ByteReceiver, ByteStream } from '../contracts/transport.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { ProtocolError } from '../protocol/errors.ts';
import type { Message } from '../protocol/message.ts';
import { type AckType, type ControlPacket, type PacketId, PacketType, type ServerPacket } from '../protocol/packets.ts';
import { describeReason, ReasonCode } from '../protocol/reason-codes.ts';
import type { Traits } from '../protocol/traits.ts';
import { type Batch, OutPace } from './out-pace.ts';
import { Outbound, type OutboundMarks, type OutboundOptions } from './outbound.ts';
import { noLimits, type PeerLimits } from './peer-limits.ts';
import type { TopicMap } from './topic-map.ts';

export interface LinkOptions {
  readonly context: BrokerContext;
  /** Of the bridge, for the log. */
  readonly name: string;
  readonly identity: ClientIdentity;
  readonly traits: Traits;
  readonly decoder: PacketDecoder<ServerPacket>;
  readonly out: TopicMap;
  readonly demand: OutboundOptions['demand'];
  readonly rate: BridgeSettings['rate'];
  /** What waits in the session is not to be sent yet. */
  readonly isHeld: () => boolean;
  /** The peer may take more. */
  readonly onRoom: () => void;
  /** It can never be sent: it is kept for the operator. */
  readonly unsendable: (message: Message, why: string) => void;
  /** What the peer is told before a DISCONNECT, instead of its will. */
  readonly farewell: { readonly topic: string; readonly payload: Buffer } | null;
  /** It has begun to end. Called once. */
  readonly onEnd: (link: Link, why: string) => void;
}

/** What is given to the core by itself in one round, and not by the peer. */
const flushesMax = 16;

export class Link implements ByteReceiver, ClientChannel, Asker, Readable {
  readonly context: BrokerContext;
  readonly stream: ByteStream;
  readonly share: Share;
  readonly reading: Reading;
  readonly pendingPublish: PendingPublish;
  readonly clientId: string;
  readonly identity: ClientIdentity;
  readonly traits: Traits;
  readonly startedAt: number;
  session: ClientSession | null = null;
  isClosing = false;
  heldAnswers = 0;
  heldForBatch = 0;
  limits: PeerLimits = noLimits;
  outbound: Outbound;
  /** Called when it loses its session. */
  onDetached: (session: ClientSession) => void = () => {};
  /** When the peer was heard last, and when it was sent something; milliseconds since the epoch. */
  heardAt: number;
  #sentAt: number;
  /** A PINGREQ has no answer yet. */
  #isPinged = false;
  readonly #options: LinkOptions;
  readonly #framer: Framer<ServerPacket>;
  readonly #output: Output;
  readonly #keepAlive: Timer;
  /** Null: it sends as fast as the peer reads. */
  readonly #pace: OutPace | null;
  /** Nothing more is sent before; milliseconds since the epoch. */
  #pacedUntil = 0;
  readonly #paceTimer: Timer;
  #account: Account;
  #packetBytes = 0;
  #isInFlushList = false;

  constructor(options: LinkOptions, stream: ByteStream, packetsOf: (link: Link) => PacketReceiver<ServerPacket>) {
    const { context, traits, identity } = options;
    this.#options = options;
    this.context = context;
    this.stream = stream;
    this.traits = traits;
    this.identity = identity;
    this.clientId = identity.clientId;
    this.share = context.scheduler.share();
    this.#account = context.memory.unauthenticated;
    this.#output = new Output(stream, context.chunks, this.#account);
    this.reading = new Reading(this, this.#output);
    this.pendingPublish = new PendingPublish(context.outgoing, this.#account, (step) => this.reading.work(step));
    this.outbound = this.#newOutbound(null);
    this.#framer = new Framer(options.decoder, packetsOf(this), this.reading);
    this.#framer.version = traits.version;
    this.startedAt = this.heardAt = this.#sentAt = context.core.now;
    this.#pace = OutPace.for(options.rate);
    this.#paceTimer = new Timer(() => this.guard(() => this.sendOn()));
    this.#keepAlive = new Timer(() => this.guard(() => this.#checkKeepAlive()));
  }

  #newOutbound(marks: OutboundMarks | null): Outbound {
    const { out: topics, unsendable, demand } = this.#options;
    return new Outbound({ output: this.#output, topics, limits: this.limits, marks, unsendable, demand });
  }

  /** The peer has let the bridge in: it is the channel of this session from now on. */
  attached(session: ClientSession, limits: PeerLimits, marks: OutboundMarks | null): void {
    this.session = session;
    this.limits = limits;
    this.outbound = this.#newOutbound(marks);
    this.#chargeTo(session.account);
    const { keepAliveSeconds } = limits;
    if (keepAliveSeconds > 0) this.#watch(this.heardAt + keepAliveSeconds * 1_000);
  }

  #chargeTo(account: Account): void {
    this.pendingPublish.chargeTo(account);
    this.#account.add(Category.packets, -this.#packetBytes);
    this.#account = account;
    account.add(Category.packets, this.#packetBytes);
    this.#output.chargeTo(account);
  }

  // The asker of hooks, and the reader

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
    this.heardAt = now;
  }

  /** Of one peer there is one packet under way, within `limits.packetBytes`. */
  get mayReceive(): boolean {
    return true;
  }

  // Bytes in

  onBytes(bytes: Buffer, start: number, end: number): void {
    if (this.isClosing) return;
    const { share } = this;
    if (!share.begin()) {
      this.reading.yield();
      return this.guard(() => this.#feed(bytes, start, end));
    }
    this.heardAt = this.context.timeOfRound();
    this.context.journal.publishing = null;
    try {
      this.#feed(bytes, start, end);
      this.reading.pauseIfOwedTooMany();
    } catch (error) {
      this.context.boundary.blame(this, error);
    } finally {
      share.end();
    }
    if (share.balance <= 0) this.reading.yield();
  }

  #feed(bytes: Buffer, start: number, end: number): void {
    this.#framer.push(bytes, start, end);
    this.#chargePackets();
  }

  #chargePackets(): void {
    const { footprint } = this.#framer;
    this.#account.add(Category.packets, footprint - this.#packetBytes);
    this.#packetBytes = footprint;
  }

  takeParked(): void {
    this.pendingPublish.endWaiting();
    this.#framer.resume();
    this.#chargePackets();
  }

  // Packets out

  /** What is too large is kept for the operator, and told apart in `Outbound`. */
  obstacle(): null {
    return null;
  }

  sendPublish(message: Message, header: PublishHeader): void {
    const { bytes } = this.outbound;
    this.outbound.send(message, header);
    if (this.#output.fullBytes > this.context.memory.outputBytes) this.session!.isCongested = true;
    if (this.#pace !== null) this.#slow(this.#pace, this.outbound.bytes - bytes);
    this.#touch();
  }

  #slow(pace: OutPace, bytes: number): void {
    const { core, timers } = this.context;
    // It did not go over the link.
    if (bytes === 0) return;
    this.#pacedUntil = pace.sent(bytes, core.now);
    if (this.#pacedUntil <= core.now) return;
    this.session!.isCongested = true;
    timers.set(this.#paceTimer, this.#pacedUntil);
  }

  /** What waits follows, if the peer reads and the rate allows it. */
  sendOn(): void {
    const { core, memory } = this.context;
    if (this.session === null || core.now < this.#pacedUntil || this.#options.isHeld()) return;
    if (this.#output.fullBytes > memory.outputBytes) return;
    core.drained(this.session);
    this.#options.onRoom();
  }

  /** The peer has acknowledged something. */
  acknowledged(): void {
    this.#options.onRoom();
  }

  /** What may go at once; null: any number. */
  get batch(): Batch | null {
    return this.#pace?.batch ?? null;
  }

  sendAck(type: AckType, packetId: PacketId, reasonCode: number): void {
    if (this.isClosing) return;
    this.#touch();
    if (type === PacketType.pubrel && !this.outbound.mustRelease(packetId)) return;
    const chunk = this.#output.reserve(ackBytes(reasonCode, this.traits.version));
    this.#output.length = encodeAck(chunk, this.#output.length, type, packetId, reasonCode, this.traits.version);
  }

  /** Throws a RangeError if a text of it is too long. */
  send(packet: ControlPacket): void {
    this.#sendBytes(encodeRequest(packet, this.traits.version));
  }

  /** A message of the bridge itself, of QoS 0. */
  tell(notice: { readonly topic: string; readonly payload: Buffer }): void {
    const retain = this.limits.retainAvailable;
    this.#sendBytes(encodeNotice({ ...notice, retain }, this.traits.version));
  }

  #sendBytes(bytes: Buffer): void {
    const chunk = this.#output.reserve(bytes.length);
    this.#output.length = copyBytes(bytes, 0, bytes.length, chunk, this.#output.length);
    this.#touch();
  }

  #touch(): void {
    if (this.#isInFlushList) return;
    this.#isInFlushList = true;
    this.context.outgoing.touch(this);
  }

  flush(): void {
    if (!this.#isInFlushList) return;
    for (let left = flushesMax; left > 0 && this.outbound.owesAnswers; left--) this.#answerItself();
    this.#isInFlushList = false;
    this.#sentAt = this.context.core.now;
    this.#output.flush();
    this.reading.flushed();
    if (this.outbound.owesAnswers) this.#touch();
  }

  #answerItself(): void {
    const { context } = this;
    context.timeOfRound();
    for (const { type, packetId, reasonCode } of this.outbound.takeAnswers()) {
      if (this.session === null) return;
      context.core.handleAck(this.session, type, packetId, reasonCode);
    }
    this.acknowledged();
  }

  onDrain(): void {
    this.guard(() => this.#drained());
  }

  #drained(): void {
    this.#output.flush();
    if (this.stream.pendingBytes > 0) return;
    this.reading.drained();
    this.context.advanceClock();
    this.sendOn();
  }

  // Whether the peer is there

  #watch(at: number): void {
    this.context.timers.set(this.#keepAlive, at);
  }

  /** After one keep-alive of silence it is asked, and after half of one more it counts as gone. */
  #checkKeepAlive(): void {
    if (this.isClosing) return;
    const { time, core } = this.context;
    const ms = this.limits.keepAliveSeconds * 1_000;
    // While the process stood still, or while it is not read, the peer cannot be late.
    if (time.resumedAt > this.heardAt) this.heardAt = time.resumedAt;
    if (this.reading.checkExcuse()) this.heardAt = core.now;
    if (core.now >= this.heardAt + 1.5 * ms)
      return this.cut('the peer does not answer: nothing was heard of it for 1.5 keep-alives');
    if (core.now >= Math.min(this.heardAt, this.#sentAt) + ms && !this.#isPinged) {
      this.#isPinged = true;
      this.#sendBytes(pingreq);
    }
    const due = this.#isPinged ? this.heardAt + 1.5 * ms : Math.min(this.heardAt, this.#sentAt) + ms;
    this.#watch(Math.max(due, core.now + 1));
  }

  ponged(): void {
    this.#isPinged = false;
    this.#watch(Math.min(this.heardAt, this.#sentAt) + this.limits.keepAliveSeconds * 1_000);
  }

  // The end

  /** The peer broke the protocol: it is told so, as far as its version can be. */
  fail(error: ProtocolError): void {
    this.end(error.message, error.reasonCode);
  }

  endByBug(): void {
    this.end('internal error', ReasonCode.ImplementationSpecificError);
  }

  abandon(): void {
    this.cut('internal error');
  }

  /** The core took the session away. */
  close(reasonCode: number): void {
    this.end(describeReason(reasonCode), reasonCode);
  }

  /** Says goodbye, writes what was gathered, and closes. */
  end(why: string, reasonCode: number = ReasonCode.NormalDisconnection): void {
    if (this.isClosing) return;
    // A DISCONNECT takes the will back. [MQTT5 3.14.4-3]
    const { farewell } = this.#options;
    if (this.session !== null && farewell !== null) this.tell(farewell);
    if (this.session !== null) this.send({ cmd: 'disconnect', reasonCode, properties: {} });
    this.#shut(why, 'end');
  }

  /** Closes at once, without a word. */
  cut(why: string): void {
    if (!this.isClosing) this.#shut(why, 'destroy');
  }

  #shut(why: string, how: 'end' | 'destroy'): void {
    this.isClosing = true;
    const { context } = this;
    context.timers.cancel(this.#keepAlive);
    context.timers.cancel(this.#paceTimer);
    context.storeHealth.forget(this);
    context.roomWaits.forget(this);
    this.#framer.clear();
    this.#chargePackets();
    this.#detach();
    if (how === 'end') this.#output.flush();
    this.stream[how]();
    this.#options.onEnd(this, why);
  }

  #detach(): void {
    const { session, context } = this;
    this.session = null;
    if (session !== null) this.onDetached(session);
    this.#chargeTo(context.memory.unauthenticated);
    if (session === null || session.channel !== this || context.boundary.isBroken) return;
    context.core.disconnected(session, false);
  }

  onClose(error: Error | null): void {
    this.guard(() => {
      this.context.advanceClock();
      this.cut(error === null ? 'the peer has closed the connection' : error.message);
    });
    this.#output.clear();
    this.pendingPublish.done();
  }
}
