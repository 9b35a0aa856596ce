/** Problem documents for requests that do not reach the routes: refused at the door, or no HTTP at all. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { problemMediaType } from '../contracts/http.ts';
import { type Problem, problemOf } from './problem.ts';

/** So long a connection that was refused may take to read the answer. */
const lingerMs = 1_000;

/** Whether bytes of the request follow its headers: they are not read if it is refused. */
export const announcesBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/** The connection ends with the answer. */
export function refuse(
  response: ServerResponse,
  problem: Problem,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(JSON.stringify(problem));
  response.writeHead(problem.status, {
    ...headers,
    'Content-Type': problemMediaType,
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
    Connection: 'close',
  });
  response.end(body);
}

/** The same where there is no request that could be answered. */
export function refuseSocket(socket: Socket, problem: Problem): void {
  if (!socket.writable) return void socket.destroy();
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    `Content-Type: ${problemMediaType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  const timer = setTimeout(() => socket.destroy(), lingerMs).unref();
  socket.once('close', () => clearTimeout(timer));
}

/** What Node's parser found wrong; null: it was not HTTP's, and the connection cannot be written to. */
export function problemOfParser({ code = '' }: NodeJS.ErrnoException): Problem | null {
  if (code === 'HPE_HEADER_OVERFLOW') return problemOf('headers-too-large', 'The headers have more than 16,384 bytes');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return problemOf('timeout', 'The request did not come in time');
  if (code.startsWith('HPE_')) return problemOf('invalid-request', `This is no HTTP request (${code})`);
  return null;
}
