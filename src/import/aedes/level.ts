/**
 * Reads what an Aedes with aedes-persistence-level has kept: records of LevelDB whose keys say what they are, with
 * packets in MessagePack. See that package's `asyncPersistence.js`, versions 9.0 to 9.2, for Aedes 1.
 *
 * A session is whatever a client has left there: Aedes keeps no record of the session itself, and none ends by time.
 */
import { Unpackr } from 'msgpackr';
import * as z from 'zod';
import { encodePublishProperties } from '../../codec/publish-properties.ts';
import type { PacketId, QoS } from '../../protocol/packets.ts';
import { assertTopicName, matches, type ParsedFilter, parseFilter } from '../../protocol/topic.ts';
import { userPropertyPairs } from '../../protocol/user-properties.ts';
import { ImportError } from '../error.ts';
import {
  endless,
  type SavedClient,
  type SavedData,
  type SavedDelivery,
  type SavedMessage,
  type SavedReceived,
  type SavedSubscription,
} from '../saved.ts';

export interface AedesData extends SavedData {
  /** Wills of clients that were connected when Aedes ended, and not in order: they do not come over. */
  readonly wills: number;
}

const qos = z.union([z.literal(0), z.literal(1), z.literal(2)]);
const packetId = z.int().min(1).max(65_535);
const topicName = z.string().refine((name) => isFine(() => assertTopicName(name)), 'expected a topic name');
const topicFilter = z.string().refine((filter) => parseFilter(filter) !== null, 'expected a topic filter');
const payload = z.union([z.instanceof(Buffer), z.string().transform((text) => Buffer.from(text))]);
const orNone = <Schema extends z.ZodType>(schema: Schema) => schema.nullish().transform((value) => value ?? undefined);

/** As mqtt-packet has them. */
const properties = z.looseObject({
  payloadFormatIndicator: orNone(z.boolean()),
  contentType: orNone(z.string()),
  responseTopic: orNone(z.string()),
  correlationData: orNone(z.instanceof(Buffer)),
  userProperties: orNone(z.record(z.string(), z.union([z.string(), z.array(z.string())]))),
});

const publish = z.looseObject({
  cmd: z.literal('publish'),
  topic: topicName,
  payload: payload.nullish().transform((bytes) => bytes ?? Buffer.alloc(0)),
  qos,
  retain: orNone(z.boolean()),
  clientId: orNone(z.string()),
  properties: orNone(properties),
  /** Milliseconds since the epoch. */
  messageExpiry: orNone(z.number()),
});
type Publish = z.output<typeof publish>;

const ofBroker = { brokerId: z.string(), brokerCounter: z.int().min(0), messageId: orNone(packetId) };
const outgoing = z.discriminatedUnion('cmd', [
  publish.extend(ofBroker),
  z.looseObject({ cmd: z.literal('pubrel'), ...ofBroker }),
]);
type Outgoing = z.output<typeof outgoing>;
const incoming = z.looseObject({ messageId: packetId });

const subscription = z.looseObject({
  clientId: z.string(),
  topic: topicFilter,
  qos,
  nl: orNone(z.boolean()),
  rap: orNone(z.boolean()),
  rh: orNone(z.union([z.literal(0), z.literal(1), z.literal(2)])),
  properties: orNone(z.looseObject({ subscriptionIdentifier: orNone(z.int()) })),
});

const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });

/** `directory` is for messages. Rejects with an ImportError if a record is none of Aedes's. */
export async function readAedes(
  directory: string,
  records: AsyncIterable<readonly [key: Buffer, value: Buffer]>,
): Promise<AedesData> {
  const reading = new Reading(directory);
  for await (const [key, value] of records) reading.take(key.toString(), value);
  return reading.finish();
}

class Reading {
  readonly #directory: string;
  readonly #subscriptions: SavedSubscription[] = [];
  readonly #outgoing: { readonly clientId: string; readonly packet: Outgoing }[] = [];
  readonly #received: SavedReceived[] = [];
  readonly #retained: Publish[] = [];
  readonly #messages = new Map<bigint, SavedMessage>();
  #wills = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  take(key: string, value: Buffer): void {
    const [kind = ''] = key.split(':', 1);
    switch (kind) {
      case 'retained':
        return void this.#retained.push(this.#read(key, value, publish));
      case 'subscriptions':
        return void this.#subscriptions.push(subscriptionOf(this.#read(key, value, subscription)));
      case 'outgoing': {
        const packet = this.#read(key, value, outgoing);
        return void this.#outgoing.push({ clientId: this.#clientOf(key, `:${packet.brokerId}:`), packet });
      }
      case 'incoming': {
        // It was published when it came.
        const { messageId } = this.#read(key, value, incoming);
        return void this.#received.push({ clientId: this.#clientOf(key, ':'), packetId: messageId });
      }
      case 'outgoing-id':
        // The same packets, by another key.
        return;
      case 'will':
        this.#wills++;
        return;
      default:
        throw this.#wrong(key, 'is none of aedes-persistence-level');
    }
  }

  #read<Schema extends z.ZodType>(key: string, value: Buffer, schema: Schema): z.output<Schema> {
    let found: unknown;
    try {
      found = unpackr.unpack(value);
    } catch (error) {
      throw this.#wrong(key, `is no MessagePack (${(error as Error).message})`);
    }
    const { data, error } = schema.safeParse(found);
    if (error === undefined) return data;
    const { path, message } = error.issues[0]!;
    throw this.#wrong(key, `cannot be used: ${path.join('.')}: ${message}`);
  }

  /** Between the kind of the record and the last `end`. */
  #clientOf(key: string, end: string): string {
    const from = key.indexOf(':') + 1;
    const to = key.lastIndexOf(end);
    try {
      if (to > from) return decodeURIComponent(key.slice(from, to));
    } catch {
      // As below.
    }
    throw this.#wrong(key, 'names no client');
  }

  #wrong(key: string, what: string): ImportError {
    const how = 'name the directory that the program gives to Level for aedes-persistence-level';
    return new ImportError(`${this.#directory}: the record ${JSON.stringify(key.slice(0, 200))} ${what}; ${how}`);
  }

  finish(): AedesData {
    const retained = this.#retained.map((packet) => this.#add(packet));
    const deliveries = this.#deliveries();
    const received = this.#received;
    const clients = clientsOf([...this.#subscriptions, ...received], deliveries);
    const subscriptions = this.#subscriptions;
    const unreleased: [] = [];
    const messages = this.#messages;
    return { messages, clients, deliveries, unreleased, received, subscriptions, retained, wills: this.#wills };
  }

  /** In the order in which Aedes sends them: that of its numbers, of one broker after the other. */
  #deliveries(): SavedDelivery[] {
    const inOrder = this.#outgoing.toSorted(({ packet: a }, { packet: b }) => {
      return a.brokerId === b.brokerId ? a.brokerCounter - b.brokerCounter : a.brokerId < b.brokerId ? -1 : 1;
    });
    const filters = new Map<string, ParsedSubscription[]>();
    for (const each of this.#subscriptions) {
      const parsed = { ...each, filter: parseFilter(each.topicFilter)!.filter };
      const others = filters.get(each.clientId);
      if (others === undefined) filters.set(each.clientId, [parsed]);
      else others.push(parsed);
    }
    const known = new Map<string, bigint>();
    return inOrder.flatMap(({ clientId, packet }) => {
      // A PUBREL that was never sent is owed to nobody.
      if (packet.cmd === 'pubrel' && packet.messageId === undefined) return [];
      const name = `${packet.brokerId} ${packet.brokerCounter} ${packet.cmd}`;
      const messageId = known.get(name) ?? this.#add(packet.cmd === 'publish' ? packet : released);
      known.set(name, messageId);
      return [deliveryOf(clientId, packet, messageId, filters.get(clientId) ?? [])];
    });
  }

  #add(packet: Publish): bigint {
    const id = BigInt(this.#messages.size + 1);
    const { topic, payload, qos, clientId = '', messageExpiry, properties } = packet;
    const expiresAt = messageExpiry === undefined ? 0 : Math.ceil(messageExpiry / 1_000);
    const pairs = encodePublishProperties({
      ...properties,
      userProperties: userPropertyPairs(properties?.userProperties),
    });
    this.#messages.set(id, { id, expiresAt, publisher: clientId, topic, payload, properties: pairs, qos });
    return id;
  }
}

/** Once a client has confirmed a QoS 2 message, Aedes forgets what it was: only PUBREL is still owed. */
const released: Publish = { cmd: 'publish', topic: 'aedes/released', payload: Buffer.alloc(0), qos: 2 } as Publish;

type ParsedSubscription = SavedSubscription & { readonly filter: ParsedFilter['filter'] };

function deliveryOf(
  clientId: string,
  packet: Outgoing,
  messageId: bigint,
  subscriptions: readonly ParsedSubscription[],
): SavedDelivery {
  const { messageId: packetId = 0 } = packet;
  const common = { clientId, messageId, packetId };
  if (packet.cmd === 'pubrel') {
    return { ...common, qos: 2, retain: false, progress: 'pubcomp', subscriptionIds: [] };
  }
  const found = subscriptions.filter(({ filter }) => matches(filter, packet.topic));
  const subscriptionIds = found.map(({ identifier }) => identifier).filter((identifier) => identifier > 0);
  const retain = packet.retain === true && found.some(({ retainAsPublished }) => retainAsPublished);
  // Until it is sent, Aedes keeps it with the QoS of its publisher.
  const granted = Math.max(0, ...found.map((each) => each.qos));
  const isSent = packetId > 0 && packet.qos > 0;
  const qos = (isSent || granted === 0 ? packet.qos : Math.min(packet.qos, granted)) as QoS;
  const progress = !isSent ? 'queued' : qos === 1 ? 'puback' : 'pubrec';
  return { ...common, qos, retain, progress, subscriptionIds };
}

function subscriptionOf({ clientId, topic, qos, nl, rap, rh, properties }: z.output<typeof subscription>) {
  return {
    ...{ clientId, topicFilter: topic, qos, identifier: properties?.subscriptionIdentifier ?? 0 },
    ...{ noLocal: nl === true, retainAsPublished: rap === true, retainHandling: rh ?? 0 },
  } satisfies SavedSubscription;
}

/** Packet identifiers go on behind the last one that is in use. */
function clientsOf(others: readonly { clientId: string }[], deliveries: readonly SavedDelivery[]): SavedClient[] {
  const lastIds = new Map<string, PacketId>(others.map(({ clientId }) => [clientId, 0]));
  for (const { clientId, packetId } of deliveries) {
    lastIds.set(clientId, Math.max(packetId, lastIds.get(clientId) ?? 0));
  }
  return [...lastIds].map(([clientId, lastPacketId]) => ({
    clientId,
    endsAt: 0,
    expirySeconds: endless,
    lastPacketId,
  }));
}

function isFine(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}
