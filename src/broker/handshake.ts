/**
 * CONNECT to CONNACK. [MQTT5 3.1] [MQTT5 3.2]
 */
import { Account } from '../base/ledger.ts';
import { Timer } from '../base/timer-wheel.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import { isOwnClientId } from '../contracts/settings.ts';
import { nameBytes, sessionBytes } from '../core/footprint.ts';
import { connect, ready, sessionOf } from '../core/lifecycle.ts';
import type { Session, SessionWill } from '../core/session.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { ConnackProperties, ConnectPacket, Will } from '../protocol/packets.ts';
import { connackCode, isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import { assertTopicName, isClosedToClients, Topic, type TopicLimits } from '../protocol/topic.ts';
import { type ProtocolVersion, traitsOf } from '../protocol/traits.ts';
import { send, sendOrEnd } from './answers.ts';
import { reportConnected, reportTakeover, reportWillRefused } from './audit-events.ts';
import { authenticate } from './authentication.ts';
import type { Connection } from './connection.ts';
import { createMessage } from './create-message.ts';
import { whenStoreKeepsUp, withAnswer } from './late-answers.ts';
import { reclassifySession } from './subscribe.ts';
import { InboundAliases, OutboundAliases } from './topic-aliases.ts';

/** So long a client waits for the will of its last connection. */
const willPatienceMs = 5_000;

/** [MQTT5 1.5.4] */
const clientIdBytesMax = 65_535;

/** Return codes of 3.1 and 3.1.1 for the reason codes that have one. [MQTT3 3.2.2.3] */
const returnCodes = new Map<number, number>([
  [ReasonCode.UnsupportedProtocolVersion, 1],
  [ReasonCode.ClientIdentifierNotValid, 2],
  [ReasonCode.ServerUnavailable, 3],
  [ReasonCode.ServerBusy, 3],
  [ReasonCode.ServerShuttingDown, 3],
  [ReasonCode.QuotaExceeded, 3],
  [ReasonCode.ConnectionRateExceeded, 3],
  [ReasonCode.BadUserNameOrPassword, 4],
  [ReasonCode.BadAuthenticationMethod, 5],
  [ReasonCode.NotAuthorized, 5],
  [ReasonCode.Banned, 5],
]);

/** Sends the CONNACK that refuses, if the version of the client has one for the reason. The caller closes. */
export function refuse(connection: Connection, version: ProtocolVersion | 0, reasonCode: number, why: string): void {
  if (version === 0) return;
  const traits = traitsOf[version];
  connection.traits = traits;
  if (traits.hasProperties) {
    const code = connackCode(reasonCode);
    send(connection, { cmd: 'connack', sessionPresent: false, reasonCode: code, properties: { reasonString: why } });
    return;
  }
  const returnCode = returnCodes.get(reasonCode);
  if (returnCode === undefined) return;
  send(connection, { cmd: 'connack', sessionPresent: false, reasonCode: returnCode, properties: {} });
}

export function handleConnect(connection: Connection, packet: ConnectPacket): void {
  const { context } = connection;
  const { settings, randomBytes } = context;
  const traits = traitsOf[packet.protocolVersion];
  connection.traits = traits;
  connection.state = 'authenticating';
  connection.packetBytesMax = packet.properties.maximumPacketSize ?? Number.POSITIVE_INFINITY;
  connection.wantsProblemInformation = packet.properties.requestProblemInformation ?? true;
  if (packet.will !== undefined) checkWill(connection, packet.will);

  const isUnnamed = packet.clientId === '';
  if (isUnnamed && (!traits.assignsClientIds || (traits.assignsOnlyToCleanSessions && !packet.clean))) {
    const what = 'An empty client identifier; give one, or ask for a clean session';
    throw new ProtocolError(ReasonCode.ClientIdentifierNotValid, what);
  }
  const clientId = isUnnamed ? `sluice-${randomBytes(12).toString('hex')}` : packet.clientId;
  connection.identity = {
    clientId,
    username: packet.username ?? null,
    protocolVersion: packet.protocolVersion,
    transport: connection.stream.kind,
    remoteAddress: connection.stream.remoteAddress,
    listener: connection.listener,
    groups: [],
    attributes: {},
  };
  const replaces = openConnection(context.core.directory.get(clientId))?.ticket ?? null;
  context.admission.checkConnect(connection.ticket, connection.identity, context.core.now, replaces);

  const serverKeepAlive = settings.serverKeepAliveSeconds;
  const isCapped = traits.hasProperties && serverKeepAlive > 0;
  const keepAlive = isCapped && (packet.keepalive === 0 || packet.keepalive > serverKeepAlive) ? serverKeepAlive : null;
  connection.authenticationMethod = packet.properties.authenticationMethod ?? null;
  authenticate(connection, packet.password ?? null, packet.properties.authenticationData ?? null, (data) => {
    const properties: ConnackProperties = {};
    if (isUnnamed) assignOwn(connection);
    if (isUnnamed && traits.hasProperties) properties.assignedClientIdentifier = connection.identity!.clientId; // [MQTT5 3.1.3-7]
    if (keepAlive !== null) properties.serverKeepAlive = keepAlive;
    if (connection.authenticationMethod !== null) properties.authenticationMethod = connection.authenticationMethod;
    if (data !== null) properties.authenticationData = data;
    if (!isUnnamed) checkClientId(connection);
    authorizeWill(connection, packet.will, () => {
      accept(connection, packet, properties, keepAlive ?? packet.keepalive);
    });
  });
}

function checkWill(connection: Connection, will: Will): void {
  const { settings } = connection.context;
  assertTopicName(will.topic, settings.limits);
  if (will.qos > settings.maximumQoS) {
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

function sessionWill(will: Will, now: number, limits: TopicLimits): SessionWill {
  const message = createMessage(will.topic, { ...will, ...will.properties }, now, limits);
  return { message, delaySeconds: will.properties.willDelayInterval ?? 0 };
}

/** Refused now rather than at the moment when the will would be published, when both are asked again. */
function authorizeWill(connection: Connection, will: Will | undefined, goOn: () => void): void {
  if (will === undefined) return goOn();
  const { context } = connection;
  const { hooks, core } = context;
  const identity = connection.identity!;
  const { qos, retain } = will;
  const topic = Topic.of(will.topic);
  const code = core.access?.rightsOf(identity).will(topic, qos, retain) ?? ReasonCode.Success;
  if (isFailure(code)) return refuseWill(connection, will, code, 'the rules do not allow');
  if (hooks.authorizePublish === undefined) return goOn();
  const ask = () => hooks.authorizePublish!(identity, topic, qos, retain);
  withAnswer<number>(connection, 'authorizePublish', ask, ReasonCode.NotAuthorized, (answer) => {
    if (isFailure(answer)) refuseWill(connection, will, answer, 'it may not publish to');
    else goOn();
  });
}

function refuseWill({ context, identity, traits }: Connection, will: Will, code: number, why: string): never {
  reportWillRefused(context, identity!, will, code);
  // Before 5.0 only one code says so. [MQTT3 3.2.2-4]
  const reasonCode = traits.hasProperties ? (code as ReasonCode) : ReasonCode.NotAuthorized;
  throw new ProtocolError(reasonCode, `A will to ${will.topic}, which ${why}`);
}

/** Null as well if the client lives within the process. */
function openConnection(session: Session | undefined): Connection | null {
  const channel = session?.channel ?? null;
  return channel !== null && 'ticket' in channel ? (channel as Connection) : null;
}

/** With `clientIds: own`, nobody can take an identifier before the user comes whose it is. */
function checkClientId({ context: { settings }, identity }: Connection): void {
  const { clientId, username } = identity!;
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
function assignOwn(connection: Connection): void {
  const { clientId, username } = connection.identity!;
  const own = `${username ?? ''}:${clientId}`;
  if (connection.context.settings.clientIds === 'any' || !isOwnClientId(own, username)) return;
  if (Buffer.byteLength(own) <= clientIdBytesMax) connection.identity = { ...connection.identity!, clientId: own };
}

/** Who knows another client's identifier must not get its queue, nor end its connection. */
function checkOwner(existing: Session | undefined, { username }: ClientIdentity): void {
  const owner = existing?.identity?.username ?? null;
  if (owner === null || owner === username) return;
  throw new ProtocolError(ReasonCode.NotAuthorized, 'The client identifier belongs to another user');
}

/** A user does not inherit what somebody without a name may have put into a session under this identifier. */
function isNameless(existing: Session | undefined, { username }: ClientIdentity): boolean {
  const owner = existing?.identity ?? null;
  return username !== null && owner !== null && owner.username === null;
}

/** The client may come in: begins or resumes its session, and answers once that would survive a crash. */
function accept(connection: Connection, packet: ConnectPacket, properties: ConnackProperties, keepAlive: number): void {
  const { context, traits } = connection;
  const { core, settings, storeHealth } = context;
  const { limits } = settings;
  const identity = connection.identity!;
  const wantedExpiry = wantedExpiryOf(connection, packet);
  const expirySeconds = Math.min(wantedExpiry, settings.sessionExpiryMaximumSeconds);
  const existing = sessionOf(core, identity.clientId);
  const isStored = expirySeconds > 0 || packet.will !== undefined || existing?.isStored === true;
  if (isStored && storeHealth.isStrained) {
    connection.awaitsStore = true;
    return whenStoreKeepsUp(connection, () => {
      connection.awaitsStore = false;
      accept(connection, packet, properties, keepAlive);
    });
  }
  const areOwned = context.hooks.authenticate !== undefined;
  if (areOwned) checkOwner(existing, identity);
  const previous = openConnection(existing);
  if (previous?.isPublishing) {
    return behind(connection, previous, () => accept(connection, packet, properties, keepAlive));
  }
  checkRoom(connection, existing, packet.will);
  takeOver(connection, previous);
  const { staged } = core.store;
  const { session, sessionPresent } = connect(core, {
    clientId: identity.clientId,
    traits,
    clean: packet.clean || (areOwned && isNameless(existing, identity)),
    expirySeconds,
    receiveMaximum: packet.properties.receiveMaximum ?? 65_535,
    packetBytesMax: connection.packetBytesMax,
    will: packet.will === undefined ? null : sessionWill(packet.will, core.now, limits),
    channel: connection,
    identity,
    rights: core.access?.rightsOf(identity) ?? null,
  });
  connection.session = session;
  connection.chargeTo(session.account);
  connection.receiveQuota = limits.receiveMaximum;
  connection.deadlines.connectTaken();
  if (traits.hasProperties) {
    connection.inboundAliases = new InboundAliases(limits.topicAliases);
    const aliases = Math.min(settings.outboundTopicAliases, packet.properties.topicAliasMaximum ?? 0);
    if (aliases > 0) connection.outboundAliases = new OutboundAliases(aliases, connection.packetBytesMax);
    if (expirySeconds !== wantedExpiry) properties.sessionExpiryInterval = expirySeconds;
    announce(connection, packet, properties);
  }
  welcome(connection, session, { sessionPresent, properties, keepAlive, staged });
}

function wantedExpiryOf({ traits, context }: Connection, { clean, properties }: ConnectPacket): number {
  if (traits.hasSessionExpiry) return properties.sessionExpiryInterval ?? 0;
  return clean ? 0 : context.settings.sessionExpiryMaximumSeconds;
}

function checkRoom({ context, identity }: Connection, existing: Session | undefined, will: Will | undefined): void {
  const { core, settings, counters } = context;
  const { sessions } = settings.limits;
  if (existing === undefined && core.directory.size >= sessions) {
    throw new ProtocolError(ReasonCode.QuotaExceeded, `There are ${sessions} sessions already (limits.sessions)`);
  }
  const { ledger } = core;
  const account = existing?.account ?? new Account(ledger);
  const bytes =
    sessionBytes + (will?.payload.length ?? 0) + nameBytes(identity!.clientId) + nameBytes(identity!.username);
  if ((existing === undefined && ledger.isUsedUp) || !account.mayAdd(bytes)) {
    counters.limited.memoryBytes++;
    throw new ProtocolError(ReasonCode.QuotaExceeded, 'There is no memory for this session (limits.memoryBytes)');
  }
  if (will !== undefined && core.wills.count >= sessions) {
    const what = `${sessions} wills of clients that have gone wait, or are in a pipeline (limits.sessions)`;
    throw new ProtocolError(ReasonCode.QuotaExceeded, what);
  }
}

/** `previous`: the client's older connection, which `connect` is about to end. */
function takeOver(connection: Connection, previous: Connection | null): void {
  const { admission, core } = connection.context;
  admission.welcome(connection.ticket, connection.identity!.username, core.now, previous?.ticket ?? null);
  if (previous === null) return;
  reportTakeover(connection, previous);
}

/** What the client's older connection has published reaches everybody first. */
function behind(connection: Connection, previous: Connection, goOn: () => void): void {
  connection.park();
  previous.whenPublished(() => {
    if (connection.isClosing) return;
    connection.guard(goOn);
    connection.unpark();
  });
}

interface Welcome {
  readonly sessionPresent: boolean;
  readonly properties: ConnackProperties;
  readonly keepAlive: number;
  /** The CONNACK waits for what was staged since. */
  readonly staged: number;
}

/** Sends the CONNACK, from which on the client is there. What it sends before is answered after it. */
function welcome(
  connection: Connection,
  session: Session,
  { sessionPresent, properties, keepAlive, staged }: Welcome,
): void {
  const { context, traits } = connection;
  const identity = connection.identity!;
  let hasLeft = false;
  let isParked = false;
  context.commits.answer(connection, staged, () => {
    hasLeft = true;
    if (connection.state === 'closing') return;
    if (!sendOrEnd(connection, { cmd: 'connack', sessionPresent, reasonCode: ReasonCode.Success, properties })) return;
    connection.state = 'open';
    connection.deadlines.setKeepAlive(keepAlive);
    connection.isAnnounced = true;
    context.limitedLog.info(
      'connected',
      { client: identity.clientId, from: identity.remoteAddress, version: traits.label, sessionPresent, keepAlive },
      'client connected',
    );
    context.events.emit('connected', identity, { sessionPresent });
    reportConnected(connection, sessionPresent);
    if (sessionPresent) void reclassifySession(connection);
    ready(context.core, session);
    if (isParked) connection.unpark();
  });
  stayBehindWill(connection, session.clientId);
  if (hasLeft) return;
  isParked = true;
  connection.park();
}

/**
 * A client that is back while the will of its last connection is in a hook or pipeline: what it publishes comes after
 * that, or it would be said to be gone for good. For some seconds only: a step that hangs must not keep it out. [MQTT5
 * 4.6.0-6]
 */
function stayBehindWill(connection: Connection, clientId: string): void {
  const { timers, wills, now } = connection.context.core;
  const goOn = () => {
    timers.cancel(timer);
    forget?.();
    connection.unpark();
  };
  const timer = new Timer(goOn);
  const forget = wills.whenPassed(clientId, goOn);
  if (forget === null) return;
  timers.set(timer, now + willPatienceMs);
  connection.park();
}

/** What 5.0 lets a server say about itself; only what differs from the standard's default. [MQTT5 3.2.2.3] */
function announce({ context: { settings } }: Connection, packet: ConnectPacket, properties: ConnackProperties): void {
  const { limits } = settings;
  if (limits.receiveMaximum < 65_535) properties.receiveMaximum = limits.receiveMaximum;
  if (limits.topicAliases > 0) properties.topicAliasMaximum = limits.topicAliases;
  if (limits.packetBytes < 268_435_460) properties.maximumPacketSize = limits.packetBytes;
  if (settings.maximumQoS < 2) properties.maximumQoS = settings.maximumQoS as 0 | 1;
  if (!settings.retainAvailable) properties.retainAvailable = false;
  if (!settings.wildcardSubscriptions) properties.wildcardSubscriptionAvailable = false;
  if (!settings.sharedSubscriptions) properties.sharedSubscriptionAvailable = false;
  if (packet.properties.requestResponseInformation === true && settings.responseInformation !== '') {
    properties.responseInformation = settings.responseInformation;
  }
}
