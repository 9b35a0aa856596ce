/**
 * A client for conformance tests: sends what it is told to, right or wrong, and keeps every packet it gets.
 *
 *     const client = await WireClient.connect(port, { version: 5, clientId: 'a' });
 *     await client.subscribe('a/b', { qos: 1 });
 *     client.send({ cmd: 'publish', … });
 *     expect(await client.next('publish')).toMatchObject({ … });
 *     await client.nothingElse(); // a PINGREQ is answered before anything else comes
 *
 * Nothing waits for time: what is expected is awaited, and a failure says what came instead.
 */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { generate, type Packet, parser } from 'mqtt-packet';
import type { ProtocolVersion } from '../../src/protocol/traits.ts';

/** What was received, as mqtt-packet names its fields; `raw` is the packet's bytes. */
export interface Received {
  cmd: string;
  messageId?: number;
  topic?: string;
  payload?: Buffer;
  qos?: number;
  retain?: boolean;
  dup?: boolean;
  granted?: number[];
  sessionPresent?: boolean;
  reasonCode?: number;
  returnCode?: number;
  properties?: { [name: string]: unknown };
  raw: Buffer;
}

export interface ConnectOptions {
  version?: ProtocolVersion;
  clientId?: string;
  clean?: boolean;
  keepalive?: number;
  will?: { topic: string; payload: Buffer | string; qos?: 0 | 1 | 2; retain?: boolean; properties?: object };
  username?: string;
  password?: Buffer | string;
  properties?: object;
}

/** Ends a test that waits for what never comes; far beyond what a slow machine needs. */
const patienceMs = 15_000;
let lastClient = 0;

/** A name that no other test in this process uses. */
export const unique = (name: string): string => `${name}-${process.pid}-${++lastClient}`;

export class WireClient {
  readonly version: ProtocolVersion;
  /** Everything received and not yet taken by `next`. */
  readonly waiting: Received[] = [];
  connack: Received | null = null;
  isClosed = false;
  readonly #socket: Duplex;
  readonly #parser;
  #wake: () => void = () => {};
  #unparsed = Buffer.alloc(0);
  #lastId = 0;

  private constructor(socket: Duplex, version: ProtocolVersion) {
    this.#socket = socket;
    this.version = version;
    this.#parser = parser({ protocolVersion: version });
    this.#parser.on('packet', (packet) => this.waiting.push({ ...packet, raw: this.#takeRaw() } as Received));
    this.#parser.on('error', (error) =>
      this.waiting.push({ cmd: `unreadable: ${error.message}`, raw: this.#unparsed }),
    );
    socket.on('data', (bytes) => {
      this.#unparsed = Buffer.concat([this.#unparsed, bytes]);
      this.#parser.parse(bytes);
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  /** A network connection on which nothing has been sent. */
  static async open(port: number, version: ProtocolVersion = 4): Promise<WireClient> {
    const socket = connectTcp(port, '127.0.0.1');
    socket.setNoDelay(true);
    await once(socket, 'connect');
    return new WireClient(socket, version);
  }

  /** Over a connection of any kind that is open already. */
  static over(stream: Duplex, version: ProtocolVersion): WireClient {
    return new WireClient(stream, version);
  }

  /** Connected and acknowledged; fails if the CONNACK refuses. */
  static async connect(port: number, options: ConnectOptions = {}): Promise<WireClient> {
    const client = await WireClient.open(port, options.version);
    client.sendConnect(options);
    client.connack = await client.next('connack');
    const code = client.connack.reasonCode ?? client.connack.returnCode;
    if (code !== 0) throw new Error(`CONNACK refused with ${code}`);
    return client;
  }

  sendConnect(options: ConnectOptions = {}): void {
    const { clientId = unique('client'), clean = true, keepalive = 0, will, username, password, properties } = options;
    const { version } = this;
    this.send({
      cmd: 'connect',
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      protocolVersion: version,
      clientId,
      clean,
      keepalive,
      ...(will === undefined ? {} : { will: { qos: 0, retain: false, ...will } }),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(properties === undefined ? {} : { properties }),
    } as Packet);
  }

  send(packet: object): void {
    this.sendBytes(generate(packet as Packet, { protocolVersion: this.version }));
  }

  /** Buffer, or hex digits with spaces wherever they please. */
  sendBytes(bytes: Buffer | string): void {
    this.#socket.write(typeof bytes === 'string' ? Buffer.from(bytes.replaceAll(' ', ''), 'hex') : bytes);
  }

  /** The next packet, which must be a `cmd` if one is named. */
  async next(cmd?: string): Promise<Received> {
    await this.#until(() => this.waiting.length > 0 || this.isClosed, `waiting for ${cmd ?? 'a packet'}`);
    const packet = this.waiting.shift();
    if (packet === undefined) throw new Error(`Waited for ${cmd ?? 'a packet'}, but the connection was closed`);
    if (cmd !== undefined && packet.cmd !== cmd) {
      throw new Error(`Waited for ${cmd}, but got ${packet.cmd}: ${packet.raw.toString('hex')}`);
    }
    return packet;
  }

  /** So many packets of this kind, whatever else comes in between. */
  async collect(cmd: string, count: number): Promise<Received[]> {
    const found: Received[] = [];
    while (found.length < count) {
      const packet = await this.next();
      if (packet.cmd === cmd) found.push(packet);
    }
    return found;
  }

  /** The broker closes the connection; returns what it sent before. */
  async closed(): Promise<Received[]> {
    await this.#until(() => this.isClosed, 'waiting for the connection to be closed');
    return this.waiting.splice(0);
  }

  /** Everything that had to come has come: the answer to a ping is the very next packet. */
  async nothingElse(): Promise<void> {
    this.send({ cmd: 'pingreq' });
    await this.next('pingresp');
  }

  async subscribe(filter: string, options: object = {}, properties: object = {}): Promise<Received> {
    const subscriptions = [{ topic: filter, qos: 0, ...options }];
    this.send({ cmd: 'subscribe', messageId: this.newId(), subscriptions, properties });
    return this.next('suback');
  }

  async unsubscribe(...filters: string[]): Promise<Received> {
    this.send({ cmd: 'unsubscribe', messageId: this.newId(), unsubscriptions: filters });
    return this.next('unsuback');
  }

  /** Publishes and, with QoS 1 or 2, finishes the exchange; returns the first answer. */
  async publish(
    topic: string,
    payload: string | Buffer,
    options: Record<string, unknown> = {},
  ): Promise<Received | null> {
    const { qos = 0 } = options;
    const messageId = qos === 0 ? undefined : this.newId();
    this.send({ cmd: 'publish', topic, payload, qos: 0, retain: false, dup: false, messageId, ...options });
    if (qos === 0) return null;
    const answer = await this.next(qos === 1 ? 'puback' : 'pubrec');
    if (qos === 2 && (answer.reasonCode ?? 0) < 0x80) {
      this.send({ cmd: 'pubrel', messageId });
      await this.next('pubcomp');
    }
    return answer;
  }

  /** Answers as a receiver does, to the end of the exchange. */
  async acknowledge(publish: Received): Promise<void> {
    const { messageId } = publish;
    if (publish.qos === 1) this.send({ cmd: 'puback', messageId });
    if (publish.qos !== 2) return;
    this.send({ cmd: 'pubrec', messageId });
    await this.next('pubrel');
    this.send({ cmd: 'pubcomp', messageId });
  }

  /** Stops reading, as a client that hangs does; what it is sent piles up on the way. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  newId(): number {
    return ++this.#lastId;
  }

  async disconnect(reasonCode = 0, properties: object = {}): Promise<void> {
    this.send({ cmd: 'disconnect', reasonCode, properties });
    await this.closed();
  }

  /** Closes its side without a DISCONNECT; resolves once that is on its way. */
  async end(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.end(resolve));
  }

  /** Breaks the connection without a DISCONNECT. */
  async vanish(): Promise<void> {
    (this.#socket as Socket).resetAndDestroy();
    await this.closed();
  }

  async #until(condition: () => boolean, what: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`Gave up ${what}`)), patienceMs);
    });
    try {
      while (!condition()) {
        const woken = new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        await Promise.race([woken, tooLate]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #takeRaw(): Buffer {
    let length = 0;
    let at = 1;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#unparsed[at++]!;
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    const raw = this.#unparsed.subarray(0, at + length);
    this.#unparsed = this.#unparsed.subarray(at + length);
    return raw;
  }
}
