/**
 * What one connection does in a round of the event loop has a bound. The rest waits for the next rounds, with the connection parked
 * meanwhile, so that its packets keep their order.
 */
import type { FanOut } from '../core/fan-out.ts';
import type { Message } from '../protocol/message.ts';
import type { PacketId } from '../protocol/packets.ts';
import type { Connection } from './connection.ts';

/** One read may hold thousands of messages, and each may go to thousands of subscribers. */
const copiesPerTurn = 10_000;

export class TakingTurns {
  readonly #connection: Connection;
  /** When the core has made so many copies of messages in all, it is somebody else's turn. */
  #copiesUntil = 0;
  /** Of a message on its way to very many. */
  #leftOver: FanOut | null = null;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** It is the connection's turn. */
  begin(): void {
    this.#copiesUntil = this.#connection.shell.core.copies + copiesPerTurn;
  }

  /** The connection has published a message: its turn may be over. */
  published(message: Message, packetId: PacketId): void {
    const { core } = this.#connection.shell;
    if (core.fanOut !== null) {
      this.#leftOver = core.fanOut;
      core.fanOut = null;
      this.#serveMore();
    }
    if (core.copies > this.#copiesUntil) this.#letOthersGoFirst(message.retain && packetId === 0);
  }

  /** A message for very many: some of them are served now, and the others in the next rounds. */
  #serveMore(): void {
    if (this.#leftOver?.goOn(this.#connection.shell.core.pieces.size) === false) this.giveWay(() => this.#serveMore());
    else this.#leftOver = null;
  }

  /** What it has published reaches everybody before its will does, and before anything that its client publishes next. */
  completeFanOut(): void {
    this.#leftOver?.goOn(Number.POSITIVE_INFINITY);
    this.#leftOver = null;
  }

  /** No answer holds back who publishes retained messages with QoS 0: with `isStored`, it goes on once the last of them is on disk. */
  #letOthersGoFirst(isStored: boolean): void {
    this.#copiesUntil = Number.POSITIVE_INFINITY;
    this.#connection.park();
    const goOn = () => this.#goOnInNextRound(() => {});
    if (isStored) this.#connection.shell.turn.whenStored(this.#connection, goOn);
    else goOn();
  }

  /** Goes on in the next round of the event loop, and takes no further packet until then. */
  giveWay(goOn: () => void): void {
    this.#connection.park();
    this.#goOnInNextRound(goOn);
  }

  #goOnInNextRound(goOn: () => void): void {
    const connection = this.#connection;
    connection.shell.core.sink.later(() => {
      connection.shell.boundary.forOne(connection, goOn);
      connection.unpark();
    });
  }
}
