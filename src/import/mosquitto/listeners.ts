/**
 * Listeners, with their certificates. One that cannot be had with what protects it is left out, never opened without.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isLoopbackHost } from '../../base/addresses.ts';
import { fileProblem } from '../../base/file-problem.ts';
import type { ConfigInput } from '../../config/schema.ts';
import { clientIdPrefixMost, isMountPoint } from '../../contracts/listener-limits.ts';
import type { ListenerAddress } from '../../contracts/listener-url.ts';
import { type Findings, numberOf } from './findings.ts';
import { textOf } from './lines.ts';
import type { ListenerLines, Model, Scope } from './model.ts';

export type ListenerInput = NonNullable<ConfigInput['listeners']>[number];

export interface Machine {
  readonly hasIPv6: boolean;
  /** Null: there is no such interface, or it has no address. */
  readonly addressOf: (networkInterface: string) => string | null;
}

export interface OpenListener {
  readonly lines: ListenerLines;
  readonly input: ListenerInput;
}

export function openListeners(model: Model, machine: Machine, findings: Findings): OpenListener[] {
  const open = model.listeners.flatMap((lines) => {
    const why = reasonToLeaveOut(lines);
    if (why === null) return [{ lines, input: listenerOf(lines, model, machine, findings) }];
    const name = lines.first === null ? 'The first listener' : `The listener of line ${lines.first.line}`;
    findings.note(`${name} is left out: ${why}`);
    lines.first?.missing(`left out: ${why}`);
    return [];
  });
  return withoutTwins(open);
}

function reasonToLeaveOut(lines: ListenerLines): string | null {
  const protocol = lines.text('protocol');
  if (socketOf(lines) !== null) {
    if (protocol === 'websockets')
      return 'there are no WebSockets over a Unix-domain socket; let clients use 127.0.0.1';
    if (lines.text('certfile') !== null) return 'there is no TLS over a Unix-domain socket; let clients use 127.0.0.1';
  }
  if (protocol === 'mqttsn') return 'MQTT-SN is not supported; use a gateway';
  if (protocol === 'http_api') return 'the HTTP API is another one: see `admin.listeners`';
  if (lines.last('psk_hint') !== null) return 'pre-shared keys are not supported; use client certificates';
  const mountPoint = lines.text('mount_point');
  if (mountPoint !== null && !isMountPoint(mountPoint)) {
    return 'no topic begins like its `mount_point`, and without it its clients would reach the topics of all others';
  }
  if (lines.last('tls_engine') !== null || lines.text('tls_keyform') === 'engine') {
    return 'its key is in an engine, and keys are PEM files here';
  }
  return null;
}

/** Mosquitto opens `listener 1883 0.0.0.0` and `listener 1883 ::`, which is one to Node. */
function withoutTwins(open: readonly OpenListener[]): OpenListener[] {
  const covers = (one: ListenerInput, other: ListenerInput) =>
    one.kind !== 'unix' &&
    other.kind !== 'unix' &&
    one.port === other.port &&
    one.host === '::' &&
    (other.host === '0.0.0.0' || other.host === '::');
  return open.filter(({ lines, input }, index) => {
    const twin = open.find(
      (each, at) => covers(each.input, input) && (hostOfInput(each.input) !== hostOfInput(input) || at < index),
    );
    if (twin === undefined) return true;
    lines.first?.same(`the listener of line ${twin.lines.first?.line ?? 1} takes these clients too`);
    return false;
  });
}

function listenerOf(lines: ListenerLines, model: Model, machine: Machine, findings: Findings): ListenerInput {
  const certFile = lines.path('certfile');
  const keyFile = lines.path('keyfile');
  const isWebSocket = lines.text('protocol') === 'websockets';
  const hasTls = certFile !== null && keyFile !== null;
  const kind = isWebSocket ? (hasTls ? 'wss' : 'ws') : hasTls ? 'tls' : 'tcp';
  const socket = socketOf(lines);
  const address =
    socket === null ? { kind, host: hostOf(lines, model, machine), port: portOf(lines) } : { kind: 'unix', socket };
  const listener: Record<string, unknown> = address;
  if (socket !== null) lines.first!.same('`kind: unix` with its `socket`, for owner and group as with Mosquitto');
  if (hasTls) listener.tls = tlsOf(lines, certFile, keyFile, findings);
  if (isWebSocket) {
    const origins = lines.all('websockets_origin').map((entry) => originOf(entry.value));
    listener.origins = origins.length === 0 ? ['*'] : origins;
    findings.note('WebSockets are taken at /mqtt, / and /ws (paths); Mosquitto takes them at every path');
  }
  const proxy = lines.last('enable_proxy_protocol');
  if (proxy !== null && socket === null && proxy.value !== 'false' && proxy.value !== '0') {
    listener.proxyProtocol = true;
    listener.trustedProxies = ['0.0.0.0/0', '::/0'];
  }
  const versions = lines.last('accept_protocol_versions');
  if (versions !== null) listener.protocolVersions = versionsOf(versions.value);
  const qos = numberOf(lines.last('max_qos', 'maximum_qos'), 0, 2);
  if (qos === 0 || qos === 1) listener.maximumQoS = qos;
  const mountPoint = lines.text('mount_point');
  if (mountPoint !== null) {
    listener.mountPoint = mountPoint;
    findings.note('Below a mountPoint shared subscriptions work, which get nothing in Mosquitto');
  }
  const prefix = lines.last('listener_auto_id_prefix') ?? model.accessOf(lines).scope.last('auto_id_prefix');
  if (prefix !== null && prefix.value !== '') listener.clientIdPrefix = prefix.value.slice(0, clientIdPrefixMost);
  const connections = lines.last('max_connections');
  if (connections?.number === -1) connections.same('no limit of its own');
  else if (connections !== null) listener.connections = numberOf(connections, 1);
  judge(lines);
  return listener as ListenerInput;
}

/** The path of `listener 0 /path`; null: it has a port. */
function socketOf({ first }: ListenerLines): string | null {
  const [port, ...path] = first?.words ?? [];
  return port === '0' && path.length > 0 ? first!.pathOf(path.join(' ')) : null;
}

/** Of a listener that was made here, which always says where it listens. */
export function addressOf(input: ListenerInput): ListenerAddress {
  return input.kind === 'unix' ? input : { kind: input.kind, host: input.host!, port: input.port! };
}

const hostOfInput = (input: ListenerInput) => (input.kind === 'unix' ? null : input.host);

const versionNames: Readonly<Record<string, string>> = { 3: '3.1', 4: '3.1.1', 5: '5.0' };
const versionsOf = (text: string) => text.split(/[,\s]+/).flatMap((number) => versionNames[number] ?? []);

/** As browsers send them, without a slash at the end. */
const originOf = (text: string) => text.toLowerCase().replace(/\/+$/, '');

function portOf(lines: ListenerLines): number {
  const first = lines.first;
  if (first === null) return numberOf(lines.last('port'), 1, 65_535) ?? 1883;
  const [port = ''] = first.words;
  return /^\d+$/.test(port) && Number(port) <= 65_535 ? Number(port) : 1883;
}

function hostOf(lines: ListenerLines, { isLocalOnly }: Model, machine: Machine): string {
  const device = lines.last('bind_interface');
  if (device !== null) {
    const address = machine.addressOf(device.value);
    if (address !== null) return address;
    device.missing('this machine has no such interface, so `host` is 127.0.0.1: name the address to listen on');
    return '127.0.0.1';
  }
  const host = lines.first === null ? lines.text('bind_address') : lines.first.words[1];
  if (host !== null && host !== undefined && host !== '*') return host;
  if (isLocalOnly) return '127.0.0.1';
  const domain = lines.text('socket_domain');
  if (domain === 'ipv6') {
    lines.last('socket_domain')!.different('`host: "::"`, which takes IPv4 as well');
    return '::';
  }
  return domain === 'ipv4' || !machine.hasIPv6 ? '0.0.0.0' : '::';
}

function tlsOf(lines: ListenerLines, certFile: string, keyFile: string, findings: Findings): Record<string, unknown> {
  const tls: Record<string, unknown> = { certFile, keyFile };
  const isAsked = lines.isTrue('require_certificate');
  if (isAsked) {
    tls.clientCertificate = 'required';
    const caFile = lines.path('cafile');
    const folder = lines.path('capath');
    if (folder !== null) tls.caFile = bundle(folder, caFile, findings);
    else if (caFile !== null) tls.caFile = caFile;
    const crlFile = lines.path('crlfile');
    if (crlFile !== null) tls.crlFile = crlFile;
  } else {
    for (const entry of lines.all('cafile', 'capath', 'crlfile')) {
      entry.same('not used, as in Mosquitto without `require_certificate true`');
    }
  }
  const version = lines.last('tls_version');
  if (version?.value === 'tlsv1.3') tls.minVersion = 'TLSv1.3';
  else if (version !== null && version.value !== 'tlsv1.2') version.different('`TLSv1.2`, the oldest that there is');
  const ciphers = ciphersOf(lines, 'ciphers', 'ciphers_tls1.3');
  if (ciphers !== null) tls.ciphers = ciphers;
  return tls;
}

export function ciphersOf(lines: Scope, old: string, newer: string): string | null {
  const given = [lines.text(newer), lines.text(old)].filter((text) => text !== null);
  return given.length === 0 ? null : given.join(':');
}

/** The certificates of a folder in one file, whose name is returned. */
export function bundle(folder: string, caFile: string | null, findings: Findings): string {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => /\.(pem|crt)$/.test(name));
  } catch (error) {
    findings.note(
      `Cannot read the folder ${folder}: ${fileProblem(error as Error)}; put its certificates into authorities.pem`,
    );
    names = [];
  }
  const files = [...names.sort().map((name) => join(folder, name)), ...(caFile === null ? [] : [caFile])];
  const name = `authorities-${folder.replace(/^\/+|\/+$/g, '').replaceAll(/[^\w.-]+/g, '-')}.pem`;
  return findings.addFile(
    name,
    files
      .map((file) => textOf(file).trimEnd())
      .join('\n')
      .concat('\n'),
  );
}

function judge(lines: ListenerLines): void {
  for (const name of ['use_username_as_clientid', 'proxy_protocol_v2_require_tls', 'disable_client_cert_date_checks']) {
    const entry = lines.last(name);
    if (entry !== null && !entry.isTrue) entry.same('as it is here');
  }
}

export const isForThisMachine = (input: ListenerInput) =>
  input.kind === 'unix' || isLoopbackHost(input.host ?? '127.0.0.1');

type Limits = NonNullable<ConfigInput['limits']>;

/** What Mosquitto says of each listener and Sluice of all. */
export function listenerWideSettings(open: readonly OpenListener[], config: ConfigInput): void {
  const limits: Limits = { ...config.limits };
  const valuesOf = (name: string) =>
    open.map(({ lines }) => ({ entry: lines.last(name), number: lines.last(name)?.number ?? null }));
  const aliases = valuesOf('max_topic_alias').flatMap(({ number }) => (number === null ? [] : [number]));
  if (aliases.length > 0)
    limits.topicAliases = Math.min(65_535, Math.max(...aliases, aliases.length < open.length ? 10 : 0));
  const outbound = valuesOf('max_topic_alias_broker').flatMap(({ number }) => (number === null ? [] : [number]));
  if (outbound.length > 0) config.outboundTopicAliases = Math.min(65_535, Math.max(...outbound));
  if (Object.keys(limits).length > 0) config.limits = limits;
}
