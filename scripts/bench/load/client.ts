/**
 * A client for load: it reads no more of a packet than it must, and answers a whole chunk of them with one write. Not
 * for learning MQTT from.
 */
import { openTransport, type Transport } from './transport.ts';

export interface Handler {
  /** A PUBLISH came; its payload is `bytes[start…end)`, during the call only. */
  onMessage?(bytes: Buffer, start: number, end: number): void;
  /** PUBACK or PUBCOMP: an exchange of our own is over. */
  onDone?(packetId: number): void;
  /** Everything that came in one go has been read. */
  onTurn?(): void;
}

export interface ClientOptions {
  readonly url: URL;
  readonly version: 4 | 5;
  readonly clientId: string;
  readonly isPersistent?: boolean;
  /** The caller sends PINGREQ. 0: none. */
  readonly keepAliveSeconds?: number;
  /** In place of the CONNECT that the others make. */
  readonly connect?: Buffer;
}

const Type = { connack: 2, publish: 3, puback: 4, pubrec: 5, pubrel: 6, pubcomp: 7, suback: 9 } as const;

export class LoadClient {
  sessionPresent = false;
  readonly #version: 4 | 5;
  readonly #handler: Handler;
  readonly #transport: Transport;
  readonly #closed: Promise<Error | null>;
  /** The beginning of a packet whose end has not come yet. */
  #rest: Buffer | null = null;
  #answers = Buffer.allocUnsafe(4_096);
  #answersLength = 0;
  #onAnswer: ((bytes: Buffer) => void) | null = null;
  #isClosing = false;

  private constructor(options: ClientOptions, handler: Handler, onOpen: (client: LoadClient) => void) {
    this.#version = options.version;
    this.#handler = handler;
    let closed: (error: Error | null) => void = () => {};
    this.#closed = new Promise((resolve) => {
      closed = resolve;
    });
    this.#transport = openTransport(options.url, {
      onOpen: () => onOpen(this),
      onBytes: (bytes) => this.#read(bytes),
      onClose: (error) => closed(this.#isClosing ? null : (error ?? new Error('the broker closed a connection'))),
    });
  }

  /** Resolves after CONNACK. */
  static async connect(options: ClientOptions, handler: Handler = {}): Promise<LoadClient> {
    const connack = new Promise<LoadClient>((resolve, reject) => {
      const client = new LoadClient(options, handler, (open) => open.write(options.connect ?? connectPacket(options)));
      client.#onAnswer = (bytes) => {
        const code = bytes[1];
        client.sessionPresent = (bytes[0]! & 1) === 1;
        if (code === 0) resolve(client);
        else reject(new Error(`CONNACK with code ${code}`));
      };
      client.#closed.then((error) => reject(error));
    });
    return connack;
  }

  /** Rejects when the broker ends the connection. */
  async failed(): Promise<never> {
    const error = await this.#closed;
    if (error !== null) throw error;
    return new Promise(() => {});
  }

  write(bytes: Buffer): void {
    this.#transport.write(bytes);
  }

  /** Resolves after SUBACK. */
  async subscribe(filters: readonly string[], qos: number): Promise<void> {
    const suback = new Promise<Buffer>((resolve) => {
      this.#onAnswer = (bytes) => resolve(Buffer.from(bytes));
    });
    this.write(subscribePacket(filters, qos, this.#version));
    const codes = (await suback).subarray(this.#version === 5 ? 3 : 2);
    const refused = codes.find((code) => code >= 0x80);
    if (refused !== undefined) throw new Error(`SUBACK with code ${refused}`);
  }

  close(): void {
    this.#isClosing = true;
    this.#transport.close();
  }

  /** DISCONNECT, and wait for the end of the connection. */
  async leave(): Promise<void> {
    this.#isClosing = true;
    this.write(Buffer.of(0xe0, 0));
    await this.#closed;
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = null;
    let at = 0;
    for (;;) {
      const begin = at;
      let length = 0;
      let shift = 0;
      let digit: number | undefined;
      at++;
      do {
        digit = bytes[at++];
        if (digit === undefined) break;
        length |= (digit & 127) << shift;
        shift += 7;
      } while (digit > 127);
      if (digit === undefined || at + length > bytes.length) {
        if (begin < bytes.length) this.#rest = Buffer.from(bytes.subarray(begin));
        break;
      }
      this.#handle(bytes[begin]!, bytes, at, at + length);
      at += length;
    }
    if (this.#answersLength > 0) {
      this.#transport.write(this.#answers.subarray(0, this.#answersLength));
      // The stream may still hold it.
      this.#answers = Buffer.allocUnsafe(4_096);
      this.#answersLength = 0;
    }
    this.#handler.onTurn?.();
  }

  #handle(header: number, bytes: Buffer, start: number, end: number): void {
    const type = header >> 4;
    if (type === Type.publish) {
      const qos = (header >> 1) & 3;
      let at = start + 2 + bytes.readUInt16BE(start);
      if (qos > 0) {
        this.#answer(qos === 1 ? 0x40 : 0x50, bytes[at]!, bytes[at + 1]!);
        at += 2;
      }
      if (this.#version === 5) at += 1 + bytes[at]!; // no properties here are longer than 127 bytes
      this.#handler.onMessage?.(bytes, at, end);
    } else if (type === Type.puback || type === Type.pubcomp) {
      this.#handler.onDone?.(bytes.readUInt16BE(start));
    } else if (type === Type.pubrec) this.#answer(0x62, bytes[start]!, bytes[start + 1]!);
    else if (type === Type.pubrel) this.#answer(0x70, bytes[start]!, bytes[start + 1]!);
    else if (type === Type.connack || type === Type.suback) this.#onAnswer?.(bytes.subarray(start, end));
  }

  #answer(header: number, idHigh: number, idLow: number): void {
    if (this.#answersLength + 4 > this.#answers.length) {
      const larger = Buffer.allocUnsafe(this.#answers.length * 4);
      this.#answers.copy(larger, 0, 0, this.#answersLength);
      this.#answers = larger;
    }
    const at = this.#answersLength;
    this.#answers[at] = header;
    this.#answers[at + 1] = 2;
    this.#answers[at + 2] = idHigh;
    this.#answers[at + 3] = idLow;
    this.#answersLength += 4;
  }
}

const lengthPrefixed = (text: string): Buffer => {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 255), bytes]);
};

export function packet(header: number, body: Buffer): Buffer {
  const length: number[] = [];
  let left = body.length;
  do {
    length.push((left & 127) | (left > 127 ? 128 : 0));
    left >>= 7;
  } while (left > 0);
  return Buffer.concat([Buffer.of(header, ...length), body]);
}

export function subscribePacket(filters: readonly string[], qos: number, version: 4 | 5): Buffer {
  const entries = filters.flatMap((filter) => [lengthPrefixed(filter), Buffer.of(qos)]);
  return packet(0x82, Buffer.concat([Buffer.of(0, 1), ...noProperties(version), ...entries]));
}

export function unsubscribePacket(filters: readonly string[], version: 4 | 5): Buffer {
  return packet(0xa2, Buffer.concat([Buffer.of(0, 1), ...noProperties(version), ...filters.map(lengthPrefixed)]));
}

const noProperties = (version: 4 | 5): Buffer[] => (version === 5 ? [Buffer.of(0)] : []);

export const pingreq: Buffer = Buffer.of(0xc0, 0);

function connectPacket({ version, clientId, isPersistent = false, keepAliveSeconds = 0 }: ClientOptions): Buffer {
  const expiry = isPersistent ? Buffer.of(5, 0x11, 0, 0, 0x0e, 0x10) : Buffer.of(0);
  const body = [lengthPrefixed('MQTT'), Buffer.of(version, isPersistent ? 0 : 2, 0, keepAliveSeconds)];
  return packet(0x10, Buffer.concat([...body, ...(version === 5 ? [expiry] : []), lengthPrefixed(clientId)]));
}

/** A PUBLISH whose packet identifier and payload are filled in later. */
export function publishTemplate(
  topic: string,
  payloadBytes: number,
  options: { qos: number; version: 4 | 5; retain?: boolean },
): { bytes: Buffer; idAt: number; payloadAt: number } {
  const { qos, version, retain = false } = options;
  const head = [lengthPrefixed(topic), ...(qos > 0 ? [Buffer.alloc(2)] : []), ...(version === 5 ? [Buffer.of(0)] : [])];
  const bytes = packet(
    0x30 | (qos << 1) | (retain ? 1 : 0),
    Buffer.concat([...head, Buffer.alloc(payloadBytes, 0x2e)]),
  );
  const payloadAt = bytes.length - payloadBytes;
  return { bytes, idAt: payloadAt - (version === 5 ? 3 : 2), payloadAt };
}
