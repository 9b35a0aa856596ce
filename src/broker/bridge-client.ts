/**
 * What a connection has besides if its client is a bridge of another Sluice: numbers by which each message is taken
 * once in either direction, and the path by which none goes round.
 */
import { lastUserProperty } from '../codec/properties.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { Message } from '../protocol/message.ts';
import type { ConnectPacket, UserProperties } from '../protocol/packets.ts';
import {
  type BridgeGreeting,
  bridgeProperty,
  brokerIdOf,
  brokerProperty,
  goesRound,
  greetingText,
  Marker,
  type OtherBroker,
  otherBroker,
  type Remembering,
  readSeen,
  seenProperty,
  seenText,
  takeMarks,
} from './bridge-marks.ts';
import { DemandTeller, demandProperty } from './demand-teller.ts';
import { SeenMessages } from './seen-messages.ts';
import { UnstoredAcks, type UnstoredAcksOptions } from './unstored-acks.ts';

/** Clients of which numbers are remembered; beyond, those that came first are forgotten. */
const clientsMax = 10_000;
const seenPrefix = 'bridge/client/seen/';
const seriesPrefix = 'bridge/client/series/';
/** Names of notes have a bound. */
const clientIdBytesMax = 900;

/** The broker's, as far as it matters here. */
interface BridgeContext extends Remembering {
  readonly core: { forgetReceived(session: ClientSession): void };
  readonly commits: UnstoredAcksOptions['commits'];
  readonly settings: { readonly limits: { readonly inflight: number } };
  /** Null: the broker is alone, and knows by itself what has come. */
  readonly cluster: object | null;
}

/** The connection. */
type BridgeChannel = UnstoredAcksOptions['channel'] & ConstructorParameters<typeof DemandTeller>[0];

/** What becomes of a message: it is new, was taken before, or has been at this broker. */
export type Arrival = 'new' | 'again' | 'round';

/** Of a bridge whose messages have numbers: those that have come, and what it is told besides. */
class Numbers {
  readonly seen: SeenMessages;
  readonly unstoredAcks: UnstoredAcks;
  /** Of what is subscribed to here. */
  readonly demand: DemandTeller;
  /** For the CONNACK. */
  readonly properties: UserProperties;

  constructor(
    context: BridgeContext,
    channel: BridgeChannel,
    session: ClientSession,
    packet: ConnectPacket,
    { brokerId, peer }: { readonly brokerId: string; readonly peer: BridgeGreeting },
  ) {
    const { notes, settings, commits } = context;
    const note = seenPrefix + session.clientId;
    this.unstoredAcks = new UnstoredAcks({ notes, commits, channel });
    boundNotes(context, note);
    this.seen = new SeenMessages(notes, note, peer);
    // Its half of the session is another one: the identifiers that it had stand for nothing.
    if (this.seen.isNew) context.core.forgetReceived(session);
    this.demand = new DemandTeller(channel, brokerId, peer.brokerId);
    const own = { brokerId, series: seriesOf(context, session, packet, brokerId), inFlight: settings.limits.inflight };
    const { highest } = this.seen;
    this.properties = [
      [bridgeProperty, greetingText(own)],
      [demandProperty, '1'],
      ...(highest > 0 ? [[seenProperty, seenText({ ...peer, highest })] as const] : []),
    ];
  }
}

export class BridgeClient {
  /** For the CONNACK. */
  readonly properties: UserProperties;
  readonly #brokerId: string;
  readonly #marker: Marker;
  /** Null: messages have none, and are known again by their packet identifiers alone. */
  readonly #numbers: Numbers | null;
  /** Of the message that is being published; 0: it has none. */
  #number = 0;

  constructor(
    context: BridgeContext,
    channel: BridgeChannel,
    session: ClientSession,
    packet: ConnectPacket,
    { greeting: peer }: OtherBroker,
  ) {
    const brokerId = brokerIdOf(context);
    this.#brokerId = brokerId;
    this.#marker = new Marker(brokerId, peer !== null);
    this.#numbers = peer === null ? null : new Numbers(context, channel, session, packet, { brokerId, peer });
    this.properties = this.#numbers?.properties ?? [[brokerProperty, brokerId]];
  }

  /** Null: it is told nothing of what is subscribed to here. */
  get demand(): DemandTeller | null {
    return this.#numbers?.demand ?? null;
  }

  /** Takes the marks out of a message that has come, which may be borrowed. */
  arrived(message: Message): Arrival {
    const marks = takeMarks(message);
    this.#number = message.qos === 0 || this.#numbers === null ? 0 : marks.seq;
    if (goesRound(marks, this.#brokerId)) return 'round';
    return this.#number > 0 && this.#numbers!.seen.has(this.#number) ? 'again' : 'new';
  }

  /** The message that has come last is published, in the same go as this is called. */
  published(): void {
    if (this.#number > 0) this.#numbers!.seen.add(this.#number);
    this.#number = 0;
  }

  /** A PUBACK of the client has been taken. */
  acknowledged(): void {
    this.#numbers?.unstoredAcks.add();
  }

  /** A message on its way to the client, with its marks. */
  mark(message: Message): Message {
    return this.#marker.mark(message, message.qos === 0 ? 0 : message.id);
  }
}

/** Null: the client is none. */
export function bridgeClientOf(
  context: BridgeContext,
  channel: BridgeChannel,
  session: ClientSession,
  packet: ConnectPacket,
): BridgeClient | null {
  const peer = otherBroker(packet.properties, context.cluster === null);
  if (peer === null || !session.isPersistent || Buffer.byteLength(session.clientId) > clientIdBytesMax) return null;
  return new BridgeClient(context, channel, session, packet, peer);
}

/** Other numbers stand for other messages if the client knows higher ones than were ever sent to it. */
function seriesOf(
  { notes, randomBytes }: BridgeContext,
  session: ClientSession,
  packet: ConnectPacket,
  brokerId: string,
): string {
  const name = seriesPrefix + session.clientId;
  const series = notes.get(name)?.toString() ?? '';
  const current = `${session.sid}.${series}`;
  const seen = readSeen(lastUserProperty(packet.properties, seenProperty));
  const isAhead = seen?.brokerId === brokerId && seen.series === current && seen.highest > session.sentUpTo;
  if (!isAhead) return current;
  const next = randomBytes(6).toString('hex');
  notes.put(name, Buffer.from(next));
  return `${session.sid}.${next}`;
}

function boundNotes({ notes }: BridgeContext, wanted: string): void {
  if (notes.get(wanted) !== null) return;
  const names = [...notes.names(seenPrefix)];
  for (const name of names.slice(0, Math.max(0, names.length + 1 - clientsMax))) notes.delete(name);
}
