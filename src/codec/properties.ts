/**
 * The properties of MQTT 5.0: one table says what each is called, how it is encoded, and which packets may carry it.
 * [MQTT5 2.2.2]
 */
import { printableWithin } from '../base/printable.ts';
import { malformed, type Reader, violation } from './reader.ts';
import { beginsWith } from './text.ts';

export const PropertyId = {
  payloadFormatIndicator: 0x01,
  messageExpiryInterval: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  subscriptionIdentifier: 0x0b,
  sessionExpiryInterval: 0x11,
  assignedClientIdentifier: 0x12,
  serverKeepAlive: 0x13,
  authenticationMethod: 0x15,
  authenticationData: 0x16,
  requestProblemInformation: 0x17,
  willDelayInterval: 0x18,
  requestResponseInformation: 0x19,
  responseInformation: 0x1a,
  serverReference: 0x1c,
  reasonString: 0x1f,
  receiveMaximum: 0x21,
  topicAliasMaximum: 0x22,
  topicAlias: 0x23,
  maximumQoS: 0x24,
  retainAvailable: 0x25,
  userProperties: 0x26,
  maximumPacketSize: 0x27,
  wildcardSubscriptionAvailable: 0x28,
  subscriptionIdentifiersAvailable: 0x29,
  sharedSubscriptionAvailable: 0x2a,
} as const;

type PropertyName = keyof typeof PropertyId;
type Encoding = 'flag' | 'u8' | 'u16' | 'u32' | 'varint' | 'text' | 'binary' | 'pair';

const encodings: Readonly<Record<PropertyName, Encoding>> = {
  payloadFormatIndicator: 'flag',
  messageExpiryInterval: 'u32',
  contentType: 'text',
  responseTopic: 'text',
  correlationData: 'binary',
  subscriptionIdentifier: 'varint',
  sessionExpiryInterval: 'u32',
  assignedClientIdentifier: 'text',
  serverKeepAlive: 'u16',
  authenticationMethod: 'text',
  authenticationData: 'binary',
  requestProblemInformation: 'flag',
  willDelayInterval: 'u32',
  requestResponseInformation: 'flag',
  responseInformation: 'text',
  serverReference: 'text',
  reasonString: 'text',
  receiveMaximum: 'u16',
  topicAliasMaximum: 'u16',
  topicAlias: 'u16',
  maximumQoS: 'u8',
  retainAvailable: 'flag',
  userProperties: 'pair',
  maximumPacketSize: 'u32',
  wildcardSubscriptionAvailable: 'flag',
  subscriptionIdentifiersAvailable: 'flag',
  sharedSubscriptionAvailable: 'flag',
};

/** [MQTT5 2.2.2.2] PUBLISH is read in `publish.ts`, but for what is open of a message. */
const allowed = {
  CONNECT: [
    'sessionExpiryInterval',
    'receiveMaximum',
    'maximumPacketSize',
    'topicAliasMaximum',
    'requestResponseInformation',
    'requestProblemInformation',
    'userProperties',
    'authenticationMethod',
    'authenticationData',
  ],
  will: [
    'willDelayInterval',
    'payloadFormatIndicator',
    'messageExpiryInterval',
    'contentType',
    'responseTopic',
    'correlationData',
    'userProperties',
  ],
  PUBLISH: ['payloadFormatIndicator', 'contentType', 'responseTopic', 'correlationData', 'userProperties'],
  CONNACK: [
    'sessionExpiryInterval',
    'receiveMaximum',
    'maximumQoS',
    'retainAvailable',
    'maximumPacketSize',
    'assignedClientIdentifier',
    'topicAliasMaximum',
    'reasonString',
    'userProperties',
    'wildcardSubscriptionAvailable',
    'subscriptionIdentifiersAvailable',
    'sharedSubscriptionAvailable',
    'serverKeepAlive',
    'responseInformation',
    'serverReference',
    'authenticationMethod',
    'authenticationData',
  ],
  acknowledgement: ['reasonString', 'userProperties'],
  SUBACK: ['reasonString', 'userProperties'],
  UNSUBACK: ['reasonString', 'userProperties'],
  SUBSCRIBE: ['subscriptionIdentifier', 'userProperties'],
  UNSUBSCRIBE: ['userProperties'],
  DISCONNECT: ['sessionExpiryInterval', 'serverReference', 'reasonString', 'userProperties'],
  AUTH: ['authenticationMethod', 'authenticationData', 'reasonString', 'userProperties'],
} as const satisfies Record<string, readonly PropertyName[]>;

export type PropertyOwner = keyof typeof allowed;

/** Properties whose value 0 is a protocol error. */
const neverZero: ReadonlySet<PropertyName> = new Set(['receiveMaximum', 'maximumPacketSize', 'subscriptionIdentifier']);
const propertyNames = new Map<number, PropertyName>(
  Object.entries(PropertyId).map(([name, id]) => [id, name as PropertyName]),
);

/**
 * Reads the property length and the properties. The result has the shape of the owner's `properties` in `packets.ts`.
 */
export function readProperties<T extends object>(reader: Reader, owner: PropertyOwner): T {
  const properties = reader.part(reader.varint('property length'), 'properties');
  return readPropertyList(properties, owner);
}

export function readPropertyList<T extends object>(reader: Reader, owner: PropertyOwner): T {
  const found: Record<string, unknown> = {};
  const { bytes, at: start } = reader;
  let hasPairs = false;
  while (reader.remaining > 0) {
    const id = reader.varint('property identifier');
    if (id === PropertyId.userProperties) {
      reader.skipText(pairText);
      reader.skipText(pairText);
      hasPairs = true;
      continue;
    }
    const name = propertyNames.get(id);
    if (name === undefined) throw malformed(`${owner} has the unknown property 0x${id.toString(16)}`);
    // Not a protocol error but malformed, as an unknown one is. [MQTT5 2.2.2.2]
    if (!(allowed[owner] as readonly string[]).includes(name)) throw malformed(`${owner} may not have ${name}`);
    const value = readValue(reader, name);
    if (found[name] !== undefined) throw violation(`${owner} has ${name} twice`);
    found[name] = value;
  }
  // Those of an acknowledgement are for nobody.
  if (hasPairs && owner !== 'acknowledgement') keepPairs(found, Buffer.from(bytes.subarray(start, reader.at)));
  return found as T;
}

/** Where the checked bytes are of which `userProperties` is read. */
const listBytes = Symbol('property list');
const pairText = 'user property';

/** Hardly anybody reads them, and a packet may hold 200,000: they are decoded for whoever asks first. */
function keepPairs(found: Record<string, unknown>, list: Buffer): void {
  let pairs: [string, string][] | null = null;
  const get = () => (pairs ??= [...pairsOf(list)].map((at) => [textAt(list, at), textAt(list, skipped(list, at))]));
  Object.defineProperty(found, 'userProperties', { enumerable: true, get });
  Object.defineProperty(found, listBytes, { value: list });
}

/** The value of the last user property of this name: no other one is decoded. */
export function lastUserProperty(properties: object, name: string): string | undefined {
  const list = (properties as { readonly [listBytes]?: Buffer })[listBytes];
  if (list === undefined) return undefined;
  const wanted = prefixed(name);
  let last = -1;
  for (const at of pairsOf(list)) if (beginsWith(list, at, list.length, wanted)) last = at;
  return last === -1 ? undefined : textAt(list, last + wanted.length);
}

/** Where the name of each user property begins. The list has been checked. */
function* pairsOf(list: Buffer): Generator<number> {
  for (let at = 0; at < list.length; ) {
    const id = list[at++]!;
    if (id === PropertyId.userProperties) yield at;
    at = endOf(list, at, id === PropertyId.userProperties ? 'pair' : encodings[propertyNames.get(id)!]);
  }
}

function endOf(list: Buffer, at: number, encoding: Encoding): number {
  switch (encoding) {
    case 'flag':
    case 'u8':
      return at + 1;
    case 'u16':
      return at + 2;
    case 'u32':
      return at + 4;
    case 'varint':
      while (list[at]! >= 128) at++;
      return at + 1;
    case 'text':
    case 'binary':
      return skipped(list, at);
    case 'pair':
      return skipped(list, skipped(list, at));
  }
}

const skipped = (list: Buffer, at: number) => at + 2 + list.readUInt16BE(at);
const textAt = (list: Buffer, at: number) => list.toString('utf8', at + 2, skipped(list, at));

function readValue(reader: Reader, name: PropertyName): unknown {
  switch (encodings[name]) {
    case 'flag': {
      const value = reader.u8(name);
      if (value > 1) throw violation(`${name} is ${value}, neither 0 nor 1`);
      return value === 1;
    }
    case 'u8':
      return reader.u8(name);
    case 'u16':
      return notZero(name, reader.u16(name));
    case 'u32':
      return notZero(name, reader.u32(name));
    case 'varint':
      return notZero(name, reader.varint(name));
    case 'text':
      return reader.text(name);
    case 'binary':
      return reader.binary(name);
    case 'pair':
      throw new Error('User properties are not read one by one');
  }
}

function notZero(name: PropertyName, value: number): number {
  if (value === 0 && neverZero.has(name)) throw violation(`${name} is 0`);
  return value;
}

/** Reasons are made of what peers, hooks and pipelines say: whatever that was, telling a peer of it cannot fail. */
const reasonBytesMax = 1_024;

/**
 * Encodes the properties that are there, without the length before them. Order: that of the object, pairs as they
 * stand.
 */
export function encodeProperties(properties: object): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    const id = PropertyId[name as PropertyName];
    if (name === 'userProperties') {
      for (const [key, text] of value) parts.push(Buffer.from([id]), prefixed(key), prefixed(text));
    } else if (name === 'reasonString') {
      parts.push(Buffer.from([id]), prefixed(printableWithin(String(value), reasonBytesMax)));
    } else parts.push(Buffer.from([id]), encodeValue(encodings[name as PropertyName], value));
  }
  return Buffer.concat(parts);
}

function encodeValue(encoding: Encoding, value: unknown): Buffer {
  switch (encoding) {
    case 'flag':
    case 'u8':
      return Buffer.from([Number(value)]);
    case 'u16':
      return Buffer.from([Number(value) >> 8, Number(value) & 255]);
    case 'u32': {
      const bytes = Buffer.allocUnsafe(4);
      bytes.writeUInt32BE(Number(value));
      return bytes;
    }
    case 'varint':
      return encodeVarint(Number(value));
    default:
      return prefixed(value as string | Uint8Array);
  }
}

/** UTF-8 text or bytes behind two bytes of length. Longer than 65,535 bytes is our own caller's mistake. */
function prefixed(value: string | Uint8Array): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  if (bytes.length > 65_535) throw new RangeError(`A property of ${bytes.length} bytes; at most 65,535 can be encoded`);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

export function encodeVarint(value: number): Buffer {
  const bytes: number[] = [];
  do {
    bytes.push(value >= 128 ? (value & 127) | 128 : value);
    value >>>= 7;
  } while (value > 0);
  return Buffer.from(bytes);
}
