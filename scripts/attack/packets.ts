/** Packets of MQTT 5, and some of 3.1.1, as bytes, valid ones and others: nothing here is checked. */
import { packet } from '../bench/load/client.ts';

export { packet };

export const pingreq: Buffer = Buffer.of(0xc0, 0);
export const disconnect: Buffer = Buffer.of(0xe0, 0);

export const text = (value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 255), bytes]);
};
const uint16 = (value: number): Buffer => Buffer.of((value >> 8) & 255, value & 255);
const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export function variable(value: number): Buffer {
  const bytes: number[] = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value > 0);
  return Buffer.from(bytes);
}

export const property = {
  messageExpiry: (seconds: number) => Buffer.concat([Buffer.of(0x02), uint32(seconds)]),
  contentType: (value: string) => Buffer.concat([Buffer.of(0x03), text(value)]),
  responseTopic: (value: string) => Buffer.concat([Buffer.of(0x08), text(value)]),
  correlation: (value: Buffer) => Buffer.concat([Buffer.of(0x09), text(value)]),
  subscriptionId: (value: number) => Buffer.concat([Buffer.of(0x0b), variable(value)]),
  sessionExpiry: (seconds: number) => Buffer.concat([Buffer.of(0x11), uint32(seconds)]),
  authenticationMethod: (value: string) => Buffer.concat([Buffer.of(0x15), text(value)]),
  authenticationData: (value: Buffer) => Buffer.concat([Buffer.of(0x16), text(value)]),
  willDelay: (seconds: number) => Buffer.concat([Buffer.of(0x18), uint32(seconds)]),
  receiveMaximum: (value: number) => Buffer.concat([Buffer.of(0x21), uint16(value)]),
  topicAlias: (value: number) => Buffer.concat([Buffer.of(0x23), uint16(value)]),
  user: (name: string, value: string) => Buffer.concat([Buffer.of(0x26), text(name), text(value)]),
};

export const properties = (all: readonly Buffer[]): Buffer => {
  const bytes = Buffer.concat(all);
  return Buffer.concat([variable(bytes.length), bytes]);
};

export interface Will {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly qos?: number;
  readonly retain?: boolean;
  readonly properties?: readonly Buffer[];
}

export interface ConnectFields {
  readonly clientId: string;
  /** 4: MQTT 3.1.1. */
  readonly version?: 4 | 5;
  readonly clean?: boolean;
  readonly keepAliveSeconds?: number;
  readonly username?: string;
  readonly password?: string | Buffer;
  readonly will?: Will;
  readonly properties?: readonly Buffer[];
}

export function connect(fields: ConnectFields): Buffer {
  const { clientId, version = 5, clean = true, keepAliveSeconds = 0, username, password, will } = fields;
  const ofVersion = (itsProperties: readonly Buffer[] = []) => (version === 4 ? [] : [properties(itsProperties)]);
  const flags =
    (clean ? 2 : 0) |
    (will === undefined ? 0 : 4 | ((will.qos ?? 0) << 3) | (will.retain === true ? 32 : 0)) |
    (password === undefined ? 0 : 64) |
    (username === undefined ? 0 : 128);
  const parts = [text('MQTT'), Buffer.of(version, flags), uint16(keepAliveSeconds), ...ofVersion(fields.properties)];
  parts.push(text(clientId));
  if (will !== undefined) {
    const { topic, payload } = will;
    parts.push(...ofVersion(will.properties), text(topic), text(Buffer.from(payload)));
  }
  if (username !== undefined) parts.push(text(username));
  if (password !== undefined) parts.push(text(password));
  return packet(0x10, Buffer.concat(parts));
}

/** `options`: of all filters: QoS, no local, and so on. */
export function subscribe(
  id: number,
  filters: readonly string[],
  options = 0,
  itsProperties: readonly Buffer[] = [],
): Buffer {
  const entries = filters.flatMap((filter) => [text(filter), Buffer.of(options)]);
  return packet(0x82, Buffer.concat([uint16(id), properties(itsProperties), ...entries]));
}

export function unsubscribe(id: number, filters: readonly string[]): Buffer {
  return packet(0xa2, Buffer.concat([uint16(id), Buffer.of(0), ...filters.map(text)]));
}

export interface PublishFields {
  readonly version?: 4 | 5;
  readonly qos?: number;
  readonly id?: number;
  readonly retain?: boolean;
  readonly dup?: boolean;
  readonly properties?: readonly Buffer[];
}

export function publish(topic: string, payload: Buffer | string, fields: PublishFields = {}): Buffer {
  const { version = 5, qos = 0, id = 1, retain = false, dup = false } = fields;
  const its = version === 4 ? [] : [properties(fields.properties ?? [])];
  const head = [text(topic), ...(qos > 0 ? [uint16(id)] : []), ...its];
  return packet(0x30 | (qos << 1) | (retain ? 1 : 0) | (dup ? 8 : 0), Buffer.concat([...head, Buffer.from(payload)]));
}

export const pubrel = (id: number): Buffer => Buffer.concat([Buffer.of(0x62, 2), uint16(id)]);
export const answer = (header: number, id: number): Buffer => Buffer.concat([Buffer.of(header, 2), uint16(id)]);

export function auth(reason: number, method: string, data: Buffer): Buffer {
  const all = [property.authenticationMethod(method), property.authenticationData(data)];
  return packet(0xf0, Buffer.concat([Buffer.of(reason), properties(all)]));
}

/** A frame of a WebSocket client, as one piece. */
export function frame(opcode: number, payload: Buffer, isLast = true): Buffer {
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.of(0, 128 | length)
      : length < 65_536
        ? Buffer.of(0, 254, length >> 8, length & 255)
        : Buffer.concat([Buffer.of(0, 255, 0, 0, 0, 0), uint32(length)]);
  head[0] = (isLast ? 128 : 0) | opcode;
  // A mask of zeros leaves the bytes as they are.
  return Buffer.concat([head, Buffer.alloc(4), payload]);
}
