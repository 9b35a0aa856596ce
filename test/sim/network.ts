/**
 * A network connection in the simulation: bytes on their way both ways, late, cut anywhere, held up by a reader that
 * does not read, lost when one side breaks off. Never out of order within a connection, in any order between two.
 */
import { parser } from 'mqtt-packet';
import type { Random } from '../../scripts/crash/random.ts';
import type { ByteReceiver, ByteStream } from '../../src/contracts/transport.ts';
import type { ProtocolVersion } from '../../src/protocol/traits.ts';
import type { Life, World } from './world.ts';

/** A packet as mqtt-packet reads it. */
export interface Packet {
  cmd: string;
  messageId?: number;
  topic?: string;
  payload?: Buffer;
  qos?: 0 | 1 | 2;
  retain?: boolean;
  dup?: boolean;
  granted?: number[];
  sessionPresent?: boolean;
  reasonCode?: number;
  returnCode?: number;
  properties?: {
    messageExpiryInterval?: number;
    topicAlias?: number;
    subscriptionIdentifier?: number | number[];
    assignedClientIdentifier?: string;
    sessionExpiryInterval?: number;
    receiveMaximum?: number;
    topicAliasMaximum?: number;
    userProperties?: Record<string, string | string[]>;
    reasonString?: string;
    [name: string]: unknown;
  };
  /** Bytes of the packet, header included. */
  bytes: number;
}

/** How long a broker waits for the peer to close after it has closed. */
const endTimeoutMs = 3_000;
/** The kernel gives no more at a time. */
const readBytesMax = 65_000;
/** What a read gave is only there during the call. */
const readBuffer = Buffer.alloc(65_536);

export interface WireHabits {
  readonly latencyMs: number;
  /** How likely bytes arrive in pieces. */
  readonly pieces: number;
  /** What the kernels on the way hold of what the client has not read. */
  readonly kernelBytes: number;
}

export interface WireEnds {
  /** Bytes of the client are about to reach the broker, once the promise is settled; null: at once. */
  beforeArrival(): Promise<void> | null;
  /** They have. */
  afterArrival(): void;
  /** The broker wrote this packet, and the kernel has it. */
  onWritten(packet: Packet): void;
  /** The client reads it. */
  onPacket(packet: Packet): void;
  /** The client finds that the connection is gone. */
  onGone(): void;
  /** The broker closes it. */
  onEnded(): void;
}

export class Wire implements ByteStream {
  readonly kind = 'tcp';
  readonly remoteAddress: string;
  readonly certificate = null;
  receiver: ByteReceiver | null = null;
  /** For the broker, it is over. */
  isClosed = false;
  /** When bytes last came through to the broker. */
  lastReadAt: number;
  isPaused = false;
  isEnding = false;
  /** The client takes what comes. */
  isReading = true;
  /** The client is there at all; if not, nobody tells the broker. */
  isSilent = false;
  readonly #world: World;
  readonly #random: Random;
  readonly #habits: WireHabits;
  readonly #life: Life;
  readonly #ends: WireEnds;
  readonly #parser;
  #up: Buffer[] = [];
  #isUpUnderWay = false;
  #isUpEnded = false;
  #upArrivesAt = 0;
  #downArrivesAt = 0;
  /** Written by the broker and not taken by the kernel: the very memory, which must not change. */
  #waiting: Uint8Array[] = [];
  #taken = 0;
  #consumed = 0;
  #unread: Packet[] = [];
  /** Whole packets that the client has not come to. */
  #underWay = 0;
  #isDrainOwed = false;
  /** The kernel has taken everything, and the broker is about to be told. */
  isDraining = false;
  /** It closed its end, or is gone. */
  hasClientLeft = false;

  constructor(
    world: World,
    random: Random,
    habits: WireHabits,
    life: Life,
    version: ProtocolVersion,
    name: string,
    ends: WireEnds,
  ) {
    this.#world = world;
    this.#random = random;
    this.#habits = habits;
    this.#life = life;
    this.#ends = ends;
    this.remoteAddress = name;
    this.lastReadAt = world.time;
    this.#parser = parser({ protocolVersion: version });
    this.#parser.on('packet', (parsed) => this.#parsed(parsed as unknown as Packet & { length: number }));
    this.#parser.on('error', (error) => {
      throw error;
    });
  }

  // The client's end

  send(bytes: Buffer): void {
    if (this.isSilent || this.hasClientLeft) return;
    let rest = bytes;
    while (rest.length > 0) {
      const most = Math.min(rest.length, readBytesMax);
      const cut = this.#random.isLucky(this.#habits.pieces) ? this.#random.between(1, most) : most;
      this.#up.push(rest.subarray(0, cut));
      rest = rest.subarray(cut);
    }
    this.#arriveUp();
  }

  /** No more comes from the client, and what was sent arrives before. */
  closeByClient(): void {
    this.hasClientLeft = true;
    this.#isUpEnded = true;
    this.isReading = false;
    this.#arriveUp();
  }

  /** The connection breaks: some of what was under way arrives, perhaps not all of a packet. */
  reset(): void {
    if (this.hasClientLeft) return;
    this.hasClientLeft = true;
    this.isReading = false;
    this.#up = this.#up.slice(0, this.#random.between(0, this.#up.length));
    this.#world.after(this.#latency(), () => this.#close(new Error('read ECONNRESET')), this.#life);
  }

  /** The client is gone, and nobody tells. */
  goSilent(): void {
    this.isSilent = true;
    this.hasClientLeft = true;
    this.isReading = false;
    this.#up = [];
  }

  readOn(isReading: boolean): void {
    this.isReading = isReading;
    if (isReading) this.#readNext();
  }

  /** The broker process is gone, and its side of every connection with it. */
  lost(): void {
    this.isClosed = true;
    this.receiver = null;
    this.#tellClient();
  }

  // The broker's end

  get pendingBytes(): number {
    let bytes = 0;
    for (const each of this.#waiting) bytes += each.length;
    return bytes;
  }

  write(bytes: Uint8Array): void {
    if (this.isClosed) return;
    this.#waiting.push(bytes);
    this.#takeMore();
    if (this.#waiting.length > 0) this.#isDrainOwed = true;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    // While the broker did not read, the client could not be heard.
    this.lastReadAt = this.#world.time;
    this.#arriveUp();
  }

  end(): void {
    if (this.isClosed || this.isEnding) return;
    this.isEnding = true;
    this.#ends.onEnded();
    this.resume();
    this.#world.after(endTimeoutMs, () => this.#close(null), this.#life);
    this.#finIfEmpty();
  }

  destroy(): void {
    this.#world.after(0, () => this.#close(null), this.#life);
  }

  #latency(): number {
    return this.#random.between(0, this.#habits.latencyMs);
  }

  #arriveUp(): void {
    if (this.#isUpUnderWay || (this.#up.length === 0 && !this.#isUpEnded)) return;
    this.#isUpUnderWay = true;
    this.#upArrivesAt = Math.max(this.#upArrivesAt, this.#world.time + this.#latency());
    const arrive = () => {
      this.#isUpUnderWay = false;
      if (this.isClosed || this.isPaused) return;
      const bytes = this.#up.shift();
      if (bytes !== undefined) return this.#arrived(bytes);
      if (this.#isUpEnded) {
        // The client's FIN: answered by closing.
        this.#isUpEnded = false;
        if (this.#waiting.length > 0) this.end();
        else this.#close(null);
      }
      if (!this.isPaused && !this.isClosed) this.#arriveUp();
    };
    this.#world.after(this.#upArrivesAt - this.#world.time, arrive, this.#life);
  }

  #arrived(bytes: Buffer): void {
    const deliver = () => {
      this.#deliver(bytes);
      this.#ends.afterArrival();
      if (!this.isPaused && !this.isClosed) this.#arriveUp();
    };
    const before = this.#ends.beforeArrival();
    if (before === null) deliver();
    else this.#world.hold(before.then(deliver));
  }

  #deliver(bytes: Buffer): void {
    this.lastReadAt = this.#world.time;
    const start = this.#random.between(0, 64);
    bytes.copy(readBuffer, start);
    this.receiver?.onBytes(readBuffer, start, start + bytes.length);
    readBuffer.fill(0xaa, start, start + bytes.length);
  }

  #takeMore(): void {
    while (this.#waiting.length > 0) {
      // What is not a whole packet yet, the client has read, if it reads.
      const isRead = this.isReading && this.#underWay === 0;
      const room = this.#habits.kernelBytes - (isRead ? 0 : this.#taken - this.#consumed);
      if (room <= 0) return;
      const bytes = this.#waiting[0]!;
      const part = Buffer.from(bytes.subarray(0, room));
      if (part.length === bytes.length) this.#waiting.shift();
      else this.#waiting[0] = bytes.subarray(part.length);
      this.#taken += part.length;
      this.#parser.parse(part);
    }
    this.#finIfEmpty();
  }

  #parsed(packet: Packet & { length: number }): void {
    const length = packet.length === -1 ? 0 : packet.length;
    packet.bytes = 1 + (length < 128 ? 1 : length < 16_384 ? 2 : length < 2_097_152 ? 3 : 4) + length;
    this.#underWay++;
    this.#ends.onWritten(packet);
    if (this.isSilent) return;
    this.#downArrivesAt = Math.max(this.#downArrivesAt, this.#world.time + this.#latency());
    this.#world.after(this.#downArrivesAt - this.#world.time, () => {
      this.#unread.push(packet);
      this.#readNext();
    });
  }

  #readNext(): void {
    while (this.isReading && this.#unread.length > 0) {
      const packet = this.#unread.shift()!;
      this.#underWay--;
      this.#consumed += packet.bytes;
      this.#ends.onPacket(packet);
    }
    if (this.isClosed) return;
    if (this.#waiting.length > 0) this.#takeMore();
    if (this.#waiting.length > 0 || !this.#isDrainOwed) return;
    this.#isDrainOwed = false;
    this.isDraining = true;
    const drained = () => {
      this.isDraining = false;
      if (!this.isClosed && this.#waiting.length === 0) this.receiver?.onDrain();
      else if (!this.isClosed) this.#isDrainOwed = true;
    };
    this.#world.after(0, drained, this.#life);
  }

  /** The broker's FIN leaves behind everything that was written; the client answers it. */
  #finIfEmpty(): void {
    if (!this.isEnding || this.#waiting.length > 0 || this.isClosed || this.isSilent) return;
    this.#world.after(this.#latency() + this.#latency(), () => this.#close(null), this.#life);
  }

  #close(error: Error | null): void {
    if (this.isClosed) return;
    this.isClosed = true;
    const { receiver } = this;
    this.receiver = null;
    receiver?.onClose(error);
    this.#tellClient();
  }

  #tellClient(): void {
    const at = Math.max(this.#downArrivesAt, this.#world.time + this.#latency());
    this.#world.after(at - this.#world.time, () => {
      if (!this.isSilent) this.#ends.onGone();
    });
  }
}
