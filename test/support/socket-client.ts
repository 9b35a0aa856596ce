/** A client of a stream over a WebSocket. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import WebSocket from 'ws';

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export class SocketClient {
  readonly socket: WebSocket;
  readonly closed: Promise<Closed>;
  readonly #events: AsyncIterator<unknown[]>;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.#events = messagesOf(socket);
    this.closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  }

  /** `url`: of the API, with `http:`. Rejects with an Error that tells the status if it is refused. */
  static async open(url: string, headers: Readonly<Record<string, string>> = {}): Promise<SocketClient> {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers });
    socket.on('error', () => {});
    const client = new SocketClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('unexpected-response', (_, response) => reject(new Error(`refused with ${response.statusCode}`)));
    });
    return client;
  }

  // biome-ignore lint/suspicious/noExplicitAny: a test looks into it, and fails if it is another
  async next(): Promise<any> {
    const { value, done } = await this.#events.next();
    if (done === true) throw new Error('the stream has ended');
    return JSON.parse(String(value[0]));
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.closed;
  }
}

/** How a handshake is answered that is not taken. */
export async function answerToHandshake(
  url: string,
  headers: Readonly<Record<string, string>>,
  protocolVersion = 13,
): Promise<{ readonly status: number; readonly type: string; readonly text: string }> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers, protocolVersion });
  socket.on('error', () => {});
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const type = response.headers['content-type'] ?? '';
  return { status: response.statusCode!, type, text: Buffer.concat(chunks).toString() };
}

/** From now on. */
function messagesOf(socket: WebSocket): AsyncGenerator<unknown[]> {
  const waiting: unknown[][] = [];
  let wake = () => {};
  let isOver = false;
  socket.on('message', (...message) => {
    waiting.push(message);
    wake();
  });
  socket.once('close', () => {
    isOver = true;
    wake();
  });
  return (async function* () {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else if (isOver) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  })();
}
