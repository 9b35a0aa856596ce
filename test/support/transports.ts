/** The client's end of a connection of each kind. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { createWebSocketStream, WebSocket } from 'ws';
import type { Listener } from '../../src/contracts/transport.ts';

/** Resolves once it is open. The server's certificate is not looked at: that is not what these tests are about. */
export async function openStream(
  { kind, port, url }: Listener,
  { cert, key }: Pick<ConnectionOptions, 'cert' | 'key'> = {},
): Promise<Duplex> {
  const own = cert === undefined ? {} : { cert: cert as Buffer, key: key as Buffer };
  const options = { port, host: '127.0.0.1', noDelay: true, rejectUnauthorized: false, ...own };
  switch (kind) {
    case 'tcp': {
      const socket = connect(options);
      await once(socket, 'connect');
      return socket;
    }
    case 'tls': {
      const socket = connectTls({ ...options, ALPNProtocols: ['mqtt'] });
      await once(socket, 'secureConnect');
      return socket;
    }
    default: {
      const socket = new WebSocket(url, 'mqtt', { rejectUnauthorized: false, ...own });
      const stream = createWebSocketStream(socket, { allowHalfOpen: false });
      // Told by the socket as well, which is waited for.
      stream.on('error', () => {});
      await once(socket, 'open');
      return stream;
    }
  }
}
