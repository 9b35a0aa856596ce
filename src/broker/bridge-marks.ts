/**
 * What messages carry between brokers, as user properties of MQTT 5.0:
 *
 * - `sluice-path`: the brokers that a message has come through, as BGP has it for routes. A broker takes no message
 *   that has been there before, so none goes round, whatever bridges there are.
 * - `sluice-seq`: of QoS 1 and 2 between Sluices, the number of the message in the session that it is sent from. It is
 *   the same when the message is sent again, so its receiver takes it once: see `SeenMessages`.
 *
 * In CONNECT and CONNACK, `sluice-bridge` says which broker it is and how to understand its numbers (the *series*), and
 * `sluice-seen` the highest one that has come of the other's series: a broker that was put back to an older state
 * begins another series then, since it will give numbers anew. A node of a cluster says by `sluice-broker` which broker
 * the cluster is, and nothing else: numbers are about one node, and would mean another message at the next one.
 */

import { lastUserProperty, PropertyId } from '../codec/properties.ts';
import { propertyEnd } from '../codec/publish.ts';
import { Message } from '../protocol/message.ts';
import { noTopic } from '../protocol/topic.ts';
import type { Notes } from './notes.ts';

export const bridgeProperty = 'sluice-bridge';
export const seenProperty = 'sluice-seen';
export const brokerProperty = 'sluice-broker';
const [pathName, seqName] = [Buffer.from('sluice-path'), Buffer.from('sluice-seq')];

/** A message that has come through more brokers is not going anywhere. */
const hopsMax = 32;
const brokerIdBytes = 9;
const idNote = 'broker/id';

/** Of the broker. */
export interface Remembering {
  readonly notes: Notes;
  readonly randomBytes: (count: number) => Buffer;
}

/** Names this broker to others, for as long as its data lasts. */
export function brokerIdOf({ notes, randomBytes }: Remembering): string {
  let id = notes.get(idNote);
  if (id === null) {
    id = Buffer.from(randomBytes(brokerIdBytes).toString('base64url'));
    notes.put(idNote, id);
  }
  return id.toString();
}

/** What a broker says of itself. */
export interface BridgeGreeting {
  readonly brokerId: string;
  readonly series: string;
  /** Messages that it has in flight at most. */
  readonly inFlight: number;
}

const greetingForm = /^([\w-]{1,32}) ([\w.-]{1,32}) (\d{1,5})$/;

export const greetingText = ({ brokerId, series, inFlight }: BridgeGreeting) => `${brokerId} ${series} ${inFlight}`;

/** Null: it is none, and no Sluice. */
function readGreeting(text: string | undefined): BridgeGreeting | null {
  const [, brokerId, series, inFlight] = greetingForm.exec(text ?? '') ?? [];
  return brokerId === undefined ? null : { brokerId, series: series!, inFlight: Number(inFlight) };
}

/** Which broker the other one is. */
export interface OtherBroker {
  readonly brokerId: string;
  /** Null: its messages have no numbers, nor should those to it. */
  readonly greeting: BridgeGreeting | null;
}

const idForm = /^[\w-]{1,32}$/;

/** Of CONNECT or CONNACK. Null: it is no Sluice, or no bridge of one. `hasNumbers`: those of this broker do. */
export function otherBroker(
  properties: Parameters<typeof lastUserProperty>[0],
  hasNumbers: boolean,
): OtherBroker | null {
  const greeting = readGreeting(lastUserProperty(properties, bridgeProperty));
  if (greeting !== null) return { brokerId: greeting.brokerId, greeting: hasNumbers ? greeting : null };
  const brokerId = lastUserProperty(properties, brokerProperty);
  return brokerId !== undefined && idForm.test(brokerId) ? { brokerId, greeting: null } : null;
}

/** What the other one has of a series. */
export interface SeenGreeting {
  readonly brokerId: string;
  readonly series: string;
  readonly highest: number;
}

const seenForm = /^([\w-]{1,32}) ([\w.-]{1,32}) (\d{1,16})$/;

export const seenText = ({ brokerId, series, highest }: SeenGreeting) => `${brokerId} ${series} ${highest}`;

export function readSeen(text: string | undefined): SeenGreeting | null {
  const [, brokerId, series, highest] = seenForm.exec(text ?? '') ?? [];
  return brokerId === undefined ? null : { brokerId, series: series!, highest: Number(highest) };
}

/** What a message that has come says. */
export interface Marks {
  /** Ids of brokers, the first one first. */
  readonly path: readonly string[];
  /** 0: it has none. */
  readonly seq: number;
}

const noMarks: Marks = { path: [], seq: 0 };

/** Reads the marks, and takes out what is for this hop alone. The message may be borrowed. */
export function takeMarks(message: Message): Marks {
  const { bytes, propertiesStart, propertiesEnd } = message;
  if (propertiesStart === propertiesEnd) return noMarks;
  const path = find(bytes, propertiesStart, propertiesEnd, pathName);
  const seq = find(bytes, propertiesStart, propertiesEnd, seqName);
  if (path === -1 && seq === -1) return noMarks;
  const marks = {
    path: path === -1 ? [] : valueAt(bytes, path).split(','),
    seq: seq === -1 ? 0 : Number(valueAt(bytes, seq)),
  };
  if (seq !== -1) cutOut(message, seq);
  return Number.isSafeInteger(marks.seq) ? marks : { ...marks, seq: 0 };
}

/** Whether a message has been at this broker, or has come too far. */
export const goesRound = ({ path }: Marks, brokerId: string) => path.length > hopsMax || path.includes(brokerId);

/** The path of a message that is kept; empty: it is from here. */
export function pathOf({ bytes, propertiesStart, propertiesEnd }: Message): string {
  if (propertiesStart === propertiesEnd) return '';
  const at = find(bytes, propertiesStart, propertiesEnd, pathName);
  return at === -1 ? '' : valueAt(bytes, at);
}

/** Writes marks into messages that go to one other broker. */
export class Marker {
  readonly #brokerId: string;
  /** The other one understands numbers. */
  readonly #hasNumbers: boolean;
  readonly #view = Message.borrowed(noTopic);
  #room = Buffer.allocUnsafe(4_096);
  /** Of messages from here, which are most. */
  readonly #ownPath: Buffer;

  constructor(brokerId: string, hasNumbers: boolean) {
    this.#brokerId = brokerId;
    this.#hasNumbers = hasNumbers;
    this.#ownPath = pair(pathName, brokerId);
  }

  /**
   * The message with its marks, until the next one is asked for; a larger one lasts. `number`: its own; 0: it has none.
   */
  mark(message: Message, number: number): Message {
    const { bytes, propertiesStart, propertiesEnd, payloadStart, payloadEnd } = message;
    const before = pathOf(message);
    const path = before === '' ? this.#ownPath : pair(pathName, `${before},${this.#brokerId}`);
    const seq = this.#hasNumbers && number > 0 ? pair(seqName, String(number)) : nothing;
    const most = propertiesEnd - propertiesStart + path.length + seq.length + payloadEnd - payloadStart;
    const isLarge = most > roomMax;
    if (!isLarge && most > this.#room.length) this.#room = Buffer.allocUnsafe(2 * most);
    const out = isLarge ? Buffer.allocUnsafeSlow(most) : this.#room;
    let end = copyOthers(message, out);
    end += path.copy(out, end);
    end += seq.copy(out, end);
    const marked = isLarge ? new Message(message.topic) : this.#view;
    marked.renew();
    marked.rename(message.topic);
    marked.bytes = out;
    marked.propertiesStart = 0;
    marked.propertiesEnd = marked.payloadStart = end;
    marked.payloadEnd = end + bytes.copy(out, end, payloadStart, payloadEnd);
    return marked;
  }
}

/** What is larger gets a buffer of its own. */
const roomMax = 65_536;
const nothing = Buffer.alloc(0);

function pair(name: Buffer, text: string): Buffer {
  const value = Buffer.from(text);
  const bytes = Buffer.allocUnsafe(5 + name.length + value.length);
  bytes[0] = PropertyId.userProperties;
  bytes.writeUInt16BE(name.length, 1);
  name.copy(bytes, 3);
  bytes.writeUInt16BE(value.length, 3 + name.length);
  value.copy(bytes, 5 + name.length);
  return bytes;
}

/** Copies the properties that are no marks; returns where they end. */
function copyOthers({ bytes, propertiesStart, propertiesEnd }: Message, out: Buffer): number {
  let end = 0;
  for (let at = propertiesStart; at < propertiesEnd; ) {
    const next = propertyEnd(bytes, at);
    if (!isNamed(bytes, at, pathName) && !isNamed(bytes, at, seqName)) end += bytes.copy(out, end, at, next);
    at = next;
  }
  return end;
}

function find(bytes: Buffer, start: number, end: number, name: Buffer): number {
  for (let at = start; at < end; at = propertyEnd(bytes, at)) if (isNamed(bytes, at, name)) return at;
  return -1;
}

/** Whether a user property of this name begins at `at`. */
function isNamed(bytes: Buffer, at: number, name: Buffer): boolean {
  if (bytes[at] !== PropertyId.userProperties || bytes.readUInt16BE(at + 1) !== name.length) return false;
  return bytes.compare(name, 0, name.length, at + 3, at + 3 + name.length) === 0;
}

function valueAt(bytes: Buffer, at: number): string {
  const value = at + 3 + bytes.readUInt16BE(at + 1);
  return bytes.toString('utf8', value + 2, value + 2 + bytes.readUInt16BE(value));
}

/** In place: what stands before it moves up to what follows. */
function cutOut(message: Message, at: number): void {
  const { bytes, propertiesStart } = message;
  const length = propertyEnd(bytes, at) - at;
  bytes.copyWithin(propertiesStart + length, propertiesStart, at);
  message.cutProperties(propertiesStart + length);
}
