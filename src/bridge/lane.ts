/**
 * Messages of one priority, and of one pipeline if they go through one, on their way to the session of a bridge: a
 * durable session of its own, whose client is this object. It takes some messages at a time, in their order, puts them
 * through the pipeline, and hands them on when `Lanes` asks. Until then they stay in the lane's session, so nothing is
 * lost if the process ends; what is handed on and what is acknowledged here are in one commit.
 */
import { Deque } from '../base/deque.ts';
import { Category } from '../base/ledger.ts';
import type { Share } from '../base/scheduler.ts';
import type { BrokerContext } from '../broker/broker-context.ts';
import type { ClientChannel } from '../broker/client-channel.ts';
import { answerOf } from '../broker/late-answers.ts';
import { messagesOf, opened, overBridge } from '../broker/pipeline-messages.ts';
import type { PublishHeader } from '../codec/publish.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { PipelineVerdict } from '../contracts/pipeline.ts';
import { type ClientSession, neverExpires } from '../core/client-session.ts';
import { deliveryBytes, hold, letGo } from '../core/footprint.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Message } from '../protocol/message.ts';
import { type PacketId, PacketType, type QoS } from '../protocol/packets.ts';
import { describeReason, ReasonCode } from '../protocol/reason-codes.ts';
import { traitsOf } from '../protocol/traits.ts';
import type { QueueAge } from './queue-age.ts';
import type { MappedTopic, TopicMap } from './topic-map.ts';

export interface LaneOptions {
  readonly context: BrokerContext;
  /** Of its session. */
  readonly name: string;
  /** Lanes of earlier settings are emptied first: see `Lanes`. */
  readonly generation: number;
  readonly priority: number;
  readonly pipeline: string | null;
  /** As pipelines see the bridge. */
  readonly identity: ClientIdentity;
  readonly topics: TopicMap;
  /** It can never be sent: it is kept for the operator. */
  readonly unsendable: (message: Message, why: string) => void;
  /** A QoS 0 message, which goes now or not at all. */
  readonly giveNow: (message: Message) => void;
  /** The first of its messages can be handed on. */
  readonly onReady: () => void;
}

/** What is made of one message, each under its name at the peer. */
interface Made {
  readonly messages: readonly Message[];
  /** What can never be sent, and why. */
  readonly unsendable: readonly { readonly message: Message; readonly why: string }[];
}

interface Incoming {
  readonly packetId: PacketId;
  /** Null: it is in the pipeline. */
  made: Made | null;
}

/** That it has taken, and neither handed on nor dropped. */
const windowMax = 100;
/** In the pipeline. What is more is dropped, as for a slow reader. */
const qos0Max = 256;

export class Lane implements ClientChannel {
  heldAnswers = 0;
  heldForBatch = 0;
  readonly clientId: string;
  readonly share: Share;
  readonly session: ClientSession;
  readonly options: LaneOptions;
  /** Counts up with each message of any lane of the bridge: of lanes alike, the one that has waited takes its turn. */
  servedAt = 0;
  age: QueueAge | null = null;
  /** It has no subscriptions any more, and ends once it is empty. */
  isRetired = false;
  readonly #context: BrokerContext;
  readonly #waiting = new Deque<Incoming>();
  /** Of what was made and is not handed on. */
  #madeBytes = 0;
  #qos0 = 0;
  #isInFlushList = false;

  /** Begins or resumes the session. Messages come after `begin`. */
  constructor(options: LaneOptions) {
    const { context, name, identity } = options;
    this.options = options;
    this.#context = context;
    this.clientId = identity.clientId;
    this.share = context.scheduler.share();
    const { session } = context.core.connect({
      clientId: name,
      traits: traitsOf[5],
      clean: false,
      expirySeconds: neverExpires,
      receiveMaximum: windowMax,
      packetBytesMax: Number.POSITIVE_INFINITY,
      will: null,
      channel: this,
      identity: null,
    });
    this.session = session;
  }

  begin(): void {
    this.#context.core.ready(this.session);
  }

  get isOpen(): boolean {
    return this.session.channel === this && !this.#context.boundary.isBroken;
  }

  /** Messages that it has, those in the pipeline included. */
  get length(): number {
    return this.session.queue.length + this.session.window.count;
  }

  /** What the first one has come to; null: there is none, or it is not known yet. */
  get first(): Made | null {
    return this.#waiting.peek()?.made ?? null;
  }

  /** The first one is handed on: what was staged for that is in the commit that takes it out of here. */
  settleFirst(): void {
    const { packetId, made } = this.#waiting.shift()!;
    const { observers, core } = this.#context;
    for (const each of made!.unsendable) this.options.unsendable(each.message, each.why);
    this.#letGo(made!);
    if (observers.isActive) {
      observers.acknowledged(this.session, PacketType.puback, packetId, ReasonCode.Success, core.now);
    }
    core.handleAck(this.session, PacketType.puback, packetId, ReasonCode.Success);
  }

  // What the core sends

  obstacle(): null {
    return null;
  }

  sendPublish(borrowed: Message, { qos, packetId, retain }: PublishHeader): void {
    const message = this.#asDelivered(borrowed.keep(), retain);
    const mapped = this.#mapped(message);
    if (qos === 0) return this.#takeQoS0(message, mapped);
    const incoming: Incoming = { packetId, made: null };
    this.#waiting.push(incoming);
    this.#make(message, mapped, (made) => {
      incoming.made = made;
      this.#hold(made);
      this.#touch();
    });
  }

  /** Or why it can have no name at the peer. */
  #mapped({ topic }: Message): MappedTopic | string {
    try {
      return this.options.topics.map(topic) ?? 'no topic of the bridge has it any more';
    } catch (error) {
      if (error instanceof ProtocolError) return error.message;
      throw error;
    }
  }

  #hold({ messages }: Made): void {
    for (const each of messages) {
      hold(this.session.account, Category.output, each, deliveryBytes);
      this.#madeBytes += each.size;
    }
    if (this.#isBusy) this.session.isCongested = true;
  }

  #letGo({ messages }: Made): void {
    for (const each of messages) {
      letGo(this.session.account, Category.output, each, deliveryBytes);
      this.#madeBytes -= each.size;
    }
    this.#readOn();
  }

  /** It is as slow as a client that does not read. */
  get #isBusy(): boolean {
    return this.#qos0 >= qos0Max || this.#madeBytes > this.#context.memory.outputBytes;
  }

  #readOn(): void {
    if (this.session.isCongested && !this.#isBusy && this.isOpen) this.#context.core.drained(this.session);
  }

  #forgetAll(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      for (const each of next.made?.messages ?? []) letGo(this.session.account, Category.output, each, deliveryBytes);
    }
    this.#madeBytes = 0;
  }

  /** The flag is the delivery's, and the message is everybody's. */
  #asDelivered(message: Message, retain: boolean): Message {
    if (message.retain === retain) return message;
    const copy = message.renumbered(message.id, false);
    copy.retain = retain;
    return copy;
  }

  #takeQoS0(message: Message, mapped: MappedTopic | string): void {
    this.#qos0++;
    if (this.#isBusy) this.session.isCongested = true;
    this.#make(message, mapped, ({ messages, unsendable }) => {
      this.#qos0--;
      this.#readOn();
      for (const each of unsendable) this.options.unsendable(each.message, each.why);
      for (const each of messages) this.options.giveNow(each);
    });
  }

  // The pipeline

  /** Calls `done` at once, or later while this lane is open. */
  #make(message: Message, mapped: MappedTopic | string, done: (made: Made) => void): void {
    const { pipeline, identity } = this.options;
    if (typeof mapped === 'string') return done(refused(message, mapped));
    if (pipeline === null) return done(this.#named([message], mapped, message));
    const context = this.#context;
    const seen = opened(message);
    const ask = () => overBridge(context.pipeline, pipeline, identity, seen, false);
    const use = (verdict: PipelineVerdict) => done(this.#madeOf(verdict, message, seen, mapped));
    const failed = { verdict: 'reject', reasonCode: ReasonCode.ImplementationSpecificError } as const;
    const verdict = answerOf<PipelineVerdict>(context, this.clientId, 'pipeline of a bridge', ask, failed);
    if (!(verdict instanceof Promise)) return use(verdict);
    verdict.then((settled) =>
      this.share.run(() => {
        context.boundary.forOne(this, () => {
          context.advanceClock();
          if (this.isOpen) use(settled);
        });
        return false;
      }),
    );
  }

  #madeOf(verdict: PipelineVerdict, message: Message, seen: ReturnType<typeof opened>, mapped: MappedTopic): Made {
    const { journal } = this.#context;
    const { pipeline } = this.options;
    if (verdict.verdict === 'reject') {
      const why = verdict.reason ?? describeReason(verdict.reasonCode);
      return refused(message, `the pipeline ${pipeline} refuses it: ${why}`);
    }
    if (verdict.verdict === 'drop') {
      const stage = `pipeline ${JSON.stringify(pipeline)}`;
      journal.endedInPipeline(message, verdict.end ?? { stage, how: 'dropped', why: null });
    }
    try {
      return this.#named([...messagesOf(verdict, message, seen, this.#context)], mapped, message);
    } catch (error) {
      return refused(message, `the pipeline ${pipeline} makes an invalid message: ${(error as Error).message}`);
    }
  }

  /** Under their names at the peer. A pipeline may have given another topic. */
  #named(messages: readonly Message[], { entry, topic: usual }: MappedTopic, original: Message): Made {
    const named: Message[] = [];
    const unsendable: { message: Message; why: string }[] = [];
    for (const message of messages) {
      const copy = message.renumbered(0, false);
      try {
        const topic = message.topic === original.topic ? usual : this.options.topics.rename(entry, message.topic);
        if (topic === null) {
          unsendable.push({ message, why: `${message.topic.name} does not begin with ${entry.from} (localPrefix)` });
          continue;
        }
        copy.rename(topic);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        unsendable.push({ message, why: error.message });
        continue;
      }
      copy.qos = Math.min(message.qos, entry.qos) as QoS;
      if (entry.retain === 'clear') copy.retain = false;
      named.push(copy);
    }
    return { messages: named, unsendable };
  }

  // The end of a round

  #touch(): void {
    if (this.#isInFlushList) return;
    this.#isInFlushList = true;
    this.#context.outgoing.touch(this);
  }

  flush(): void {
    this.#isInFlushList = false;
    if (this.isOpen) this.options.onReady();
  }

  /** What is subscribed with QoS 1 has no other acknowledgements. */
  sendAck(): void {}

  // The end

  close(): void {
    this.#forgetAll();
  }

  fail(): void {
    this.abandon();
  }

  endByBug(): void {
    this.abandon();
  }

  /** Goes; what it has taken and not handed on comes again when it is back. */
  abandon(): void {
    const { core, boundary } = this.#context;
    this.age?.end();
    this.#forgetAll();
    if (this.session.channel !== this || boundary.isBroken) return;
    core.disconnected(this.session, false);
  }

  /** With its session, and what waits there. Returns how many messages these are. */
  end(): number {
    const { length, age } = this;
    this.abandon();
    age?.forget();
    this.#context.core.endSession(this.session);
    return length;
  }
}

const refused = (message: Message, why: string): Made => ({ messages: [], unsendable: [{ message, why }] });
