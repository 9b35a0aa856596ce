/**
 * A connection between two simulated brokers: what one end writes comes to the other in its order, later, in pieces.
 * It can be cut with bytes under way, or go silent without either end being told.
 */
import type { Random } from '../../../scripts/crash/random.ts';
import type { ByteReceiver, ByteStream } from '../../../src/contracts/transport.ts';
import type { WireHabits } from '../network.ts';
import type { Life, World } from '../world.ts';

/** The kernel gives no more at a time. */
const readBytesMax = 65_000;
/** How long an end waits for the other one to close after it has closed. */
const endTimeoutMs = 3_000;
/** What a read gave is only there during the call. */
const readBuffer = Buffer.alloc(65_536);

export interface CableOptions {
  readonly world: World;
  readonly random: Random;
  readonly habits: Pick<WireHabits, 'latencyMs' | 'pieces'>;
  /** Of the processes at the two ends. */
  readonly lives: readonly [Life, Life];
  readonly names: readonly [string, string];
}

export class Cable {
  readonly ends: readonly [CableEnd, CableEnd];
  /** Nothing comes through any more, and nobody is told. */
  isSilent = false;
  /** What is written from now on goes nowhere: what comes behind a gap would be other packets. */
  isCut = false;

  constructor(options: CableOptions) {
    const { lives, names } = options;
    this.ends = [new CableEnd(this, options, lives[0], names[1]), new CableEnd(this, options, lives[1], names[0])];
    this.ends[0].other = this.ends[1];
    this.ends[1].other = this.ends[0];
  }

  get isOver(): boolean {
    return this.ends.every(({ isClosed }) => isClosed);
  }

  /** Of what is under way some arrives, perhaps not all of a packet. */
  cut(): void {
    this.isCut = true;
    for (const end of this.ends) end.cut();
  }
}

export class CableEnd implements ByteStream {
  readonly kind = 'tcp';
  readonly remoteAddress: string;
  readonly certificate = null;
  /** The kernel takes all at once. */
  readonly pendingBytes = 0;
  receiver: ByteReceiver | null = null;
  isClosed = false;
  other!: CableEnd;
  readonly #cable: Cable;
  readonly #options: CableOptions;
  readonly #life: Life;
  /** What the other end has written and this one has not read; null: its end. */
  #incoming: (Buffer | null)[] = [];
  #isPaused = false;
  #isUnderWay = false;
  #isEnding = false;

  constructor(cable: Cable, options: CableOptions, life: Life, remoteAddress: string) {
    this.#cable = cable;
    this.#options = options;
    this.#life = life;
    this.remoteAddress = remoteAddress;
  }

  write(bytes: Uint8Array): void {
    if (!this.isClosed && !this.#isEnding) this.other.#come(Buffer.from(bytes));
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#readOn();
  }

  end(): void {
    if (this.isClosed || this.#isEnding) return;
    this.#isEnding = true;
    this.other.#come(null);
    this.resume();
    this.#after(endTimeoutMs, () => this.#close(null));
  }

  destroy(): void {
    this.#after(0, () => this.#close(null));
    this.other.#reset();
  }

  cut(): void {
    this.#incoming = this.#incoming.slice(0, this.#options.random.between(0, this.#incoming.length));
    this.#reset();
  }

  /** Its process is gone, and its machine with it: then nobody tells the other end. */
  lost(withMachine: boolean): void {
    this.isClosed = true;
    this.receiver = null;
    if (!withMachine) this.other.#reset();
  }

  #come(bytes: Buffer | null): void {
    if (this.#cable.isSilent || this.#cable.isCut || this.isClosed) return;
    const { random, habits } = this.#options;
    if (bytes === null) this.#incoming.push(null);
    for (let rest = bytes ?? Buffer.alloc(0); rest.length > 0; ) {
      const most = Math.min(rest.length, readBytesMax);
      const length = random.isLucky(habits.pieces) ? random.between(1, most) : most;
      this.#incoming.push(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
    this.#readOn();
  }

  #readOn(): void {
    if (this.#isUnderWay || this.#isPaused || this.isClosed || this.#incoming.length === 0) return;
    this.#isUnderWay = true;
    this.#after(this.#latency(), () => {
      this.#isUnderWay = false;
      if (this.isClosed || this.#isPaused || this.#incoming.length === 0) return;
      const bytes = this.#incoming.shift()!;
      if (bytes === null) this.#ended();
      else this.#read(bytes);
      this.#readOn();
    });
  }

  #read(bytes: Buffer): void {
    bytes.copy(readBuffer);
    this.receiver?.onBytes(readBuffer, 0, bytes.length);
    readBuffer.fill(0xaa, 0, bytes.length);
  }

  /** The other end has closed, and this one does so too once all it wrote has left. */
  #ended(): void {
    if (!this.#isEnding) this.end();
    this.#close(null);
  }

  #reset(): void {
    if (!this.#cable.isSilent) this.#after(this.#latency(), () => this.#close(new Error('read ECONNRESET')));
  }

  #close(error: Error | null): void {
    if (this.isClosed) return;
    this.isClosed = true;
    const { receiver } = this;
    this.receiver = null;
    receiver?.onClose(error);
  }

  #latency(): number {
    return this.#options.random.between(0, this.#options.habits.latencyMs);
  }

  #after(ms: number, run: () => void): void {
    this.#options.world.after(ms, run, this.#life);
  }
}
