/**
 * Settings of the whole broker: limits, sessions, store, log.
 */
import { join } from 'node:path';
import type { ConfigInput } from '../../config/schema.ts';
import { type Findings, numberOf } from './findings.ts';
import type { Entry } from './lines.ts';
import type { Model, Scope } from './model.ts';

type Limits = NonNullable<ConfigInput['limits']>;

const uint32Max = 0xffffffff;
/** What Mosquitto means by no limit: more messages than a session will have. */
const unlimitedQueue = 100_000_000;
const unlimitedQueueBytes = 1_099_511_627_776;
const packetBytes = { least: 128, most: 268_435_460, usual: 2_000_000 };

export function brokerSettings(model: Model, findings: Findings): ConfigInput {
  const { broker } = model;
  const limits = limitsOf(broker, findings);
  const config: ConfigInput = {};
  if (Object.keys(limits).length > 0) config.limits = limits;
  const keepAlive = numberOf(broker.last('max_keepalive'), 0, 65_535);
  if (keepAlive !== null && keepAlive !== 65_535) config.serverKeepAliveSeconds = keepAlive;
  const expiry = broker.last('persistent_client_expiration');
  if (expiry !== null) Object.assign(config, sessionExpiry(expiry));
  if (broker.last('queue_qos0_messages')?.isTrue) config.queueQoS0 = true;
  if (broker.last('retain_available')?.isTrue === false) config.retainAvailable = false;
  const sys = numberOf(broker.last('sys_interval'), 0, 86_400);
  if (sys !== null) config.sysIntervalSeconds = sys;
  config.store = storeOf(model, findings);
  const log = logOf(broker);
  if (Object.keys(log).length > 0) config.log = log;
  judgeOthers(broker);
  return config;
}

function limitsOf(broker: Scope, findings: Findings): Limits {
  const limits: Limits = {};
  const take = (name: keyof Limits & string, entry: Entry | null, unlimited: (entry: Entry) => number | null) => {
    if (entry === null) return;
    const isUnlimited = entry.number !== null && entry.number <= 0;
    const value = isUnlimited ? unlimited(entry) : numberOf(entry, 1);
    if (value !== null) Object.assign(limits, { [name]: value });
  };
  const usual = (text: string) => (entry: Entry) => {
    entry.different(`there is always a bound: ${text}`);
    return null;
  };
  take('sessions', broker.last('global_max_clients'), usual('`limits.sessions` is 1,000,000'));
  take('connections', broker.last('global_max_connections'), usual('`limits.connections` is 100,000'));
  take('inflight', broker.last('max_inflight_messages'), () => 65_535);
  if (limits.inflight !== undefined) limits.inflight = Math.min(limits.inflight, 65_535);
  take('inflightBytes', broker.last('max_inflight_bytes'), () => 0);
  take('queueMessages', broker.last('max_queued_messages'), () => unlimitedQueue);
  take('queueBytes', broker.last('max_queued_bytes'), () => unlimitedQueueBytes);
  take('memoryBytes', broker.last('memory_limit'), usual('`limits.memoryBytes` follows the memory of the machine'));
  if (broker.last('max_queued_messages', 'max_queued_bytes') !== null) limits.queuePolicy = 'drop-newest';
  else {
    findings.note(
      'A session keeps 10,000 messages and drops the oldest (limits.queueMessages, limits.queuePolicy); Mosquitto keeps 1,000 and drops the newest',
    );
  }
  if (limits.inflight === undefined) {
    findings.note('1,024 messages may be in flight to a client (limits.inflight); with Mosquitto 20');
  }
  limits.packetBytes = packetBytesOf(broker, findings);
  return limits;
}

function packetBytesOf(broker: Scope, findings: Findings): number {
  const { least, most, usual } = packetBytes;
  const packet = broker.last('max_packet_size');
  const payload = broker.last('message_size_limit');
  const ofPacket = packet === null || packet.number === 0 ? null : numberOf(packet, least, most);
  if (packet?.number === 0) packet.same(`no limit: ${most.toLocaleString('en')} bytes, all that MQTT has`);
  if (payload !== null && payload.number !== 0) {
    // The header, and a topic of usual length.
    const ofPayload = (numberOf(payload, 0, most - 4_096) ?? 0) + 4_096;
    return Math.max(least, ofPacket === null ? ofPayload : Math.min(ofPacket, ofPayload));
  }
  if (payload !== null) payload.same('no limit of its own');
  if (ofPacket !== null) return ofPacket;
  if (packet !== null) return most;
  findings.note('A packet may have 2,000,000 bytes as with Mosquitto 2.1 (limits.packetBytes); 2.0 takes 256 MiB');
  return usual;
}

const secondsOf: Readonly<Record<string, number>> = {
  h: 3_600,
  d: 86_400,
  w: 7 * 86_400,
  m: 30 * 86_400,
  y: 365 * 86_400,
};

function sessionExpiry(entry: Entry): Pick<ConfigInput, 'sessionExpiryMaximumSeconds'> {
  if (entry.value === 'never') return {};
  const [, number, unit] = /^(\d+)([hdwmy])$/.exec(entry.value) ?? [];
  if (number === undefined || unit === undefined) {
    entry.different('it is not a number with h, d, w, m or y: sessions stay for ever');
    return {};
  }
  const seconds = Number(number) * secondsOf[unit]!;
  return { sessionExpiryMaximumSeconds: Math.min(seconds, uint32Max) };
}

function storeOf(
  { broker, access, listeners, accessOf }: Model,
  findings: Findings,
): NonNullable<ConfigInput['store']> {
  const plugins = [access, ...listeners.map(accessOf)].flatMap((each) => each.plugins);
  const sqlite = plugins.find(({ file }) => file.includes('persist_sqlite'));
  sqlite?.first.different('`store`: what is in its database stays behind');
  if (!broker.last('persistence')?.isTrue && sqlite === undefined) {
    for (const entry of broker.all('persistence_location', 'persistence_file')) {
      entry.same('has no effect without `persistence true`');
    }
    findings.note(
      'Nothing outlives the broker, as with Mosquitto without `persistence true`; without `store` it would be kept in ./data',
    );
    return { kind: 'memory' };
  }
  const location = broker.path('persistence_location');
  return { kind: 'level', directory: location === null ? './data' : join(location, 'sluice') };
}

/** From the least important on. */
const logLevels = [
  { level: 'debug', types: ['debug', 'all', 'internal'] },
  { level: 'info', types: ['information', 'notice', 'subscribe', 'unsubscribe', 'websockets'] },
  { level: 'warn', types: ['warning'] },
  { level: 'error', types: ['error'] },
  { level: 'silent', types: ['none'] },
] as const;

function logOf(broker: Scope): NonNullable<ConfigInput['log']> {
  const log: NonNullable<ConfigInput['log']> = {};
  const types = broker.all('log_type').map(({ value }) => value);
  const level = logLevels.find((each) => each.types.some((type) => types.includes(type)))?.level;
  if (level !== undefined && level !== 'info') log.level = level;
  if (broker.last('connection_messages')?.isTrue === false && (level ?? 'info') === 'info') {
    broker.last('connection_messages')!.different('`log.level: warn`, since connections are logged at `info`');
    log.level = 'warn';
  }
  const destinations = broker.all('log_dest');
  for (const entry of destinations) {
    const [kind, file] = [entry.words[0], entry.words.slice(1).join(' ')];
    if (kind === 'file' && file !== '') {
      entry.same('`log.file`');
      log.file = entry.pathOf(file);
    } else if (kind === 'stderr') entry.same('standard error');
    else if (kind === 'stdout') entry.different('standard error');
    else if (kind === 'none') entry.same('`log.level: silent`');
    else entry.missing(`\`log.file\`, or standard error; not ${kind}`);
  }
  if (destinations.length > 0 && destinations.every(({ value }) => value === 'none')) log.level = 'silent';
  return log;
}

/** Values that are what Sluice does anyway. */
const asHere: Readonly<Record<string, readonly [value: string, what: string]>> = {
  allow_duplicate_messages: ['false', 'overlapping subscriptions get one copy'],
  check_retain_source: ['false', 'a retained message stays when its publisher loses the right'],
  enable_control_api: ['false', 'there is none'],
  log_timestamp: ['true', 'every line has its time'],
  upgrade_outgoing_qos: ['false', 'a message keeps the QoS it was published with'],
};

function judgeOthers(broker: Scope): void {
  for (const [name, [value, what]] of Object.entries(asHere)) {
    const entry = broker.last(name);
    if (entry?.value === value) entry.same(what);
  }
}
