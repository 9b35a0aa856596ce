/** A server of the tests: answers as it is told to, and counts. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Seen {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface WebServer {
  readonly url: string;
  readonly seen: Seen[];
  answer: (request: Seen, response: ServerResponse) => void;
}

export async function webServer(): Promise<WebServer> {
  const web: { url: string; seen: Seen[]; answer: WebServer['answer'] } = {
    url: '',
    seen: [],
    answer: (_, response) => void response.end(),
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const seen = { headers: request.headers, body: Buffer.concat(chunks).toString() };
      web.seen.push(seen);
      web.answer(seen, response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  web.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return web;
}

export const json = (value: unknown) => (_: unknown, response: ServerResponse) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(value));
};
