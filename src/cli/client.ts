/** What `sluice pub` and `sluice sub` share: Mosquitto's option letters, and a connection by MQTT.js. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { connect as connectSocket } from 'node:net';
import { resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { connect, type IClientOptions, MqttClient } from 'mqtt';
import { type CodedError, explainConnection, speaksTls } from './connection-errors.ts';
import { CommandError, readFile, wholeNumber } from './usage.ts';

export const clientOptions = {
  host: { type: 'string', short: 'h' },
  port: { type: 'string', short: 'p' },
  unix: { type: 'string' },
  url: { type: 'string' },
  topic: { type: 'string', short: 't', multiple: true },
  qos: { type: 'string', short: 'q', default: '0' },
  id: { type: 'string', short: 'i' },
  username: { type: 'string', short: 'u' },
  pw: { type: 'string', short: 'P' },
  'protocol-version': { type: 'string', short: 'V', default: '311' },
  keepalive: { type: 'string', short: 'k', default: '60' },
  cafile: { type: 'string' },
  cert: { type: 'string' },
  key: { type: 'string' },
  insecure: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

export const clientHelp = `  -h HOST    broker (127.0.0.1)             -p PORT    port (1883; over TLS 8883)
  --url URL  instead of both: mqtt://, mqtts://, ws://, wss:// or unix:///path
  --unix PATH    or a Unix-domain socket of the broker
  -q QOS     0, 1 or 2 (0)                  -i ID      client identifier (made up)
  -u NAME    user name                      -P WORD    password
  -V VERSION 31, 311 or 5 (311)             -k SECONDS keep-alive (60)
  --cafile FILE  over TLS, trusting this authority
  --cert FILE --key FILE  with --cafile: the client's own certificate
  --insecure     over TLS, without checking the server's certificate
`;

/** Option values as `readOptions` returns them. */
export interface ClientValues {
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly unix?: string | undefined;
  readonly url?: string | undefined;
  readonly topic?: string[] | undefined;
  readonly qos: string;
  readonly id?: string | undefined;
  readonly username?: string | undefined;
  readonly pw?: string | undefined;
  readonly 'protocol-version': string;
  readonly keepalive: string;
  readonly cafile?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly insecure?: boolean | undefined;
}

/** Where to connect and how: read from the options before anything is opened. */
export interface Target {
  readonly url: string;
  /** The URL as it may be shown: without a password. */
  readonly name: string;
  readonly protocolVersion: 3 | 4 | 5;
  readonly options: IClientOptions;
}

const versions: Readonly<Record<string, 3 | 4 | 5>> = {
  31: 3,
  '3.1': 3,
  mqttv31: 3,
  311: 4,
  '3.1.1': 4,
  mqttv311: 4,
  5: 5,
  '5.0': 5,
  mqttv5: 5,
};

const connectTimeoutMs = 10_000;
const disconnectTimeoutMs = 2_000;

export const qosOf = (values: ClientValues) => wholeNumber('-q', values.qos, 0, 2) as 0 | 1 | 2;

export function topicsOf(values: ClientValues, command: string): string[] {
  if (values.topic === undefined) throw new CommandError(`Which topic? Give -t TOPIC; see sluice ${command} --help`, 2);
  return values.topic;
}

export function targetOf(values: ClientValues): Target {
  const version = values['protocol-version'];
  const protocolVersion = Object.hasOwn(versions, version) ? versions[version] : undefined;
  if (protocolVersion === undefined) throw new CommandError(`-V wants 31, 311 or 5, not "${version}"`, 2);
  if (values.pw !== undefined && values.username === undefined && protocolVersion !== 5) {
    throw new CommandError('-P wants a user name as well: give -u NAME', 2);
  }
  if ((values.cert === undefined) !== (values.key === undefined)) {
    throw new CommandError('--cert and --key belong together: give both', 2);
  }
  const { url, name } = urlOf(values);
  const options: IClientOptions = {
    protocolVersion,
    ...(protocolVersion === 3 ? { protocolId: 'MQIsdp' } : {}),
    keepalive: wholeNumber('-k', values.keepalive, 0, 65_535),
    // A broker that cannot be reached is told, not waited for.
    reconnectPeriod: 0,
    connectTimeout: connectTimeoutMs,
    ...(values.id === undefined ? {} : { clientId: values.id }),
    ...(values.username === undefined ? {} : { username: values.username }),
    ...(values.pw === undefined ? {} : { password: values.pw }),
    ...tlsFiles(values),
    rejectUnauthorized: values.insecure !== true,
  };
  return { url, name, protocolVersion, options };
}

function urlOf(values: ClientValues): { url: string; name: string } {
  const { host, port, url, cafile, insecure } = values;
  const isSecure = cafile !== undefined || insecure === true;
  const socket = values.unix ?? socketOf(url ?? '');
  if (socket !== null) {
    if (socket === '') throw new CommandError('--unix wants the path of a socket, as /run/sluice/mqtt.sock', 2);
    const others = host ?? port ?? (values.unix === undefined ? undefined : url);
    if (others !== undefined) {
      throw new CommandError('--unix says where to connect already: leave out -h, -p and --url', 2);
    }
    if (isSecure)
      throw new CommandError('There is no TLS over a Unix-domain socket: leave out --cafile, --insecure', 2);
    const name = `${socketScheme}${resolve(socket)}`;
    return { url: name, name };
  }
  if (url === undefined) {
    const address = host?.includes(':') ? `[${host}]` : (host ?? '127.0.0.1');
    const number = port === undefined ? (isSecure ? 8883 : 1883) : wholeNumber('-p', port, 1, 65_535);
    const built = `${isSecure ? 'mqtts' : 'mqtt'}://${address}:${number}`;
    if (!URL.canParse(built)) throw new CommandError(`-h wants a host name or an address, not "${host}"`, 2);
    return { url: built, name: built };
  }
  if (host !== undefined || port !== undefined) {
    throw new CommandError('--url says where to connect already: leave out -h and -p', 2);
  }
  if (!/^(mqtts?|wss?):\/\/./.test(url) || !URL.canParse(url)) {
    const what = 'mqtt://, mqtts://, ws:// or wss:// and a host, or unix:// and a path';
    throw new CommandError(`--url wants ${what}, not "${url}"`, 2);
  }
  const { protocol, host: shownHost, pathname } = new URL(url);
  if (isSecure && (protocol === 'mqtt:' || protocol === 'ws:')) {
    throw new CommandError(`--cafile and --insecure are for TLS: write mqtts:// or wss:// instead of ${protocol}//`, 2);
  }
  return { url, name: `${protocol}//${shownHost}${pathname}` };
}

/** Its errors need a listener at once: `connected` is one. */
export function openClient({ url, options }: Target, more: IClientOptions = {}): MqttClient {
  const socket = socketOf(url);
  const all = { ...options, ...more };
  return socket === null ? connect(url, all) : new MqttClient(() => connectSocket(socket), all);
}

const socketScheme = 'unix://';

/** The path in `unix:///path`; null: it is no such URL. */
const socketOf = (url: string) => (url.startsWith(socketScheme) ? url.slice(socketScheme.length) : null);

/** Rejects with one line that says what to do. */
export function connected(client: MqttClient, target: Target): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new CommandError(`Cannot connect to ${target.name}: ${why}`));
    const closed = () => void hungUp(target).then(fail);
    client.once('connect', () => {
      // It speaks MQTT: trying TLS there would only leave a warning in its log.
      client.off('close', closed);
      resolve();
    });
    // Stays for the client's life: an error after this one has its consequence in `close`.
    client.on('error', (error) => {
      // Whoever hangs up says not why.
      if (error.message !== 'socket hang up') fail(explain(error, target));
    });
    client.once('close', closed);
  });
}

/** Why it hung up without a word of MQTT. */
async function hungUp({ url, options }: Target): Promise<string> {
  if (socketOf(url) !== null)
    return 'what is there hung up; is it a socket of MQTT, and does it speak this version of it (-V)?';
  const { protocol, hostname, port } = new URL(url);
  const isPlain = protocol === 'mqtt:' || protocol === 'ws:';
  if (isPlain && (await speaksTls(hostname.replace(/^\[|\]$/g, ''), Number(port || 1883)))) {
    return `TLS is spoken there; write ${protocol === 'ws:' ? 'wss' : 'mqtts'}://, or name its authority with --cafile`;
  }
  if (!isPlain && options.cert !== undefined) {
    return 'it hung up; does it trust the authority of this --cert? The log and the audit log of the broker say why';
  }
  if (protocol.startsWith('ws')) return 'what is there hung up; is the path right? (…:8083/mqtt)';
  return 'what is there hung up; is it a port of MQTT, and does it speak this version of it (-V)?';
}

/** Says good-bye, and does not wait for ever for the answer. */
export async function disconnect(client: MqttClient): Promise<void> {
  // MQTT.js says good-bye only when everything is answered, which it may not read any more: see `print` in sub.ts.
  const isWaiting = Object.keys(client.outgoing).length > 0;
  if (!client.connected || isWaiting) {
    // What was written in this tick leaves at its end.
    await setImmediate();
    return void client.end(true);
  }
  const giveUp = setTimeout(() => client.stream.destroy(), disconnectTimeoutMs);
  await client.endAsync().finally(() => clearTimeout(giveUp));
}

/** What went wrong with a connection, and what to do about it. */
export function explain(error: CodedError, { url }: Pick<Target, 'url'>): string {
  const code = String(error.code);
  if (socketOf(url) !== null && (code === 'ENOENT' || code === 'EACCES')) {
    return code === 'ENOENT'
      ? 'there is no such socket; is the broker running, and does it have a listener of kind unix there?'
      : 'its permissions do not let you in; the "mode" of the listener says who may, usually its group';
  }
  const isWebSocket = url.startsWith('ws');
  const why = explainConnection(error, {
    wanted: 'MQTT',
    plainScheme: isWebSocket ? 'ws' : 'mqtt',
    hasClientCertificate: true,
  });
  if (why !== null) return why;
  if (['4', '5', '134', '135'].includes(code)) return `${error.message}; give the right -u NAME and -P WORD`;
  if (['1', '132'].includes(code)) return `${error.message}; try another -V`;
  if (error.message === 'connack timeout') return `no answer within ${connectTimeoutMs / 1000} s; is it an MQTT port?`;
  if (/Unexpected server response/.test(error.message)) return `${error.message}; is the path right? (…:8083/mqtt)`;
  // MQTT.js found no packet in what came.
  if (error.code === undefined && !isWebSocket) return `what answers there does not speak MQTT (${error.message})`;
  return error.message || code;
}

/** Read, and looked at: TLS itself would say of a wrong one that there is no start line. */
function tlsFiles({ cafile, cert, key }: ClientValues): Pick<IClientOptions, 'ca' | 'cert' | 'key'> {
  const files: { ca?: Buffer; cert?: Buffer; key?: Buffer } = {};
  const wants = (option: string, file: string, what: string, cause: unknown) =>
    new CommandError(`${option} wants ${what} in PEM, and ${file} has none that can be used`, 1, { cause });
  const certificateIn = (option: string, file: string) => {
    const bytes = readFile(option, file);
    try {
      return { bytes, certificate: new X509Certificate(bytes) };
    } catch (cause) {
      throw wants(option, file, 'a certificate', cause);
    }
  };
  if (cafile !== undefined) files.ca = certificateIn('--cafile', cafile).bytes;
  if (cert === undefined || key === undefined) return files;
  const { bytes, certificate } = certificateIn('--cert', cert);
  files.cert = bytes;
  files.key = readFile('--key', key);
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(files.key);
  } catch (cause) {
    throw wants('--key', key, 'a private key without a password', cause);
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new CommandError(`--key ${key} does not belong to --cert ${cert}: give the two that were made together`);
  }
  return files;
}
