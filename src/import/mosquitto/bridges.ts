/**
 * Bridges: `connection` and what follows it.
 */
import { hostname } from 'node:os';
import type { ConfigInput } from '../../config/schema.ts';
import { type Findings, numberOf } from './findings.ts';
import type { Entry } from './lines.ts';
import { bundle, ciphersOf } from './listeners.ts';
import type { BridgeLines } from './model.ts';

type BridgeInput = NonNullable<ConfigInput['bridges']>[number];
type TopicInput = BridgeInput['topics'][number];

export function bridgesOf(all: readonly BridgeLines[], findings: Findings): BridgeInput[] {
  const names = new Set<string>();
  return all.flatMap((lines) => {
    const why = reasonToLeaveOut(lines);
    if (why === null) return [bridgeOf(lines, nameOf(lines, names), findings)];
    findings.note(`The bridge ${lines.name} is left out: ${why}`);
    lines.first.missing(`left out: ${why}`);
    return [];
  });
}

function reasonToLeaveOut(lines: BridgeLines): string | null {
  if (lines.last('bridge_psk', 'bridge_identity') !== null) {
    return 'pre-shared keys are not supported; use certificates';
  }
  if ((lines.last('address', 'addresses')?.words ?? []).length === 0) return 'it has no `address`';
  return topicsOf(lines).length === 0 ? 'it has no `topic` that can be had' : null;
}

function nameOf(lines: BridgeLines, taken: Set<string>): string {
  const plain =
    lines.name
      .replaceAll(/[^A-Za-z0-9_.-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .slice(0, 60) || 'bridge';
  let name = plain;
  for (let number = 2; taken.has(name); number++) name = `${plain}-${number}`;
  taken.add(name);
  if (name !== lines.name) lines.first.different(`its name is \`${name}\` here`);
  return name;
}

const versions: Readonly<Record<string, BridgeInput['version']>> = { mqttv50: '5.0', mqttv311: '3.1.1' };

function bridgeOf(lines: BridgeLines, name: string, findings: Findings): BridgeInput {
  const tls = tlsOf(lines, findings);
  const bridge: BridgeInput = {
    name,
    addresses: lines.last('address', 'addresses')!.words.map((text) => urlOf(text, tls !== null)),
    version: versions[lines.text('bridge_protocol_version') ?? 'mqttv311'] ?? '3.1.1',
    // What Mosquitto makes of it, or what the peer keeps of the old session would come to nobody.
    clientId: lines.text('remote_clientid', 'clientid') ?? `${lines.name}.${hostname()}`,
    topics: topicsOf(lines),
  };
  if (lines.text('bridge_protocol_version') === 'mqttv31') {
    lines.last('bridge_protocol_version')!.different('`version: "3.1.1"`, the oldest that bridges speak');
  }
  const username = lines.text('remote_username', 'username');
  if (username !== null) bridge.username = username;
  const password = lines.text('remote_password', 'password');
  if (password !== null) bridge.password = password;
  if (tls !== null && Object.keys(tls).length > 0) bridge.tls = tls;
  const start = lines.text('start_type');
  if (start === 'manual' || start === 'lazy' || start === 'once') bridge.start = start;
  const threshold = numberOf(lines.last('threshold'), 1);
  const idleSeconds = numberOf(lines.last('idle_timeout'), 1, 86_400);
  if (start === 'lazy' && (threshold !== null || idleSeconds !== null)) {
    bridge.lazy = { ...(threshold === null ? {} : { threshold }), ...(idleSeconds === null ? {} : { idleSeconds }) };
  }
  const notifications = notificationsOf(lines);
  if (notifications !== null) bridge.notifications = notifications;
  const size = lines.last('bridge_max_packet_size');
  const maxPacketBytes = size?.number === 0 ? null : numberOf(size, 128, 268_435_460);
  if (maxPacketBytes !== null) bridge.maxPacketBytes = maxPacketBytes;
  if (lines.isTrue('round_robin')) bridge.roundRobin = true;
  if (lines.isTrue('cleansession')) bridge.cleanStart = true;
  const keepAlive = numberOf(lines.last('keepalive_interval'), 5, 65_535);
  if (keepAlive !== null) bridge.keepAliveSeconds = keepAlive;
  const expiry = numberOf(lines.last('bridge_session_expiry_interval'), 0, 0xffffffff);
  if (expiry !== null) bridge.sessionExpirySeconds = expiry;
  const inflight = numberOf(lines.last('bridge_receive_maximum'), 1, 65_535);
  if (inflight !== null) bridge.maxInflight = inflight;
  const restart = lines.last('restart_timeout');
  if (restart !== null) bridge.reconnect = reconnectOf(restart);
  if (lines.last('bridge_outgoing_retain')?.isTrue === false) clearOutgoing(bridge);
  judge(lines);
  return bridge;
}

function urlOf(text: string, isSecure: boolean): string {
  const at = text.lastIndexOf(':');
  const [host, port] = at === -1 ? [text, '1883'] : [text.slice(0, at), text.slice(at + 1)];
  return `${isSecure ? 'mqtts' : 'mqtt'}://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
}

type TlsInput = NonNullable<BridgeInput['tls']>;

/** Null: it is not encrypted. */
function tlsOf(lines: BridgeLines, findings: Findings): TlsInput | null {
  const caFile = lines.path('bridge_cafile');
  const folder = lines.path('bridge_capath');
  if (caFile === null && folder === null && !lines.isTrue('bridge_tls_use_os_certs')) return null;
  const tls: TlsInput = {};
  if (folder !== null) tls.caFile = bundle(folder, caFile, findings);
  else if (caFile !== null) tls.caFile = caFile;
  const certFile = lines.path('bridge_certfile');
  const keyFile = lines.path('bridge_keyfile');
  if (certFile !== null && keyFile !== null) Object.assign(tls, { certFile, keyFile });
  if (lines.isTrue('bridge_insecure')) tls.verifyName = false;
  const alpn = lines.text('bridge_alpn');
  if (alpn !== null) tls.alpn = [alpn];
  const version = lines.last('bridge_tls_version');
  if (version?.value === 'tlsv1.3') tls.minVersion = 'TLSv1.3';
  else if (version !== null && version.value !== 'tlsv1.2') version.different('`TLSv1.2`, the oldest that there is');
  const ciphers = ciphersOf(lines, 'bridge_ciphers', 'bridge_ciphers_tls1.3');
  if (ciphers !== null) tls.ciphers = ciphers;
  return tls;
}

function reconnectOf(entry: Entry): NonNullable<BridgeInput['reconnect']> {
  const [base, cap = base] = entry.words.map(Number);
  const milliseconds = (seconds: number | undefined, most: number) =>
    Math.min(most, Math.max(100, Math.round((Number.isFinite(seconds) ? seconds! : 5) * 1_000)));
  const minimumMs = milliseconds(base, 3_600_000);
  return { minimumMs, maximumMs: Math.max(minimumMs, milliseconds(cap, 86_400_000)) };
}

function topicsOf(lines: BridgeLines): TopicInput[] {
  return lines.all('topic').flatMap((entry) => {
    const topic = topicOf(entry);
    return topic === null ? [] : [topic];
  });
}

function topicOf(entry: Entry): TopicInput | null {
  const quoted = /^"([^"]+)"\s*(.*)$/.exec(entry.value);
  const [pattern = '', ...rest] = quoted === null ? entry.words : [quoted[1]!, ...quoted[2]!.split(/\s+/)];
  // A word that begins with # ends the line; of a pattern it is the wildcard.
  const end = rest.findIndex((word) => word.startsWith('#'));
  const [direction = 'out', qos = '0', local = '', remote = ''] = end === -1 ? rest : rest.slice(0, end);
  const given = direction.toLowerCase();
  const none = (text: string) => (text === '""' ? '' : text);
  if (given !== 'in' && given !== 'out' && given !== 'both') {
    entry.missing('its direction is none of `in`, `out` and `both`');
    return null;
  }
  const level = qos === '1' ? 1 : qos === '2' ? 2 : 0;
  const topic: TopicInput = { filter: none(pattern), direction: given, qos: level };
  if (none(local) !== '') topic.localPrefix = none(local);
  if (none(remote) !== '') topic.remotePrefix = none(remote);
  if (/[+#]/.test(`${none(local)}${none(remote)}`)) {
    entry.missing('a prefix with a wildcard is not supported');
    return null;
  }
  return topic;
}

function clearOutgoing(bridge: BridgeInput): void {
  // Of `both`, what comes in keeps its flag.
  bridge.topics = bridge.topics.flatMap((topic): TopicInput[] => {
    if (topic.direction === 'in') return [topic];
    const out: TopicInput = { ...topic, direction: 'out', retain: 'clear' };
    return topic.direction === 'both' ? [out, { ...topic, direction: 'in' }] : [out];
  });
}

/** Mosquitto tells both sides unless it is told otherwise. Null: as it is here. */
function notificationsOf(lines: BridgeLines): BridgeInput['notifications'] | null {
  if (lines.last('notifications')?.isTrue === false) return { local: false };
  if (lines.isTrue('notifications_local_only')) return null;
  const remoteTopic = lines.text('notification_topic');
  return remoteTopic === null ? { remote: true } : { remote: true, remoteTopic };
}

function judge(lines: BridgeLines): void {
  const ocsp = lines.last('bridge_require_ocsp');
  if (ocsp !== null && !ocsp.isTrue) ocsp.same('as it is here');
  const size = lines.last('bridge_max_packet_size');
  if (size?.number === 0) size.same('no limit');
  const local = lines.last('local_cleansession');
  if (local !== null && !local.isTrue) local.same('what waits for the peer is kept');
}
