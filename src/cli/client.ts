/** What `sluice pub` and `sluice sub` share: Mosquitto's option letters, and a connection by MQTT.js. */
import { readFileSync } from 'node:fs';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { CommandError, wholeNumber } from './usage.ts';

export const clientOptions = {
  host: { type: 'string', short: 'h', default: '127.0.0.1' },
  port: { type: 'string', short: 'p' },
  url: { type: 'string' },
  topic: { type: 'string', short: 't', multiple: true },
  qos: { type: 'string', short: 'q', default: '0' },
  id: { type: 'string', short: 'i' },
  username: { type: 'string', short: 'u' },
  pw: { type: 'string', short: 'P' },
  'protocol-version': { type: 'string', short: 'V', default: '311' },
  keepalive: { type: 'string', short: 'k', default: '60' },
  cafile: { type: 'string' },
  insecure: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

export const clientHelp = `  -h HOST    broker (127.0.0.1)             -p PORT    port (1883; with --cafile 8883)
  --url URL  instead of both: mqtt://, mqtts://, ws:// or wss://
  -q QOS     0, 1 or 2 (0)                  -i ID      client identifier (made up)
  -u NAME    user name                      -P WORD    password
  -V VERSION 31, 311 or 5 (311)             -k SECONDS keep-alive (60)
  --cafile FILE  trust this authority       --insecure do not check the server's certificate
`;

/** Option values as `readOptions` returns them. */
export interface ClientValues {
  readonly host: string;
  readonly port?: string | undefined;
  readonly url?: string | undefined;
  readonly topic?: string[] | undefined;
  readonly qos: string;
  readonly id?: string | undefined;
  readonly username?: string | undefined;
  readonly pw?: string | undefined;
  readonly 'protocol-version': string;
  readonly keepalive: string;
  readonly cafile?: string | undefined;
  readonly insecure?: boolean | undefined;
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

export const qosOf = (values: ClientValues) => wholeNumber('-q', values.qos, 0, 2) as 0 | 1 | 2;

/** Connects, or rejects with one line that says what to do. */
export async function connectClient(values: ClientValues, options: IClientOptions = {}): Promise<MqttClient> {
  const protocolVersion = versions[values['protocol-version']];
  if (protocolVersion === undefined) {
    throw new CommandError(`-V wants 31, 311 or 5, not "${values['protocol-version']}"`, 2);
  }
  const scheme = values.cafile === undefined ? 'mqtt' : 'mqtts';
  const port =
    values.port === undefined ? (scheme === 'mqtt' ? 1883 : 8883) : wholeNumber('-p', values.port, 1, 65_535);
  const url = values.url ?? `${scheme}://${values.host.includes(':') ? `[${values.host}]` : values.host}:${port}`;
  if (!/^(mqtts?|wss?):\/\//.test(url)) {
    throw new CommandError(`--url wants mqtt://, mqtts://, ws:// or wss://, not "${url}"`, 2);
  }
  const client = connect(url, {
    protocolVersion,
    ...(protocolVersion === 3 ? { protocolId: 'MQIsdp' } : {}),
    keepalive: wholeNumber('-k', values.keepalive, 0, 65_535),
    reconnectPeriod: 0,
    connectTimeout: 10_000,
    ...(values.id === undefined ? {} : { clientId: values.id }),
    ...(values.username === undefined ? {} : { username: values.username }),
    ...(values.pw === undefined ? {} : { password: values.pw }),
    ...(values.cafile === undefined ? {} : { ca: readCa(values.cafile) }),
    rejectUnauthorized: values.insecure !== true,
    ...options,
  });
  return new Promise((resolve, reject) => {
    client.once('connect', () => resolve(client));
    client.once('error', (error) => {
      client.end(true);
      reject(new CommandError(`Cannot connect to ${url}: ${explain(error)}`));
    });
    client.once('close', () => reject(new CommandError(`Cannot connect to ${url}: the connection was closed`)));
  });
}

function readCa(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CommandError(`Cannot read --cafile ${file}: ${(error as Error).message}`);
  }
}

function explain(error: Error & { code?: string | number | undefined }): string {
  if (error.code === 'ECONNREFUSED') return 'nothing listens there; is the broker running? (sluice start)';
  if (error.code === 'ENOTFOUND') return 'there is no such host';
  return error.message || String(error.code);
}

export function topicsOf(values: ClientValues, command: string): string[] {
  if (values.topic === undefined) throw new CommandError(`Which topic? Give -t TOPIC; see sluice ${command} --help`, 2);
  return values.topic;
}
