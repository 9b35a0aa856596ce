/** A client of an attacker: it sends what it is told, answers or not, reads or not, and counts what comes. */
import { openTransport, type Transport } from '../bench/load/transport.ts';
import * as packets from './packets.ts';

/** Kept of a packet: enough for the longest topic and what follows it. */
const headBytesMax = 66_000;
const waitingBytesMax = 1_048_576;
const connackMsMax = 30_000;

export interface ClientOptions extends Partial<packets.ConnectFields> {
  /** Sends PUBACK, PUBREC and PUBCOMP. */
  readonly answers?: boolean;
  /** Waits for CONNACK; otherwise it is there once it has sent CONNECT. */
  readonly waits?: boolean;
}

export class AttackClient {
  /** PUBLISH packets. */
  received = 0;
  receivedBytes = 0;
  /** PUBACK and PUBCOMP that mean success. */
  acknowledged = 0;
  /** SUBACK and UNSUBACK. */
  granted = 0;
  pongs = 0;
  isClosed = false;
  /** The broker has ended the connection. */
  isCutOff = false;
  #isLeaving = false;
  /** By which reason code it was told off: CONNACK, PUBACK, PUBREC, SUBACK or DISCONNECT with an error. */
  readonly refusals = new Map<string, number>();
  readonly #transport: Transport;
  readonly #answers: boolean;
  readonly #version: 4 | 5;
  #whenClosed: () => void = () => {};
  readonly closed = new Promise<void>((resolve) => {
    this.#whenClosed = resolve;
  });
  #onConnack: (code: number) => void = () => {};
  #header: number[] = [];
  #left = 0;
  #length = 0;
  #head: Buffer[] = [];
  #headBytes = 0;
  #out: Buffer[] = [];

  private constructor(
    url: URL,
    localAddress: string | undefined,
    { answers = true, version = 5 }: ClientOptions,
    onOpen: (it: AttackClient) => void,
  ) {
    this.#answers = answers;
    this.#version = version;
    this.#transport = openTransport(
      url,
      {
        onOpen: () => onOpen(this),
        onBytes: (bytes) => this.#read(bytes),
        onClose: () => {
          this.isClosed = true;
          this.isCutOff = !this.#isLeaving;
          this.#whenClosed();
        },
      },
      localAddress,
    );
  }

  /** Rejects if the connection ends before CONNACK, or CONNACK refuses. */
  static connect(url: URL, localAddress: string | undefined, options: ClientOptions): Promise<AttackClient> {
    const { clientId = '', waits = true } = options;
    return new Promise((resolve, reject) => {
      const client = new AttackClient(url, localAddress, options, (it) => {
        it.write(packets.connect({ ...options, clientId }));
        if (!waits) resolve(it);
      });
      const timer = setTimeout(() => {
        client.close();
        reject(new Error('no CONNACK'));
      }, connackMsMax);
      client.#onConnack = (code) => {
        clearTimeout(timer);
        if (code < 0x80) resolve(client);
        else reject(new Error(`CONNACK with 0x${code.toString(16)}`));
      };
      void client.closed.then(() => {
        clearTimeout(timer);
        reject(new Error('closed before CONNACK'));
      });
    });
  }

  /** Resolves once not much waits to be sent, or the connection is closed. */
  async write(bytes: Buffer): Promise<void> {
    if (this.isClosed) return;
    this.#transport.write(bytes);
    while (!this.isClosed && this.#transport.waiting > waitingBytesMax)
      await new Promise((next) => setTimeout(next, 1));
  }

  /** Many packets, some of them at a time. */
  async writeAll(count: number, packetOf: (index: number) => Buffer, batchBytes = 65_536): Promise<void> {
    let batch: Buffer[] = [];
    let bytes = 0;
    for (let i = 0; i < count && !this.isClosed; i++) {
      const one = packetOf(i);
      batch.push(one);
      bytes += one.length;
      if (bytes < batchBytes && i < count - 1) continue;
      await this.write(Buffer.concat(batch));
      await new Promise((next) => setImmediate(next));
      batch = [];
      bytes = 0;
    }
  }

  /** The same bytes again and again, for so long. Returns how many times. */
  async repeat(bytes: Buffer, seconds: number): Promise<number> {
    const until = performance.now() + seconds * 1_000;
    let times = 0;
    for (; performance.now() < until && !this.isClosed; times++) {
      await this.write(bytes);
      await new Promise((next) => setImmediate(next));
    }
    return times;
  }

  /** Whether it became true before the connection ended and so many seconds passed. */
  async until(isTrue: () => boolean, seconds = 30): Promise<boolean> {
    const end = performance.now() + seconds * 1_000;
    while (!isTrue() && !this.isClosed && performance.now() < end) await new Promise((next) => setTimeout(next, 5));
    return isTrue();
  }

  /** Subscribes, so many filters in a packet, and waits for all answers. Returns whether they came. */
  async subscribe(
    filters: readonly string[],
    options = 0,
    itsProperties: readonly Buffer[] = [],
    each = 250,
    seconds = 60,
  ): Promise<boolean> {
    const before = this.granted;
    const count = Math.ceil(filters.length / each);
    await this.writeAll(count, (i) => {
      return packets.subscribe(i + 1, filters.slice(i * each, (i + 1) * each), options, itsProperties);
    });
    return this.until(() => this.granted >= before + count, seconds);
  }

  pause(): void {
    this.#transport.pause();
  }

  resume(): void {
    this.#transport.resume();
  }

  close(): void {
    this.#isLeaving = true;
    this.#transport.close();
  }

  async leave(): Promise<void> {
    this.#isLeaving = true;
    await this.write(packets.disconnect);
    await this.closed;
  }

  #read(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#left > 0) {
        const part = chunk.subarray(at, at + this.#left);
        if (this.#headBytes < headBytesMax) {
          this.#head.push(Buffer.from(part.subarray(0, headBytesMax - this.#headBytes)));
          this.#headBytes += part.length;
        }
        at += part.length;
        this.#left -= part.length;
        if (this.#left === 0) this.#handle(Buffer.concat(this.#head));
        continue;
      }
      const byte = chunk[at++]!;
      this.#header.push(byte);
      if (this.#header.length === 1 || byte > 127) continue;
      this.#length = this.#header.slice(1).reduce((sum, digit, i) => sum + (digit & 127) * 128 ** i, 0);
      this.#left = this.#length;
      this.#head = [];
      this.#headBytes = 0;
      if (this.#left === 0) this.#handle(Buffer.alloc(0));
    }
    if (this.#out.length === 0 || this.isClosed) return;
    this.#transport.write(Buffer.concat(this.#out));
    this.#out = [];
  }

  #handle(body: Buffer): void {
    const header = this.#header[0]!;
    this.#header = [];
    const id = () => (body.length < 2 ? 0 : body.readUInt16BE(0));
    switch (header >> 4) {
      case 2:
        this.#refused('CONNACK', body[1] ?? 0);
        return this.#onConnack(body[1] ?? 0);
      case 3: {
        this.received++;
        this.receivedBytes += this.#length;
        const qos = (header >> 1) & 3;
        if (qos > 0 && this.#answers) {
          this.#out.push(packets.answer(qos === 1 ? 0x40 : 0x50, body.readUInt16BE(2 + body.readUInt16BE(0))));
        }
        return;
      }
      case 4:
      case 7:
        if (!this.#refused('PUBACK', body[2] ?? 0)) this.acknowledged++;
        return;
      case 5:
        if (!this.#refused('PUBREC', body[2] ?? 0) && this.#answers) this.#out.push(packets.pubrel(id()));
        return;
      case 6:
        if (this.#answers) this.#out.push(packets.answer(0x70, id()));
        return;
      case 9:
      case 11:
        this.granted++;
        for (const code of body.subarray(this.#version === 4 ? 2 : 3 + body[2]!)) this.#refused('SUBACK', code);
        return;
      case 13:
        this.pongs++;
        return;
      case 14:
        this.#refused('DISCONNECT', body[0] ?? 0);
    }
  }

  #refused(kind: string, code: number): boolean {
    if (code < 0x80) return false;
    const name = `${kind} 0x${code.toString(16)}`;
    this.refusals.set(name, (this.refusals.get(name) ?? 0) + 1);
    return true;
  }
}
