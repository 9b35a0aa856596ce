/** What an attack has to work with: connections of all kinds to the broker, and a place to say what it saw. */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AttackClient, type ClientOptions } from './client.ts';
import * as packets from './packets.ts';
import { schemeOf, type TransportName } from './row.ts';

/** Where the loopback network has several addresses, the attacker has one that no limit exempts. */
export const attackersAddress: string | undefined = process.platform === 'linux' ? '127.0.0.2' : undefined;

export interface Task {
  readonly row: string;
  readonly transport: TransportName;
  readonly urls: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly isShort: boolean;
  readonly brokerPid: number;
}

export type Report =
  | { readonly kind: 'prepared' }
  | { readonly kind: 'attacked' }
  | { readonly kind: 'done'; readonly facts: readonly string[]; readonly problems: readonly string[] };

export class Attacker {
  readonly task: Task;
  readonly facts: string[] = [];
  readonly problems: string[] = [];
  /** By their client identifier; a later one of the same name is another entry. */
  readonly #clients: { readonly name: string; readonly client: AttackClient }[] = [];
  readonly #sockets = new Set<Socket>();
  #socketsClosed = 0;
  #refusedConnects = new Map<string, number>();

  constructor(task: Task) {
    this.task = task;
  }

  get url(): URL {
    return new URL(this.task.urls[schemeOf[this.task.transport]]!);
  }

  /** In the short form for CI, or in full. */
  size(short: number, full: number): number {
    return this.task.isShort ? short : full;
  }

  /** What it saw; beside the row's figures. */
  fact(what: string): void {
    this.facts.push(what);
  }

  /** What must not be. */
  must(condition: boolean, what: string): void {
    if (!condition) this.problems.push(what);
  }

  delay(seconds: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  }

  async connect(options: ClientOptions = {}): Promise<AttackClient> {
    const client = await AttackClient.connect(this.url, attackersAddress, options);
    this.#clients.push({ name: options.clientId ?? '', client });
    return client;
  }

  /** Like `connect`, but null where it was refused, which is counted. */
  async tryConnect(options: ClientOptions = {}): Promise<AttackClient | null> {
    try {
      return await this.connect(options);
    } catch (error) {
      const { message } = error as Error;
      this.#refusedConnects.set(message, (this.#refusedConnects.get(message) ?? 0) + 1);
      return null;
    }
  }

  /** Does it for each number, so many at a time. */
  async each(count: number, atOnce: number, work: (index: number) => Promise<unknown>): Promise<void> {
    let next = 0;
    const some = async () => {
      while (next < count) await work(next++);
    };
    await Promise.all(Array.from({ length: Math.min(count, atOnce) }, some));
  }

  /** Until the broker has worked through what the client sent, or has disconnected it. */
  async untilServed(client: AttackClient): Promise<void> {
    const before = client.pongs;
    await client.write(packets.pingreq);
    this.must(await client.until(() => client.pongs > before || client.isClosed, 60), 'no PINGRESP in 60 s');
  }

  /** Sessions that stay when their clients go. Who was refused is counted. */
  async absentSessions(count: number, name: string, filters: (index: number) => readonly string[], qos = 1) {
    await this.each(count, 64, async (i) => {
      const session = { clientId: `${name}-${i}`, properties: [packets.property.sessionExpiry(3_600)] };
      const client = await this.tryConnect(session);
      if (client === null) return;
      await client.subscribe(filters(i), qos);
      await client.leave();
    });
  }

  /** The connections of clients whose identifier begins so end without a DISCONNECT. */
  cut(beginning: string): void {
    for (const { name, client } of this.#clients) if (name.startsWith(beginning)) client.close();
  }

  /** The same bytes from all clients whose identifier begins so. */
  writeFromAll(beginning: string, bytes: Buffer): void {
    for (const { name, client } of this.#clients) if (name.startsWith(beginning)) void client.write(bytes);
  }

  /** All connections end without a DISCONNECT. */
  leaveAll(): void {
    this.cut('');
    this.#clients.length = 0;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** A connection without a word of MQTT; a WebSocket is upgraded. */
  async open(): Promise<Socket> {
    const { hostname: host, port, protocol } = this.url;
    const options = { host, port: Number(port), ...(attackersAddress && { localAddress: attackersAddress }) };
    const isTls = protocol === 'mqtts:';
    const socket = isTls ? connectTls({ ...options, rejectUnauthorized: false } as never) : connectTcp(options);
    this.#track(socket);
    await Promise.race([once(socket, isTls ? 'secureConnect' : 'connect'), once(socket, 'close')]).catch(() => {});
    if (protocol !== 'ws:') return socket;
    const head =
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt';
    socket.write(
      `GET /mqtt HTTP/1.1\r\nHost: ${host}\r\n${head}\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
    );
    await Promise.race([once(socket, 'data'), once(socket, 'close')]).catch(() => {});
    return socket;
  }

  /** Only TCP, whatever the transport. Many at once, some at a time. */
  async openMany(count: number): Promise<Socket[]> {
    const { hostname: host, port } = this.url;
    const options = { host, port: Number(port), ...(attackersAddress && { localAddress: attackersAddress }) };
    const sockets: Socket[] = [];
    await this.each(count, 200, async () => {
      const socket = connectTcp(options);
      sockets.push(socket);
      this.#track(socket);
      await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => {});
    });
    return sockets;
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    // What the broker sends must be read, or its end is not seen.
    socket.resume();
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#socketsClosed++;
    });
  }

  /** How many of the connections of `open` and `openMany` are open. */
  get openSockets(): number {
    return this.#sockets.size;
  }

  end(): void {
    const refusals = new Map<string, number>(this.#refusedConnects);
    let closed = this.#socketsClosed;
    for (const { client } of this.#clients) {
      if (client.isCutOff) closed++;
      for (const [name, count] of client.refusals) refusals.set(name, (refusals.get(name) ?? 0) + count);
      client.close();
    }
    for (const socket of this.#sockets) socket.destroy();
    if (closed > 0) this.fact(`${closed} connections of the attacker were closed`);
    for (const [name, count] of refusals) this.fact(`${count} × ${name}`);
  }
}
