/**
 * Reads `mosquitto.db`, in which Mosquitto 2 keeps retained messages and sessions: chunks of a kind, a length and
 * content, whose numbers are in network order but for 64-bit ones, which are as the machine has them.
 *
 * A file that is damaged, cut short or of another program is refused as a whole, with the byte where that shows.
 */
import { readFileSync } from 'node:fs';
import { fileProblem } from '../../base/file-problem.ts';
import { readPropertyList } from '../../codec/properties.ts';
import { Reader } from '../../codec/reader.ts';
import { assertTopicName, parseFilter } from '../../protocol/topic.ts';
import { ImportError } from '../error.ts';
import type {
  Progress,
  SavedClient,
  SavedData,
  SavedDelivery,
  SavedMessage,
  SavedSubscription,
  SavedUnreleased,
} from '../saved.ts';
import { ChunkReader } from './chunk-reader.ts';

const magic = Buffer.from('\x00\xb5\x00mosquitto db', 'latin1');
/** Behind it: a checksum that is always 0, and the version. */
const headerBytes = magic.length + 8;
const supportedVersion = 6;
const Kind = { config: 1, message: 2, delivery: 3, retained: 4, subscription: 5, client: 6 } as const;

export interface MosquittoData extends SavedData {
  /** Mosquitto wrote it when it stopped. Else it is from before, and Mosquitto ran on or crashed. */
  readonly isFinal: boolean;
}

/** Throws an ImportError. */
export function readDatabase(file: string): MosquittoData {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw new ImportError(`Cannot read ${file}: ${fileProblem(cause as Error)}`, { cause });
  }
  assertHeader(file, bytes);
  const reading = new Reading();
  for (let at = headerBytes; at < bytes.length; ) {
    const chunk = new ChunkReader(file, bytes, at);
    reading.take(chunk);
    at = chunk.end;
  }
  return reading.data;
}

function assertHeader(file: string, bytes: Buffer): void {
  const which = 'name the file that persistence_location and persistence_file of Mosquitto say, usually mosquitto.db';
  if (!bytes.subarray(0, magic.length).equals(magic)) {
    throw new ImportError(`${file}, byte 0: this is no mosquitto.db, which begins with "mosquitto db"; ${which}`);
  }
  if (bytes.length < headerBytes) {
    throw new ImportError(`${file}, byte ${bytes.length}: the file ends within its header; take a copy of it anew`);
  }
  const version = bytes.readUInt32BE(headerBytes - 4);
  if (version === supportedVersion) return;
  const what = `${file}, byte ${headerBytes - 4}: it has version ${version}, and ${supportedVersion} can be read`;
  const how = version < supportedVersion ? 'start Mosquitto 2 with it once and stop it' : 'write it with Mosquitto 2.0';
  throw new ImportError(`${what}; ${how}, then import again`);
}

/** Numbers of Mosquitto's states of a delivery. */
const awaiting: Readonly<Record<number, Progress>> = { 3: 'puback', 5: 'pubrec', 6: 'pubcomp', 9: 'pubcomp' };

class Reading {
  readonly #messages = new Map<bigint, SavedMessage>();
  readonly #clients = new Map<string, SavedClient>();
  readonly #deliveries: SavedDelivery[] = [];
  readonly #unreleased: SavedUnreleased[] = [];
  readonly #subscriptions: SavedSubscription[] = [];
  readonly #retained: bigint[] = [];
  #isFinal = false;

  get data(): MosquittoData {
    return {
      isFinal: this.#isFinal,
      messages: this.#messages,
      clients: [...this.#clients.values()],
      deliveries: this.#deliveries,
      unreleased: this.#unreleased,
      received: [],
      subscriptions: this.#subscriptions,
      retained: this.#retained,
    };
  }

  take(chunk: ChunkReader): void {
    switch (chunk.kind) {
      case Kind.config:
        return this.#config(chunk);
      case Kind.message:
        return this.#message(chunk);
      case Kind.delivery:
        return this.#delivery(chunk);
      case Kind.retained:
        return void this.#retained.push(chunk.id());
      case Kind.subscription:
        return this.#subscription(chunk);
      case Kind.client:
        return this.#client(chunk);
      default:
        throw chunk.wrong(`a chunk of the unknown kind ${chunk.kind}`);
    }
  }

  #config(chunk: ChunkReader): void {
    chunk.id();
    this.#isFinal = chunk.u8() === 1;
    if (chunk.u8() !== 8) throw chunk.wrong('numbers of messages that have no 8 bytes');
  }

  #message(chunk: ChunkReader): void {
    const id = chunk.id();
    const expiresAt = chunk.seconds();
    const payloadBytes = chunk.u32();
    chunk.skip(2);
    const [publisherBytes, usernameBytes, topicBytes] = [chunk.u16(), chunk.u16(), chunk.u16()];
    chunk.skip(2);
    const qos = chunk.qos();
    chunk.skip(1);
    const publisher = chunk.text(publisherBytes);
    chunk.skip(usernameBytes);
    const topic = chunk.check(() => {
      const name = chunk.text(topicBytes);
      assertTopicName(name);
      return name;
    });
    const payload = chunk.bytes(payloadBytes);
    const properties = chunk.properties();
    chunk.check(() => readPropertyList(new Reader('PUBLISH', properties, 0, properties.length), 'PUBLISH'));
    this.#messages.set(id, { id, expiresAt, publisher, topic, payload, properties, qos });
  }

  #client(chunk: ChunkReader): void {
    const endsAt = chunk.seconds();
    const expirySeconds = chunk.u32();
    const lastPacketId = chunk.u16();
    const clientIdBytes = chunk.u16();
    // Its listener and the length of its user name: Mosquitto 2.0 also writes the name of another client there.
    chunk.skip(8);
    const clientId = chunk.text(clientIdBytes);
    this.#clients.set(clientId, { clientId, endsAt, expirySeconds, lastPacketId });
  }

  #delivery(chunk: ChunkReader): void {
    const messageId = chunk.id();
    const packetId = chunk.u16();
    const clientIdBytes = chunk.u16();
    const qos = chunk.qos();
    const state = chunk.u8();
    const retain = (chunk.u8() & 0xf0) !== 0;
    const direction = chunk.u8();
    if (direction > 1) throw chunk.wrong('a message that is neither for a client nor from one');
    const clientId = chunk.text(clientIdBytes);
    if (direction === 0) return void this.#unreleased.push({ clientId, messageId, packetId, retain });
    const progress = packetId === 0 ? 'queued' : (awaiting[state] ?? 'queued');
    const subscriptionIds = chunk.subscriptionIds();
    this.#deliveries.push({ clientId, messageId, packetId, qos, retain, progress, subscriptionIds });
  }

  #subscription(chunk: ChunkReader): void {
    const identifier = chunk.u32();
    const [clientIdBytes, filterBytes] = [chunk.u16(), chunk.u16()];
    const qos = chunk.qos();
    const options = chunk.u8();
    chunk.skip(2);
    const clientId = chunk.text(clientIdBytes);
    const topicFilter = chunk.text(filterBytes);
    if (parseFilter(topicFilter) === null) throw chunk.wrong('a topic filter that is none');
    this.#subscriptions.push({
      clientId,
      topicFilter,
      qos,
      identifier,
      noLocal: (options & 0x04) !== 0,
      retainAsPublished: (options & 0x08) !== 0,
      retainHandling: Math.min(2, (options >> 4) & 3) as 0 | 1 | 2,
    });
  }
}
