/**
 * One bridge: an ordinary durable session, whose client is a broker elsewhere. This keeps the link to it: connects,
 * waits after a failure, tries the next address or an older version, and gives the session its channel.
 */
import { Timer } from '../base/timer-wheel.ts';
import { Marker } from '../broker/bridge-marks.ts';
import type { BrokerContext } from '../broker/broker-context.ts';
import { UnstoredAcks } from '../broker/unstored-acks.ts';
import type { PacketDecoder } from '../codec/framer.ts';
import { findLoop } from '../contracts/bridge-loops.ts';
import { type BridgeSettings, parseAddress } from '../contracts/bridge-settings.ts';
import type { BridgeView } from '../contracts/commands/bridges.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { QuarantineStore } from '../contracts/pipeline.ts';
import type { Accept, PeerAddress } from '../contracts/transport.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { ConnackPacket, ServerPacket } from '../protocol/packets.ts';
import { programPublisher } from '../protocol/publisher.ts';
import { describeReason, ReasonCode } from '../protocol/reason-codes.ts';
import { traitsOf } from '../protocol/traits.ts';
import { Backoff } from './backoff.ts';
import { BridgeSession, sessionNameOf } from './bridge-session.ts';
import { type Credentials, credentialsOf } from './credentials.ts';
import { Demand } from './demand.ts';
import { FirstAddress } from './first-address.ts';
import { FromPeer } from './from-peer.ts';
import { connectPacket, type Manner, mannersOf, refusesVersion } from './greeting.ts';
import { KeptForOperator } from './kept-for-operator.ts';
import { Laziness } from './laziness.ts';
import { Link } from './link.ts';
import { LocalNotifications, remoteNotice, remoteWill } from './notifications.ts';
import { forgetPeerDemand, PeerDemand } from './peer-demand.ts';
import { forgetPeerFilters, PeerFilters } from './peer-filters.ts';
import { peerLimits } from './peer-limits.ts';
import { Series, type SluicePeer } from './series.ts';
import { PeerSubscriptions } from './subscriptions.ts';
import { TopicMap } from './topic-map.ts';

/** Connects, and calls one of the two, once; returns how to give up. See `net/connect.ts`. */
export type Dial = (
  to: { readonly address: PeerAddress; readonly tls: BridgeSettings['tls']; readonly timeoutMs: number },
  accept: Accept,
  failed: (error: Error) => void,
) => () => void;

/** What all bridges of a broker have in common. */
export interface BridgeWorld {
  readonly context: BrokerContext;
  readonly dial: Dial;
  readonly quarantine: QuarantineStore;
  readonly decoder: PacketDecoder<ServerPacket>;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export type BridgeState = BridgeView['state'];

type BridgeCounts = Pick<BridgeView, 'messagesOut' | 'bytesOut' | 'messagesIn' | 'bytesIn' | 'skipped'>;

/** A link that has lasted so long counts as one that works: the next attempt comes soon. */
const stableMs = 10_000;

export class Bridge {
  readonly #world: BridgeWorld;
  settings: BridgeSettings;
  #state: BridgeState = 'stopped';
  #out: TopicMap;
  #in: TopicMap;
  #manners: readonly Manner[];
  #manner = 0;
  #backoff: Backoff;
  /** Of `addresses`: the one that is tried, or was last. */
  #address = 0;
  /** Addresses that have failed in a row. */
  #failures = 0;
  #link: Link | null = null;
  /** What is to be subscribed to at the peer. */
  #demand: Demand | null = null;
  /** What goes out of the entries of which that is what the peer wants. */
  readonly #peerDemand: PeerDemand;
  #peerFilters: PeerFilters | null = null;
  #subscriptions: PeerSubscriptions | null = null;
  /** Ends an attempt that has no link yet. */
  #giveUp: (() => void) | null = null;
  /** For the next attempt, or the end of the one under way. */
  readonly #timer: Timer;
  /** Why it is not connected. */
  #problem: string | null = null;
  #whenClosed: (() => void) | null = null;
  readonly #series: Series;
  readonly #own: BridgeSession;
  readonly #kept: KeptForOperator;
  readonly #notifications: LocalNotifications;
  readonly #laziness: Laziness;
  readonly #first: FirstAddress;
  /** The link is given up for the first address. */
  #goesBack = false;
  #fromPeer: FromPeer | null = null;
  /** Null: it is no Sluice. */
  #peer: SluicePeer | null = null;
  /** Since when it is in its state. */
  #since: number;
  #connects = 0;
  /** What links have counted that are gone. */
  #before: BridgeCounts = { messagesOut: 0, bytesOut: 0, messagesIn: 0, bytesIn: 0, skipped: 0 };

  constructor(world: BridgeWorld, settings: BridgeSettings) {
    this.#world = world;
    this.settings = settings;
    this.#out = new TopicMap(settings.topics, 'out');
    this.#in = new TopicMap(settings.topics, 'in');
    this.#peerDemand = new PeerDemand({ notes: world.context.notes, name: settings.name, topics: this.#out });
    this.#kept = new KeptForOperator(world.context, world.quarantine, settings.name);
    this.#own = new BridgeSession({
      ...{ context: world.context, settings, topics: this.#out, demand: this.#peerDemand },
      identity: () => this.#identity(this.#address),
      unsendable: (message, why) => this.#kept.keep(message, 'out', why),
      link: () => (this.#state === 'connected' ? this.#link : null),
    });
    this.#manners = mannersOf(settings.version);
    this.#backoff = this.#newBackoff();
    this.#timer = new Timer(() => this.#onTimer());
    this.#since = world.context.core.now;
    this.#series = new Series(world.context, settings.name, () => this.session);
    this.#notifications = new LocalNotifications(world.context, settings);
    this.#laziness = new Laziness(world.context, settings.lazy, {
      waiting: () => this.#waiting,
      moved: () => this.view().messagesOut + this.view().messagesIn,
      wake: () => this.resume(),
      rest: () => this.#link?.end(`no message for ${settings.lazy.idleSeconds} s`),
    });
    const returnsEvery = settings.roundRobin ? 0 : settings.returnSeconds;
    this.#first = new FirstAddress(
      world.context,
      returnsEvery,
      (answers, failed) => this.#askFirst(answers, failed),
      () => {
        this.#goesBack = true;
        this.#link?.end('the first address takes connections again');
      },
    );
  }

  get name(): string {
    return this.settings.name;
  }

  /** As the peer knows it. */
  get clientId(): string {
    return this.settings.clientId ?? `${this.#series.brokerId}.${this.name}`;
  }

  get state(): BridgeState {
    return this.#state;
  }

  /** Why it is not connected; null: it is, or nothing has gone wrong. */
  get problem(): string | null {
    return this.#problem;
  }

  /** What it subscribes to at the peer has been granted or refused, so what is published there from now on comes. */
  get isSubscribed(): boolean {
    if (this.#state !== 'connected' || !this.#peerDemand.isKnown) return false;
    return this.#demand?.isKnown === true && this.#subscriptions?.areAnswered === true;
  }

  get session(): ClientSession | null {
    return this.#own.session;
  }

  #newBackoff(): Backoff {
    const { minimumMs, maximumMs } = this.settings.reconnect;
    const random = () => this.#world.context.randomBytes(4).readUInt32BE() / 2 ** 32;
    return new Backoff({ minimumMs, maximumMs, random });
  }

  // The session

  /** Its session is there from now on, whether the peer is or not. */
  begin(isPaused: boolean): void {
    this.#become('stopped');
    this.#notifications.begin();
    this.#own.begin();
    const own = sessionNameOf(this.name);
    this.#demand = new Demand({
      ...{ context: this.#world.context, topics: this.#in, brokerId: this.#series.brokerId },
      isOwn: ({ clientId }) => clientId === own || clientId.startsWith(`${own}/`),
      onChange: () => this.#subscribeAnew(),
    });
    this.#tell();
    const { start } = this.settings;
    if (isPaused || start === 'manual') return;
    if (start === 'lazy') this.#rest();
    else this.resume();
  }

  /** Another node goes on with its session, or may: this one has nothing to say until it begins again. */
  standBy(why: string | null): void {
    this.#stop();
    this.#own.close();
    this.#demand?.close();
    this.#demand = null;
    if (why !== null) this.#link?.end(why);
    this.#problem = null;
    this.#become('standby');
  }

  /** Its session ends, with what waits there. Returns how many messages these are. */
  remove(): number {
    this.#notifications.forget();
    this.#series.forget();
    forgetPeerFilters(this.#world.context.notes, this.name);
    forgetPeerDemand(this.#world.context.notes, this.name);
    return this.#own.remove();
  }

  /** Of its queue, from 0 to 1. */
  get fullness(): number {
    return this.#own.fullness;
  }

  get refusedFilters(): readonly string[] {
    return [...(this.#subscriptions?.refused ?? [])].map(([filter, why]) => `${filter}: ${why}`);
  }

  view(): Omit<BridgeView, 'isConfigured'> {
    const { queued, queuedBytes, inFlight } = this.#own;
    return {
      name: this.name,
      state: this.#state,
      problem: this.#problem,
      address: this.settings.addresses[this.#address]!,
      version: this.#state === 'connected' ? versionOf(this.#link!.traits.label) : null,
      isSluice: this.#state === 'connected' && this.#peer !== null && this.#peer.seen !== null,
      since: this.#since,
      connects: this.#connects,
      ...{ queued, queuedBytes, inFlight },
      ...this.#counts(),
      quarantined: this.#kept.count,
    };
  }

  /** Of all links there were, and of the one there is. */
  #counts(): BridgeCounts {
    const { messagesOut, bytesOut, messagesIn, bytesIn, skipped } = this.#before;
    const [out, into] = [this.#link?.outbound, this.#link === null ? null : this.#fromPeer];
    return {
      messagesOut: messagesOut + (out?.messages ?? 0),
      bytesOut: bytesOut + (out?.bytes ?? 0),
      messagesIn: messagesIn + (into?.messages ?? 0),
      bytesIn: bytesIn + (into?.bytes ?? 0),
      skipped: skipped + (out?.skipped ?? 0) + (into?.skipped ?? 0),
    };
  }

  /** What the peer says of subscriptions there; false: it was not asked. */
  #hear(payload: Buffer): boolean {
    const demand = this.#peerDemand;
    if (!demand.isAsked) return false;
    demand.hear(payload);
    this.#followPeer();
    return true;
  }

  #followPeer(): void {
    if (!this.#peerDemand.isKnown) return;
    this.#own.subscribeAnew();
    this.#link?.sendOn();
    this.#own.look();
  }

  // Attempts

  /** Connects, unless it does so already. */
  resume(): void {
    if (this.#state !== 'stopped' && this.#state !== 'idle') return;
    this.#laziness.stop();
    this.#failures = 0;
    this.#attempt();
  }

  /** Ends the link and makes no other. What is published goes on to wait for the peer. */
  pause(why = 'paused'): void {
    this.#stop();
    this.#link?.end(why);
    this.#problem = null;
    this.#tell();
  }

  #tell(): void {
    this.#notifications.tell(this.view());
  }

  /** Loses the link, as if the network had: it connects again. */
  async cut(): Promise<void> {
    this.#link?.cut('cut');
  }

  #become(state: BridgeState): void {
    this.#state = state;
    this.#since = this.#world.context.core.now;
  }

  #stop(): void {
    this.#become('stopped');
    this.#laziness.stop();
    this.#first.stop();
    this.#world.context.timers.cancel(this.#timer);
    this.#giveUp?.();
    this.#giveUp = null;
  }

  #setTimer(ms: number): void {
    const { timers, core } = this.#world.context;
    timers.set(this.#timer, core.now + ms);
  }

  #onTimer(): void {
    if (this.#state === 'waiting') this.#attempt();
    else if (this.#state === 'connecting') this.#late();
  }

  #late(): void {
    const why = `no CONNACK within ${this.settings.connectTimeoutSeconds} s`;
    if (this.#link !== null) return this.#link.cut(why);
    this.#giveUp?.();
    this.#failed(why);
  }

  #attempt(): void {
    const { settings } = this;
    this.#become('connecting');
    const timeoutMs = settings.connectTimeoutSeconds * 1_000;
    this.#setTimer(timeoutMs);
    const address = parseAddress(settings.addresses[this.#address]!)!;
    const manner = this.#manners[this.#manner]!;
    // It knows neither No Local nor bridges: what goes out may come back.
    const loop = manner.version === 5 || manner.isBridge ? null : findLoop([settings], () => true);
    if (loop !== null) {
      const what = `what is published to ${loop.topic} would go round for ever`;
      return this.#failed(`the peer knows neither MQTT 5.0 nor bridges, and ${what}: give the topics other prefixes`);
    }
    let isOver = false;
    let abandon: (() => void) | null = null;
    this.#giveUp = () => {
      isOver = true;
      abandon?.();
    };
    const failed = (error: Error) => {
      if (isOver) return;
      isOver = true;
      this.#world.context.advanceClock();
      this.#failed(error.message);
    };
    credentialsOf(settings, this.#world.environment).then((credentials) => {
      if (isOver) return;
      const accept: Accept = (stream) => {
        this.#giveUp = null;
        this.#world.context.advanceClock();
        return this.#greet(new Link(this.#linkOptions(), stream, (link) => this.#packetsOf(link)), credentials);
      };
      abandon = this.#world.dial({ address, tls: settings.tls, timeoutMs }, accept, failed);
    }, failed);
  }

  #greet(link: Link, credentials: Credentials): Link {
    this.#link = link;
    const { clientId } = this;
    const { limits } = this.#world.context.settings;
    const userProperties = this.#series.greeting(this.settings.maxInflight);
    const who = { ...credentials, clientId, userProperties, will: remoteWill(this.settings, clientId) };
    link.guard(() => link.send(connectPacket(this.settings, this.#manners[this.#manner]!, who, limits)));
    return link;
  }

  /** As hooks and pipelines see it. */
  #identity(at: number): ClientIdentity {
    const url = this.settings.addresses[at]!;
    const { kind, host, port } = parseAddress(url)!;
    return {
      clientId: `bridge ${this.name}`,
      username: null,
      protocolVersion: this.#manners[this.#manner]!.version,
      transport: kind,
      remoteAddress: `${host}:${port}`,
      listener: url,
      groups: [],
      attributes: {},
    };
  }

  #linkOptions(): ConstructorParameters<typeof Link>[0] {
    const { context, decoder } = this.#world;
    const { version } = this.#manners[this.#manner]!;
    return {
      ...{ context, decoder, identity: this.#identity(this.#address) },
      isHeld: () => this.#own.isHeld,
      onRoom: () => this.#own.look(),
      name: this.name,
      traits: traitsOf[version],
      out: this.#out,
      demand: this.#peerDemand,
      rate: this.settings.rate,
      farewell: remoteNotice(this.settings, this.clientId, false),
      unsendable: (message, why) => this.#kept.keep(message, 'out', why),
      onEnd: (link, why) => this.#ended(link, why),
    };
  }

  #packetsOf(link: Link): FromPeer {
    return (this.#fromPeer = new FromPeer(link, {
      topics: this.#in,
      publisher: programPublisher,
      brokerId: this.#series.brokerId,
      hearsDemand: (payload) => this.#hear(payload),
      topicAliasMaximum: this.#world.context.settings.limits.topicAliases,
      inFlightMaximum: this.settings.maxInflight,
      onPacket: (packet) => this.#onPacket(link, packet),
      refused: (message, why, isKept) => {
        if (isKept) this.#kept.keep(message, 'in', why);
      },
      refusedByPeer: (message, code) => this.#kept.keep(message, 'out', `the peer refuses it: ${describeReason(code)}`),
    }));
  }

  // Packets that are seldom

  #onPacket(link: Link, packet: ServerPacket): void {
    if (link !== this.#link) return;
    switch (packet.cmd) {
      case 'connack':
        if (link.session !== null) return link.end('a second CONNACK', ReasonCode.ProtocolError);
        return this.#greeted(link, packet);
      case 'suback':
        return this.#subscriptions?.answered(packet);
      case 'unsuback':
        return this.#subscriptions?.left(packet);
      case 'disconnect':
        return link.cut(
          `the peer ends the connection: ${describeReason(packet.reasonCode)}${inWords(packet.properties.reasonString)}`,
        );
      case 'auth':
        return link.end(
          'the peer wants an authentication method that a bridge does not have',
          ReasonCode.ProtocolError,
        );
    }
  }

  #greeted(link: Link, packet: ConnackPacket): void {
    const { reasonCode, properties } = packet;
    if (reasonCode !== 0) {
      if (refusesVersion(reasonCode) && this.#manner < this.#manners.length - 1) this.#manner++;
      return link.cut(`the peer refuses the bridge: ${describeReason(reasonCode)}${inWords(properties.reasonString)}`);
    }
    const peer = this.#series.peerOf(packet, this.settings.maxInflight);
    if (peer?.isAhead === true)
      return link.cut('the peer knows messages that are yet to be sent: this broker was put back');
    const { context } = this.#world;
    const { core, store, commits, notes } = context;
    const limits = peerLimits(packet, link.traits, this.settings);
    const { staged } = store;
    const receiveMaximum = Math.min(limits.receiveMaximum, this.settings.maxInflight);
    const session = this.#own.connect(link.traits, receiveMaximum, link);
    // A Sluice says by its series which session it has; another one's CONNACK may have got lost.
    const seen = peer?.seen ?? null;
    if (!packet.sessionPresent || seen?.isNew === true) core.forgetReceived(session);
    if (this.#fromPeer !== null && seen !== null) {
      this.#fromPeer.seen = seen;
      this.#fromPeer.unstoredAcks = new UnstoredAcks({ notes, commits, channel: link });
    }
    this.#peer = peer;
    const marker = link.traits.hasProperties ? new Marker(this.#series.brokerId, seen !== null) : null;
    link.attached(session, limits, marker === null ? null : { marker, peerId: peer?.brokerId ?? null });
    link.park();
    commits.whenStored(
      link,
      () => {
        if (link.session === session) this.#open(link, session, packet);
        link.unpark();
      },
      staged,
    );
  }

  #open(link: Link, session: ClientSession, { sessionPresent }: ConnackPacket): void {
    const { context } = this.#world;
    context.timers.cancel(this.#timer);
    this.#become('connected');
    this.#connects++;
    this.#problem = null;
    this.#failures = 0;
    const { label } = link.traits;
    const fields = { bridge: this.name, peer: link.identity.listener, version: label, sessionPresent };
    context.limitedLog.info('bridge', fields, 'bridge connected');
    this.#first.connected(this.#address === 0 || this.settings.roundRobin);
    if (this.settings.start === 'lazy') this.#laziness.connected();
    this.#tell();
    const notice = remoteNotice(this.settings, this.clientId, true);
    if (notice !== null) link.tell(notice);
    this.#subscribeThere(link, sessionPresent);
    if (this.#own.isHeld) session.isCongested = true;
    context.core.ready(session);
    this.#own.look();
  }

  #subscribeThere(link: Link, sessionPresent: boolean): void {
    const { context } = this.#world;
    const { log } = context;
    const hasPaths = this.#peer?.tellsDemand === true;
    const knowsRetainHandling = link.traits.hasProperties;
    this.#peerFilters = new PeerFilters({
      ...{ notes: context.notes, name: this.name, sessionPresent, hasPaths, knowsRetainHandling },
    });
    const filters = this.#peerFilters;
    this.#subscriptions = new PeerSubscriptions({
      ...{ link, log, name: this.name },
      onAnswered: () => filters.answered(),
      onRefused: (filter) => this.#refusedThere(filter),
      onGone: (gone) => filters.gone(gone),
      whenStored: (run) => context.commits.whenStored(link, () => this.#link === link && run()),
    });
    this.#askThere(link, this.#subscriptions, hasPaths);
    this.#subscribeAnew();
  }

  /** What is subscribed to there. */
  #askThere(link: Link, subscriptions: PeerSubscriptions, canTell: boolean): void {
    if (!canTell) {
      this.#peerDemand.takeAll();
      return this.#followPeer();
    }
    const asks = this.#peerDemand.ask();
    link.guard(() => subscriptions.subscribe(asks, false));
  }

  #refusedThere(filter: string): void {
    this.#peerDemand.refused(filter);
    if (this.#peerDemand.isAsked) this.#followPeer();
  }

  /** To what is wanted now, and is not subscribed to. */
  #subscribeAnew(): void {
    const [link, filters, subscriptions, demand] = [this.#link, this.#peerFilters, this.#subscriptions, this.#demand];
    if (link?.session == null || filters === null || subscriptions === null || demand?.isKnown !== true) return;
    link.guard(() => {
      const hasPaths = this.#peer?.tellsDemand === true;
      const { gone, missing } = filters.want(demand.wanted(this.#peer?.brokerId ?? null), demand.isFixed);
      subscriptions.change(gone, missing, hasPaths);
    });
  }

  // The end of a link

  #ended(link: Link, why: string): void {
    if (link !== this.#link) return;
    this.#before = this.#counts();
    this.#link = null;
    this.#subscriptions = this.#peerFilters = null;
    const wasConnected = this.#state === 'connected';
    if (this.#whenClosed !== null) return this.#whenClosed();
    this.#peerDemand.forget();
    this.#own.subscribeAnew();
    if (this.#state === 'stopped') return;
    if (!wasConnected) return this.#failed(why);
    const { core } = this.#world.context;
    if (core.now - link.startedAt >= stableMs) this.#backoff.reset();
    this.#first.stop();
    this.#laziness.stop();
    this.#address = this.settings.roundRobin ? this.#nextAddress : 0;
    if (this.#goesBack) return this.#goBack();
    if (this.settings.start === 'once') return this.#stopFor(why);
    if (this.settings.start === 'lazy' && this.#waiting === 0) return this.#rest(why);
    this.#wait(why, this.#backoff.next());
  }

  /** Messages for the peer, those in flight included. */
  get #waiting(): number {
    return this.#own.queued + this.#own.inFlight;
  }

  /** It connects once there is something to send. */
  #rest(why: string | null = null): void {
    this.#become('idle');
    this.#problem = why;
    this.#laziness.resting();
    this.#tell();
  }

  /** `start: once`: there is no other attempt. */
  #stopFor(why: string): void {
    this.#stop();
    this.#problem = why;
    this.#world.context.limitedLog.warn(
      'bridge',
      { bridge: this.name, why },
      'bridge not connected, and not tried again',
    );
    this.#tell();
  }

  /** The first address takes connections again: the link to another one is given up. */
  #goBack(): void {
    this.#goesBack = false;
    this.#failures = 0;
    this.#attempt();
  }

  #askFirst(answers: () => void, failed: () => void): () => void {
    const { settings } = this;
    const address = parseAddress(settings.addresses[0]!)!;
    const timeoutMs = settings.connectTimeoutSeconds * 1_000;
    const accept: Accept = () => {
      this.#world.context.advanceClock();
      answers();
      return null;
    };
    return this.#world.dial({ address, tls: settings.tls, timeoutMs }, accept, () => {
      this.#world.context.advanceClock();
      failed();
    });
  }

  get #nextAddress(): number {
    return (this.#address + 1) % this.settings.addresses.length;
  }

  /** The attempt has come to nothing: the next address is tried, and after the last one there is a pause. */
  #failed(why: string): void {
    this.#giveUp = null;
    this.#failures++;
    this.#address = this.#nextAddress;
    const hasTriedAll = this.#failures % this.settings.addresses.length === 0;
    if (hasTriedAll && this.settings.start === 'once') return this.#stopFor(why);
    this.#wait(why, hasTriedAll ? this.#backoff.next() : 0);
  }

  #wait(why: string, ms: number): void {
    this.#become('waiting');
    this.#problem = why;
    const fields = { bridge: this.name, seconds: Math.round(ms / 100) / 10, why };
    this.#world.context.limitedLog.warn('bridge', fields, 'bridge not connected');
    this.#tell();
    this.#setTimer(ms);
  }

  /** Says goodbye to the peer. Resolves once what it was sent before is written. */
  async close(): Promise<void> {
    this.#stop();
    this.#own.close();
    this.#demand?.close();
    if (this.#link === null) return;
    const closed = new Promise<void>((resolve) => (this.#whenClosed = resolve));
    this.#link.end('the broker stops', ReasonCode.NormalDisconnection);
    await closed;
  }

  abandon(): void {
    this.#stop();
    this.#own.close();
    this.#demand?.close();
    this.#link?.cut('the broker has ended');
  }
}

const versionOf = (label: string) => (label === '5.0' ? '5.0' : '3.1.1');

const inWords = (reason: string | undefined) => (reason === undefined ? '' : ` (${reason})`);
