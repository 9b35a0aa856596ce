/** A connection within the process, whose other end is the test: it decides what is sent, and what is read. */
import { generate, type Packet } from 'mqtt-packet';
import type { ByteReceiver, ByteStream } from '../../src/contracts/transport.ts';

export class Peer implements ByteStream {
  readonly kind = 'tcp';
  readonly remoteAddress = '127.0.0.1:50000';
  readonly certificate = null;
  receiver: ByteReceiver | null = null;
  /** Written to it so far. */
  bytes = 0;
  /** Of that, not read yet; always 0 for one that reads. */
  pendingBytes = 0;
  isPaused = false;
  readonly #isReading: boolean;

  /** `isReading`: false for one that takes nothing until `read` is called. */
  constructor(isReading = true) {
    this.#isReading = isReading;
  }

  write(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    if (!this.#isReading) this.pendingBytes += bytes.length;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  end(): void {
    this.destroy();
  }
  destroy(): void {
    const { receiver } = this;
    this.receiver = null;
    receiver?.onClose(null);
  }

  connect(clientId: string, options: object = {}): void {
    const client = { clientId, clean: true, keepalive: 0, ...options };
    this.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, ...client });
  }

  /** In one read of the broker's. */
  send(...packets: object[]): void {
    const bytes = Buffer.concat(packets.map((packet) => generate(packet as Packet, { protocolVersion: 5 })));
    this.receiver!.onBytes(bytes, 0, bytes.length);
  }

  read(): void {
    this.pendingBytes = 0;
    this.receiver!.onDrain();
  }
}
