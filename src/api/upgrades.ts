/**
 * Requests for a WebSocket. Node's parser lets go of their connection, and they are answered as all others are: a
 * stream takes the connection over, everything else, a refusal too, is an answer of HTTP with which it ends.
 */
import { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const wanted = Symbol('upgrade');

/** Other protocols are not wanted: a client that would rather have HTTP/2 is answered in HTTP/1.1. [RFC 9110 7.8] */
export class ApiRequest extends IncomingMessage {
  declare [wanted]?: boolean;

  /** Node asks whether it is one, once it has the headers. */
  get upgrade(): boolean {
    return this[wanted] === true && (this.method === 'CONNECT' || isForWebSocket(this));
  }

  set upgrade(isWanted: boolean) {
    this[wanted] = isWanted;
  }
}

export const isForWebSocket = ({ headers }: IncomingMessage): boolean => headers.upgrade?.toLowerCase() === 'websocket';

interface Upgrade {
  readonly socket: Socket;
  /** What came behind the request. */
  readonly head: Buffer;
}

const upgrades = new WeakMap<IncomingMessage, Upgrade>();

/** Null: it asks for HTTP. */
export const upgradeOf = (request: IncomingMessage): Upgrade | null => upgrades.get(request) ?? null;

/** For a request with which Node has let go of its connection. */
export function responseTo(request: IncomingMessage, socket: Socket, head: Buffer): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  // The connection's end says it.
  socket.on('error', () => {});
  response.once('finish', () => {
    response.detachSocket(socket);
    // Sockets of HTTP stay half open otherwise, for as long as the peer likes.
    socket.once('finish', () => socket.destroy());
    socket.end();
  });
  upgrades.set(request, { socket, head });
  return response;
}
