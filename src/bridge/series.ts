/**
 * The numbers of messages between two Sluices: what a bridge says of its own, and what it knows of the peer's. See
 * `broker/bridge-marks.ts`.
 */
import {
  bridgeProperty,
  brokerIdOf,
  brokerProperty,
  greetingText,
  otherBroker,
  readSeen,
  seenProperty,
  seenText,
} from '../broker/bridge-marks.ts';
import type { BrokerContext } from '../broker/broker-context.ts';
import { demandProperty } from '../broker/demand-teller.ts';
import { lastSeen, SeenMessages } from '../broker/seen-messages.ts';
import { lastUserProperty } from '../codec/properties.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { ConnackPacket, UserProperties } from '../protocol/packets.ts';

/** A peer that is a Sluice. */
export interface SluicePeer {
  readonly brokerId: string;
  /** What has come from it; null: one of the two is a cluster, and knows no numbers. */
  readonly seen: SeenMessages | null;
  /**
   * It knows higher numbers than were ever sent: this broker was put back to an older state, and is to connect again
   * with another series.
   */
  readonly isAhead: boolean;
  /** It can be asked what is subscribed to there. */
  readonly tellsDemand: boolean;
}

export class Series {
  readonly brokerId: string;
  readonly #context: BrokerContext;
  /** It is alone: a message has the same number whenever it is sent again. */
  readonly #hasNumbers: boolean;
  /** Of notes. */
  readonly #seriesNote: string;
  readonly #seenNote: string;
  readonly #session: () => ClientSession | null;

  constructor(context: BrokerContext, bridge: string, session: () => ClientSession | null) {
    this.#context = context;
    this.#hasNumbers = context.cluster === null;
    this.brokerId = brokerIdOf(context);
    this.#seriesNote = `bridge/out/series/${bridge}`;
    this.#seenNote = `bridge/in/seen/${bridge}`;
    this.#session = session;
  }

  get #current(): string {
    return `${this.#session()?.sid ?? 0}.${this.#context.notes.get(this.#seriesNote)?.toString() ?? ''}`;
  }

  /** For CONNECT. */
  greeting(inFlight: number): UserProperties {
    const { brokerId } = this;
    if (!this.#hasNumbers) return [[brokerProperty, brokerId]];
    const seen = lastSeen(this.#context.notes, this.#seenNote);
    return [
      [bridgeProperty, greetingText({ brokerId, series: this.#current, inFlight })],
      ...(seen === null ? [] : [[seenProperty, seenText(seen)] as const]),
    ];
  }

  /** Null: it is another broker. `inFlight`: as CONNECT has said it. */
  peerOf({ properties }: ConnackPacket, inFlight: number): SluicePeer | null {
    const { notes, randomBytes } = this.#context;
    const other = otherBroker(properties, this.#hasNumbers);
    if (other === null) return null;
    const peer = other.greeting;
    if (peer === null) return { brokerId: other.brokerId, seen: null, isAhead: false, tellsDemand: false };
    const known = readSeen(lastUserProperty(properties, seenProperty));
    const isOurs = known?.brokerId === this.brokerId && known.series === this.#current;
    const isAhead = isOurs && known.highest > (this.#session()?.sentUpTo ?? 0);
    if (isAhead) notes.put(this.#seriesNote, Buffer.from(randomBytes(6).toString('hex')));
    const from = { ...peer, inFlight: Math.min(peer.inFlight, inFlight) };
    const tellsDemand = lastUserProperty(properties, demandProperty) !== undefined;
    return { brokerId: peer.brokerId, seen: new SeenMessages(notes, this.#seenNote, from), isAhead, tellsDemand };
  }

  /** The bridge is gone. */
  forget(): void {
    this.#context.notes.delete(this.#seriesNote);
    this.#context.notes.delete(this.#seenNote);
  }
}
