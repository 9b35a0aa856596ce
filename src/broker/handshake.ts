/**
 * CONNECT to CONNACK. [MQTT5 3.1] [MQTT5 3.2]
 */
import { Account } from '../base/ledger.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import { isOwnClientId } from '../contracts/settings.ts';
import type { ClientSession, SessionWill } from '../core/client-session.ts';
import { nameBytes, sessionBytes } from '../core/footprint.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { ConnackProperties, ConnectPacket, Will } from '../protocol/packets.ts';
import { clientPublisher, willPublisher } from '../protocol/publisher.ts';
import { describeReason, isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { assertTopicName, isClosedToClients, Topic, type TopicLimits } from '../protocol/topic.ts';
import { type Traits, traitsOf } from '../protocol/traits.ts';
import { authenticate } from './authentication.ts';
import { bridgeClientOf } from './bridge-client.ts';
import type { Connection } from './connection.ts';
import { type Authenticating, authenticating, type Open } from './connection-state.ts';
import { createMessage } from './create-message.ts';
import { whenStoreKeepsUp, withAnswer } from './late-answers.ts';
import { reclassifySession } from './subscribe.ts';
import { InboundAliases, OutboundAliases } from './topic-aliases.ts';
import { whenPassed } from './wills.ts';

/** [MQTT5 1.5.4] */
const clientIdBytesMax = 65_535;

/** A fixed header of five bytes, and the largest remaining length. [MQTT5 2.1.4] */
const largestPacket = 5 + 268_435_455;

export function handleConnect(connection: Connection, asSent: ConnectPacket): void {
  const packet = underMountPoint(connection, asSent);
  const { context } = connection;
  const { clientId, properties } = packet;
  connection.traits = traitsOf[packet.protocolVersion];
  checkVersion(connection, packet);
  const state = authenticating(identityOf(connection, packet), properties.authenticationMethod ?? null);
  connection.state = state;
  connection.packetBytesMax = properties.maximumPacketSize ?? Number.POSITIVE_INFINITY;
  connection.wantsProblemInformation = properties.requestProblemInformation ?? true;
  connection.isBridge = packet.isBridge === true;
  const { refusal } = context.drain;
  if (refusal !== null) return connection.end(refusal.reasonCode, refusal.why);
  if (packet.will !== undefined) checkWill(connection, packet.will);
  if (clientId === '') checkUnnamed(connection.traits, packet);
  const replaces = openConnection(context.core.findSession(state.identity.clientId))?.ticket ?? null;
  context.admission.checkConnect(connection.ticket, state.identity, context.core.now, replaces);

  authenticate(connection, state, packet.password ?? null, properties.authenticationData ?? null, (data) => {
    if (clientId === '') assignOwn(connection, state);
    else checkClientId(connection, state.identity);
    authorizeWill(connection, state.identity, packet.will, () => claimSession({ connection, packet, state, data }));
  });
}

/** With the whole name of its will's topic. */
function underMountPoint({ mountPoint }: Connection, packet: ConnectPacket): ConnectPacket {
  const { will } = packet;
  if (mountPoint === null || will === undefined) return packet;
  return { ...packet, will: { ...will, topic: mountPoint.wholeName(will.topic) } };
}

function checkVersion({ protocolVersions, traits }: Connection, { protocolVersion }: ConnectPacket): void {
  if (protocolVersions.includes(protocolVersion)) return;
  const what = `MQTT ${traits.label}, which this listener does not accept (protocolVersions)`;
  throw new ProtocolError(ReasonCode.UnsupportedProtocolVersion, what);
}

/** As CONNECT says it; authentication may find out more. */
function identityOf({ context, stream, listener, clientIdPrefix }: Connection, packet: ConnectPacket): ClientIdentity {
  const { clientId, username = null, protocolVersion } = packet;
  return {
    clientId: clientId === '' ? `${clientIdPrefix}${context.randomBytes(12).toString('hex')}` : clientId,
    username,
    protocolVersion,
    transport: stream.kind,
    remoteAddress: stream.remoteAddress,
    listener,
    groups: [],
    attributes: {},
    ...(stream.state === undefined ? {} : { state: stream.state }),
  };
}

function checkUnnamed({ assignsClientIds, assignsOnlyToCleanSessions }: Traits, { clean }: ConnectPacket): void {
  if (assignsClientIds && (clean || !assignsOnlyToCleanSessions)) return;
  const what = 'An empty client identifier; give one, or ask for a clean session';
  throw new ProtocolError(ReasonCode.ClientIdentifierNotValid, what);
}

function checkWill(connection: Connection, will: Will): void {
  const { settings } = connection.context;
  assertTopicName(will.topic, settings.limits);
  if (will.qos > connection.maximumQoS) {
    throw new ProtocolError(ReasonCode.QoSNotSupported, `A will of QoS ${will.qos}, beyond the maximum of this broker`);
  }
  if (will.retain && !settings.retainAvailable) {
    throw new ProtocolError(ReasonCode.RetainNotSupported, 'A retained will, though this broker retains nothing');
  }
  if (isClosedToClients(will.topic, settings.allowedDollarPrefixes)) {
    const what = 'A will to a topic that begins with $, which clients may not publish to (allowedDollarPrefixes)';
    throw new ProtocolError(ReasonCode.NotAuthorized, what);
  }
}

function sessionWill(will: Will, clientId: string, now: number, limits: TopicLimits): SessionWill {
  const message = createMessage(will.topic, { ...will, ...will.properties }, now, limits);
  message.publisher = willPublisher(clientId);
  return { message, delaySeconds: will.properties.willDelayInterval ?? 0 };
}

/** Refuses at CONNECT. Rules and hook are asked again when the will is due. */
function authorizeWill(
  connection: Connection,
  identity: ClientIdentity,
  will: Will | undefined,
  allowed: () => void,
): void {
  if (will === undefined) return allowed();
  const { hooks, access } = connection.context;
  const { qos, retain } = will;
  const topic = Topic.of(will.topic);
  const code = access?.rightsOf(identity).will(topic, qos, retain) ?? ReasonCode.Success;
  if (isFailure(code)) return refuseWill(connection, will, code, 'rules');
  if (hooks.authorizePublish === undefined) return allowed();
  const ask = () => hooks.authorizePublish!(identity, topic, qos, retain);
  withAnswer<number>(connection, 'authorizePublish', ask, ReasonCode.NotAuthorized, (answer) => {
    if (isFailure(answer)) refuseWill(connection, will, answer, 'hook');
    else allowed();
  });
}

function refuseWill(connection: Connection, will: Will, code: number, by: 'rules' | 'hook'): never {
  connection.context.journal.willNotAllowed(connection, will, code, by);
  const why = by === 'rules' ? 'the rules do not allow' : 'it may not publish to';
  // Before 5.0 only one code says so. [MQTT3 3.2.2-4]
  const reasonCode = connection.traits.hasProperties ? (code as ReasonCode) : ReasonCode.NotAuthorized;
  throw new ProtocolError(reasonCode, `A will to ${will.topic}, which ${why}`);
}

/** Null as well if the client lives within the process. */
function openConnection(session: ClientSession | undefined): Connection | null {
  const channel = session?.channel ?? null;
  return channel !== null && 'ticket' in channel ? (channel as Connection) : null;
}

/** With `clientIds: own`, nobody can take an identifier before the user comes whose it is. */
function checkClientId({ context: { settings } }: Connection, { clientId, username }: ClientIdentity): void {
  if (settings.clientIds === 'any' || isOwnClientId(clientId, username)) return;
  const what =
    username === null
      ? 'A client without a user name leaves its identifier to the broker, or begins it with a colon (clientIds: own)'
      : 'The client identifier must be the user name, or begin with it and a colon (clientIds: own)';
  throw new ProtocolError(ReasonCode.ClientIdentifierNotValid, what);
}

/**
 * With `clientIds: own`, a client can come back by the identifier that it was given: now that its user name is known,
 * and no secret any more, that is one of its own.
 */
function assignOwn(connection: Connection, state: Authenticating): void {
  const { clientId, username } = state.identity;
  const own = `${username ?? ''}:${clientId}`;
  if (connection.context.settings.clientIds === 'any' || !isOwnClientId(own, username)) return;
  if (Buffer.byteLength(own) <= clientIdBytesMax) state.identity = { ...state.identity, clientId: own };
}

/** Who knows another client's identifier must not get its queue, nor end its connection. */
function checkOwner(existing: ClientSession | undefined, { username }: ClientIdentity): void {
  const owner = existing?.identity?.username ?? null;
  if (owner === null || owner === username) return;
  throw new ProtocolError(ReasonCode.NotAuthorized, 'The client identifier belongs to another user');
}

/** A user does not inherit what somebody without a name may have put into a session under this identifier. */
function isNameless(existing: ClientSession | undefined, { username }: ClientIdentity): boolean {
  const owner = existing?.identity ?? null;
  return username !== null && owner !== null && owner.username === null;
}

/**
 * Whether a session has what its client could not name here: one that came through another listener, or before there
 * was this mount point.
 */
function isOfAnotherPlace({ mountPoint, listener }: Connection, existing: ClientSession | undefined): boolean {
  if (mountPoint === null || existing === undefined) return false;
  if (existing.subscriptions.size === 0) return existing.identity?.listener !== listener;
  for (const topicFilter of existing.subscriptions.keys()) if (!mountPoint.hasFilter(topicFilter)) return true;
  return false;
}

/** A client that may come in. */
interface Newcomer {
  readonly connection: Connection;
  readonly packet: ConnectPacket;
  readonly state: Authenticating;
  /** For the CONNACK, from the last step of enhanced authentication. */
  readonly data: Buffer | null;
}

/** Another node may have the client's session. */
function claimSession(newcomer: Newcomer): void {
  const { connection, state } = newcomer;
  const { cluster } = connection.context;
  if (cluster === null) return admit(newcomer);
  const ask = () => cluster.claim(state.identity.clientId);
  withAnswer<number>(connection, 'claim', ask, ReasonCode.ServerUnavailable, (code) => {
    if (isFailure(code)) refuseMoved(code);
    admit(newcomer);
  });
}

function refuseMoved(code: number): never {
  throw new ProtocolError(code as ReasonCode, 'The session cannot be moved to this node now');
}

/** Begins or resumes the client's session once nothing is in the way, and answers once that would survive a crash. */
function admit(newcomer: Newcomer): void {
  const { connection, packet, state } = newcomer;
  const { core, storeHealth, hooks, cluster } = connection.context;
  // Another node may have taken it while the client waited.
  if (cluster !== null && !cluster.holds(state.identity.clientId)) refuseMoved(ReasonCode.ServerUnavailable);
  const existing = core.sessionOf(state.identity.clientId);
  const isStored = sessionExpiry(newcomer).granted > 0 || packet.will !== undefined || existing?.isStored === true;
  if (isStored && storeHealth.isStrained) {
    state.awaitsStore = true;
    return whenStoreKeepsUp(connection, () => {
      state.awaitsStore = false;
      admit(newcomer);
    });
  }
  if (hooks.authenticate !== undefined) checkOwner(existing, state.identity);
  const previous = openConnection(existing);
  if (previous?.pendingPublish.isRunning) return afterPrevious(connection, previous, () => admit(newcomer));
  checkRoom(connection, state.identity, existing, packet.will);
  openSession(newcomer, existing, previous);
}

/** Stands for a number of staged changes before all that are staged. */
const everything = -1;

/** `previous`: the client's older connection, which ends with this. */
function openSession(newcomer: Newcomer, existing: ClientSession | undefined, previous: Connection | null): void {
  const { connection, packet, state } = newcomer;
  const { context, traits } = connection;
  const { core, store, settings, admission, hooks } = context;
  const { identity } = state;
  admission.welcome(connection.ticket, identity.username, core.now, previous?.ticket ?? null);
  if (existing !== undefined && previous !== null) {
    existing.disconnectReason = describeReason(ReasonCode.SessionTakenOver);
    context.journal.takenOver(connection, previous);
  }
  const { staged } = store;
  const isForeign = hooks.authenticate !== undefined && isNameless(existing, identity);
  const { session, sessionPresent, isEndUnstored } = core.connect({
    clientId: identity.clientId,
    traits,
    clean: packet.clean || isForeign || isOfAnotherPlace(connection, existing),
    expirySeconds: sessionExpiry(newcomer).granted,
    receiveMaximum: packet.properties.receiveMaximum ?? 65_535,
    packetBytesMax: packetBytesMaxOf(connection),
    will: packet.will === undefined ? null : sessionWill(packet.will, identity.clientId, core.now, settings.limits),
    channel: connection,
    identity,
  });
  const open = openState(newcomer, session);
  connection.open(open);
  connection.deadlines.connectTaken();
  // Whoever is told that the session is gone has forgotten it: it must not be there again after a crash.
  sendConnack(newcomer, open, { sessionPresent, staged: isEndUnstored ? everything : staged });
}

/** A bound that no packet exceeds makes the core ask about each message: see `Sink.obstacle`. */
function packetBytesMaxOf({ mountPoint, packetBytesMax }: Connection): number {
  return mountPoint === null ? packetBytesMax : Math.min(packetBytesMax, largestPacket);
}

function openState({ connection, packet, state }: Newcomer, session: ClientSession): Open {
  const { context, traits, packetBytesMax } = connection;
  const { settings } = context;
  const { identity, isAuthenticated, mechanism, exchange } = state;
  const { topicAliases, receiveMaximum } = settings.limits;
  const bridge = traits.hasProperties ? bridgeClientOf(context, connection, session, packet) : null;
  if (bridge === null) context.subscriberPaths.forget(session);
  const aliases = Math.min(settings.outboundTopicAliases, packet.properties.topicAliasMaximum ?? 0);
  return {
    name: 'open',
    ...{ session, identity, isAuthenticated, mechanism, exchange },
    publisher: clientPublisher(session.clientId),
    isAnswered: false,
    connectedAt: 0,
    inboundAliases: traits.hasProperties ? new InboundAliases(topicAliases) : null,
    outboundAliases: traits.hasProperties && aliases > 0 ? new OutboundAliases(aliases, packetBytesMax) : null,
    bridge,
    receiveQuota: receiveMaximum,
    receiveMaximum,
  };
}

/** How long the session outlives its connection, in seconds: as the client wants it, and as it is granted. */
function sessionExpiry({ connection, packet }: Newcomer): { wanted: number; granted: number } {
  const { sessionExpiryMaximumSeconds: maximum } = connection.context.settings;
  const inPacket = packet.properties.sessionExpiryInterval ?? 0;
  const wanted = connection.traits.hasSessionExpiry ? inPacket : packet.clean ? 0 : maximum;
  return { wanted, granted: Math.min(wanted, maximum) };
}

function checkRoom(
  { context }: Connection,
  identity: ClientIdentity,
  existing: ClientSession | undefined,
  will: Will | undefined,
): void {
  const { core, ledger, settings, counters } = context;
  const { sessions } = settings.limits;
  if (existing === undefined && core.view.sessionCount >= sessions) {
    throw new ProtocolError(ReasonCode.QuotaExceeded, `There are ${sessions} sessions already (limits.sessions)`);
  }
  const account = existing?.account ?? new Account(ledger);
  const names = nameBytes(identity.clientId) + nameBytes(identity.username);
  const bytes = sessionBytes + (will?.payload.length ?? 0) + names;
  if ((existing === undefined && ledger.isUsedUp) || !account.mayAdd(bytes)) {
    counters.limited.memoryBytes++;
    throw new ProtocolError(ReasonCode.QuotaExceeded, 'There is no memory for this session (limits.memoryBytes)');
  }
  if (will !== undefined && core.view.pendingWillCount >= sessions) {
    const what = `${sessions} wills of clients that have gone wait, or are in a pipeline (limits.sessions)`;
    throw new ProtocolError(ReasonCode.QuotaExceeded, what);
  }
}

/** What the client's older connection has published reaches everybody first. */
function afterPrevious(connection: Connection, previous: Connection, then: () => void): void {
  connection.park();
  previous.pendingPublish.whenDone(() => {
    if (connection.isClosing) return;
    connection.guard(then);
    connection.unpark();
  });
}

/**
 * Sends the CONNACK, from which on the client is there. What it sends before is answered after it. `staged`: the
 * CONNACK waits for what was staged since.
 */
function sendConnack(newcomer: Newcomer, state: Open, begun: { sessionPresent: boolean; staged: number }): void {
  const { connection } = newcomer;
  const { context } = connection;
  const { session } = state;
  const { sessionPresent } = begun;
  const keepAlive = keepAliveOf(newcomer);
  const properties = connackProperties(newcomer, state, keepAlive);
  let hasLeft = false;
  let isParked = false;
  context.commits.answer(connection, begun.staged, () => {
    hasLeft = true;
    if (connection.isClosing) return;
    if (!connection.sendOrEnd({ cmd: 'connack', sessionPresent, reasonCode: ReasonCode.Success, properties })) return;
    state.isAnswered = true;
    state.connectedAt = context.core.now;
    context.counters.connects[ReasonCode.Success]!++;
    connection.deadlines.setKeepAlive(keepAlive);
    tellConnected(connection, state, sessionPresent, keepAlive);
    if (sessionPresent) reclassifySession(connection).catch((error) => context.boundary.blame(connection, error));
    context.core.ready(session);
    if (isParked) connection.unpark();
  });
  stayBehindWill(connection, session.clientId);
  if (hasLeft) return;
  isParked = true;
  connection.park();
}

function tellConnected(connection: Connection, state: Open, sessionPresent: boolean, keepAlive: number): void {
  const { context, traits } = connection;
  const { identity, mechanism } = state;
  const { clientId: client, username, remoteAddress: from, listener } = identity;
  const user = username === null ? {} : { user: username };
  const fields = { client, ...user, from, listener, version: traits.label, sessionPresent, keepAlive };
  context.limitedLog.info('connected', fields, 'client connected');
  context.events.emit('connected', identity, { sessionPresent });
  context.journal.connected(connection, mechanism, sessionPresent);
}

/**
 * A client that is back while the will of its last connection is in a hook or pipeline, or on its way to very many:
 * what it publishes comes after that, or it would be said to be gone for good. [MQTT5 4.6.0-6]
 */
function stayBehindWill(connection: Connection, clientId: string): void {
  const will = connection.context.core.willUnderWay(clientId);
  if (will === null) return;
  connection.park();
  whenPassed(connection.context, will, () => connection.unpark());
}

/** In seconds: the client's, or the broker's where that is shorter and the client can be told. [MQTT5 3.2.2-21] */
function keepAliveOf({ connection, packet }: Newcomer): number {
  const { serverKeepAliveSeconds: maximum } = connection.context.settings;
  if (!connection.traits.hasProperties || maximum === 0) return packet.keepalive;
  return packet.keepalive === 0 ? maximum : Math.min(packet.keepalive, maximum);
}

/** What the CONNACK says to a client of 5.0: to this one, and what 5.0 lets a server say about itself. */
function connackProperties(
  newcomer: Newcomer,
  { identity, exchange, bridge }: Open,
  keepAlive: number,
): ConnackProperties {
  const { connection, packet, data } = newcomer;
  const properties: ConnackProperties = {};
  if (!connection.traits.hasProperties) return properties;
  const { wanted, granted } = sessionExpiry(newcomer);
  if (packet.clientId === '') properties.assignedClientIdentifier = identity.clientId; // [MQTT5 3.1.3-7]
  if (keepAlive !== packet.keepalive) properties.serverKeepAlive = keepAlive;
  if (granted !== wanted) properties.sessionExpiryInterval = granted;
  if (bridge !== null) properties.userProperties = bridge.properties;
  if (exchange !== null) properties.authenticationMethod = exchange.method;
  if (data !== null) properties.authenticationData = data;
  addServerLimits(connection, packet, properties);
  return properties;
}

/** Only what differs from the standard's default. [MQTT5 3.2.2.3] */
function addServerLimits(
  { context: { settings }, maximumQoS }: Connection,
  packet: ConnectPacket,
  properties: ConnackProperties,
): void {
  const { limits } = settings;
  if (limits.receiveMaximum < 65_535) properties.receiveMaximum = limits.receiveMaximum;
  if (limits.topicAliases > 0) properties.topicAliasMaximum = limits.topicAliases;
  if (limits.packetBytes < 268_435_460) properties.maximumPacketSize = limits.packetBytes;
  if (maximumQoS < 2) properties.maximumQoS = maximumQoS as 0 | 1;
  if (!settings.retainAvailable) properties.retainAvailable = false;
  if (!settings.wildcardSubscriptions) properties.wildcardSubscriptionAvailable = false;
  if (!settings.sharedSubscriptions) properties.sharedSubscriptionAvailable = false;
  if (packet.properties.requestResponseInformation === true && settings.responseInformation !== '') {
    properties.responseInformation = settings.responseInformation;
  }
}
