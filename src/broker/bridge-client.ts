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
  goesRound,
  greetingText,
  Marker,
  type Remembering,
  readGreeting,
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
}

/** The connection. */
type BridgeChannel = UnstoredAcksOptions['channel'] & ConstructorParameters<typeof DemandTeller>[0];

/** What becomes of a message: it is new, was taken before, or has been at this broker. */
export type Arrival = 'new' | 'again' | 'round';

export class BridgeClient {
  /** For the CONNACK. */
  readonly properties: UserProperties;
  readonly #brokerId: string;
  readonly #seen: SeenMessages;
  readonly #marker: Marker;
  readonly #unstoredAcks: UnstoredAcks;
  /** Of what is subscribed to here. */
  readonly demand: DemandTeller;
  /** The number of the message that is being published; 0: it has none. */
  #number = 0;

  constructor(
    context: BridgeContext,
    channel: BridgeChannel,
    session: ClientSession,
    packet: ConnectPacket,
    peer: BridgeGreeting,
  ) {
    const { notes, settings, commits } = context;
    const { clientId } = session;
    this.#unstoredAcks = new UnstoredAcks({ notes, commits, channel });
    this.#brokerId = brokerIdOf(context);
    boundNotes(context, seenPrefix + clientId);
    this.#seen = new SeenMessages(notes, seenPrefix + clientId, peer);
    // Its half of the session is another one: the identifiers that it had stand for nothing.
    if (this.#seen.isNew) context.core.forgetReceived(session);
    this.#marker = new Marker(this.#brokerId, true);
    this.demand = new DemandTeller(channel, this.#brokerId, peer.brokerId);
    const series = seriesOf(context, session, packet, this.#brokerId);
    const own = { brokerId: this.#brokerId, series, inFlight: settings.limits.inflight };
    const { highest } = this.#seen;
    this.properties = [
      [bridgeProperty, greetingText(own)],
      [demandProperty, '1'],
      ...(highest > 0 ? [[seenProperty, seenText({ ...peer, highest })] as const] : []),
    ];
  }

  /** Takes the marks out of a message that has come, which may be borrowed. */
  arrived(message: Message): Arrival {
    const marks = takeMarks(message);
    this.#number = message.qos === 0 ? 0 : marks.seq;
    if (goesRound(marks, this.#brokerId)) return 'round';
    return this.#number > 0 && this.#seen.has(this.#number) ? 'again' : 'new';
  }

  /** The message that has come last is published, in the same go as this is called. */
  published(): void {
    if (this.#number > 0) this.#seen.add(this.#number);
    this.#number = 0;
  }

  /** A PUBACK of the client has been taken. */
  acknowledged(): void {
    this.#unstoredAcks.add();
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
  const peer = readGreeting(lastUserProperty(packet.properties, bridgeProperty));
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
