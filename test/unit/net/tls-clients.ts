/** TLS clients of the tests of one file, which trust one authority. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { TestAuthority } from '../../support/certificates.ts';

export class TlsClients {
  readonly #authority: TestAuthority;
  readonly #sockets: TLSSocket[] = [];

  constructor(authority: TestAuthority) {
    this.#authority = authority;
  }

  open(port: number, options: ConnectionOptions = {}): TLSSocket {
    const socket = connect({ host: '127.0.0.1', port, ca: readFileSync(this.#authority.certFile), ...options });
    this.#sockets.push(socket);
    return socket;
  }

  /** Resolves after the handshake. */
  async secured(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
    const socket = this.open(port, options);
    await once(socket, 'secureConnect');
    return socket;
  }

  /** The error code that ends a connection, or null once the server has sent something. */
  greeted(port: number, options: ConnectionOptions = {}): Promise<string | null> {
    const socket = this.open(port, options);
    return new Promise((resolve) => {
      socket.on('data', () => resolve(null));
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      socket.on('close', () => resolve('closed'));
    });
  }

  close(): void {
    for (const socket of this.#sockets.splice(0)) socket.destroy();
  }
}
