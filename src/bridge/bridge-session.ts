/**
 * The session of a bridge at this broker, and its lanes if it has any: what goes out waits there, whether the peer is
 * connected or not.
 */
import type { BrokerContext } from '../broker/broker-context.ts';
import type { BridgeSettings } from '../contracts/bridge-settings.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import { type ClientSession, neverExpires, type OwnQueueLimits } from '../core/client-session.ts';
import type { Message } from '../protocol/message.ts';
import { bridgeSessionPrefix } from '../protocol/publisher.ts';
import { type Traits, traitsOf } from '../protocol/traits.ts';
import { filtersOfLanes, Lanes, removeLanes } from './lanes.ts';
import type { Link } from './link.ts';
import { subscribeOut } from './out-filters.ts';
import type { OutEntry, PeerDemand } from './peer-demand.ts';
import { QueueAge } from './queue-age.ts';
import type { TopicMap } from './topic-map.ts';

export interface BridgeSessionOptions {
  readonly context: BrokerContext;
  readonly settings: BridgeSettings;
  /** What goes out, and which of it the peer wants. */
  readonly topics: TopicMap;
  readonly demand: PeerDemand;
  readonly identity: () => ClientIdentity;
  /** What can never be sent. */
  readonly unsendable: (message: Message, why: string) => void;
  /** Null: it is not connected. */
  readonly link: () => Link | null;
}

export const sessionNameOf = (name: string) => bridgeSessionPrefix + name;
export const bridgeNameOf = (clientId: string) => clientId.slice(bridgeSessionPrefix.length);

export class BridgeSession {
  readonly #options: BridgeSessionOptions;
  readonly #age: QueueAge;
  /** Null: what goes out waits in the session alone. */
  #lanes: Lanes | null = null;

  constructor(options: BridgeSessionOptions) {
    const { context, settings } = options;
    this.#options = options;
    this.#age = new QueueAge(context, settings.name, settings.queue.maxAgeSeconds, () => this.session);
  }

  get #clientId(): string {
    return sessionNameOf(this.#options.settings.name);
  }

  /** Null: it has not begun, or is over. */
  get session(): ClientSession | null {
    return this.#options.context.core.findSession(this.#clientId) ?? null;
  }

  /** It is there from now on, without a peer. */
  begin(): void {
    const { context, settings, demand } = this.#options;
    const { core } = context;
    context.advanceClock();
    const session = this.session ?? this.#make();
    const { name } = settings;
    const known = new Set([...filtersOfLanes(context, name, session.clientId), ...session.subscriptions.keys()]);
    const wanted = demand.wanted();
    const limits = queueLimitsOf(settings);
    this.#lanes = this.#openLanes(known, wanted, limits);
    // With lanes, what is here is on its way, and has found its room.
    core.limitQueue(session, this.#lanes === null ? limits : { ...limits, queueBytes: Number.POSITIVE_INFINITY });
    const own = this.#lanes === null ? wanted : [];
    subscribeOut({ context, session, name, wanted: own, qosMax: 2, known, isSame: false });
    this.#age.begin();
  }

  #make(): ClientSession {
    const { context, settings } = this.#options;
    const session = this.connect(traitsOf[5], settings.maxInflight, {});
    context.core.disconnected(session, false);
    return session;
  }

  #openLanes(filtersSoFar: ReadonlySet<string>, wanted: readonly OutEntry[], limits: OwnQueueLimits): Lanes | null {
    const { context, settings, topics, identity, unsendable, link } = this.#options;
    return Lanes.open({
      ...{ context, filtersSoFar, wanted, topics, limits, unsendable, link },
      ...{ name: settings.name, prefix: this.#clientId, identity: identity() },
      main: () => this.session!,
      maxAgeSeconds: settings.queue.maxAgeSeconds,
    });
  }

  /** It has the peer from now on, through this channel. */
  connect(traits: Traits, receiveMaximum: number, channel: object): ClientSession {
    const { session } = this.#options.context.core.connect({
      ...{ clientId: this.#clientId, clean: false, expirySeconds: neverExpires, will: null, identity: null },
      ...{ packetBytesMax: Number.POSITIVE_INFINITY, traits, receiveMaximum, channel },
    });
    return session;
  }

  /** The peer wants something else, or there is nobody to say what it wants. */
  subscribeAnew(): void {
    const { context, settings, demand } = this.#options;
    const { session } = this;
    if (session === null || context.boundary.isBroken) return;
    context.advanceClock();
    const wanted = demand.wanted();
    if (this.#lanes !== null) return this.#lanes.subscribeAnew(wanted);
    const known = new Set(session.subscriptions.keys());
    subscribeOut({ context, session, name: settings.name, wanted, qosMax: 2, known, isSame: true });
  }

  /** There is room again, or something to send. */
  look(): void {
    this.#lanes?.look();
  }

  /** What goes out is not to go yet. */
  get isHeld(): boolean {
    return this.#lanes?.isStoring === true || !this.#options.demand.isKnown;
  }

  /** Messages that wait for the peer, without those in flight, and their bytes. */
  get queued(): number {
    return (this.session?.queue.length ?? 0) + (this.#lanes?.length ?? 0);
  }

  get queuedBytes(): number {
    return (this.session?.queue.bytes ?? 0) + (this.#lanes?.bytes ?? 0);
  }

  get inFlight(): number {
    return this.session?.window.count ?? 0;
  }

  /** Of its queue, from 0 to 1. */
  get fullness(): number {
    const { maxBytes } = this.#options.settings.queue;
    return Math.max((this.session?.queue.bytes ?? 0) / maxBytes, this.#lanes?.fullness ?? 0);
  }

  /** Ends it, with what waits there. Returns how many messages these are. */
  remove(): number {
    const { context, settings } = this.#options;
    const { session } = this;
    this.#age.forget();
    if (session === null) return 0;
    const { length } = session.queue;
    context.advanceClock();
    const inLanes = removeLanes(context, settings.name, session.clientId);
    context.core.endSession(session);
    return length + inLanes;
  }

  /** Nothing goes out any more; what waits stays. */
  close(): void {
    this.#age.end();
    this.#lanes?.close();
  }
}

export function queueLimitsOf({ name, queue }: BridgeSettings): OwnQueueLimits {
  const { maxBytes, whenFull } = queue;
  return {
    queueMessages: Number.POSITIVE_INFINITY,
    queueBytes: maxBytes,
    queuePolicy: whenFull === 'refuse' ? 'reject' : whenFull,
    text: `the queue of the bridge ${name} is full (queue.maxBytes: ${maxBytes}, queue.whenFull: ${whenFull})`,
  };
}
