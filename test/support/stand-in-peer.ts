/**
 * A broker that a bridge connects to, of which a test says every answer.
 *
 *     const link = await peer.greet({ properties: { receiveMaximum: 2 } });
 *     expect(await link.next('publish')).toMatchObject({ … });
 */

import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import type { ProtocolVersion } from '../../src/protocol/traits.ts';
import { type Received, WireClient } from './wire-client.ts';

export class StandInPeer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #arrived: Socket[] = [];
  #wake: () => void = () => {};

  private constructor(server: Server, event: 'connection' | 'secureConnection' = 'connection') {
    this.#server = server;
    server.on(event, (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
      this.#arrived.push(socket);
      this.#wake();
    });
  }

  static async start(port = 0): Promise<StandInPeer> {
    const server = createServer();
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return new StandInPeer(server);
  }

  /** The same with TLS. */
  static async startTls(options: TlsOptions): Promise<StandInPeer> {
    const server = createTlsServer(options);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new StandInPeer(server, 'secureConnection');
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** The next connection, of which nothing has been read. */
  async connection(): Promise<Socket> {
    while (this.#arrived.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#arrived.shift()!;
  }

  /** The same, whose CONNECT is still to be read. */
  async accept(version: ProtocolVersion = 5): Promise<WireClient> {
    return WireClient.over(await this.connection(), version);
  }

  /** Accepts the next connection and lets the bridge in; returns what it said in CONNECT as well. */
  async greet(
    connack: object = {},
    version: ProtocolVersion = 5,
  ): Promise<WireClient & { readonly connect: Received & Record<string, unknown> }> {
    const link = await this.accept(version);
    const connect = await link.next('connect');
    link.send({ cmd: 'connack', reasonCode: 0, returnCode: 0, sessionPresent: false, ...connack });
    return Object.assign(link, { connect: connect as Received & Record<string, unknown> });
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export type PeerLink = Awaited<ReturnType<StandInPeer['greet']>>;

/** Takes so many messages, each acknowledged at once. Returns topics and texts. */
export async function take(link: PeerLink, count: number): Promise<string[]> {
  const taken: string[] = [];
  while (taken.length < count) {
    const packet = await link.next();
    if (packet.cmd === 'pubrel') link.send({ cmd: 'pubcomp', messageId: packet.messageId });
    if (packet.cmd !== 'publish') continue;
    taken.push(`${packet.topic} ${packet.payload}`);
    if (packet.qos !== 0) link.send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId: packet.messageId });
  }
  return taken;
}
