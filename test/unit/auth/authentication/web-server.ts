/** A server of the tests: answers as it is told to, and counts. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { type CertificateFiles, pem } from '../../../support/certificates.ts';

export interface Seen {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface WebServer {
  readonly url: string;
  readonly seen: Seen[];
  answer: (request: Seen, response: ServerResponse) => void;
}

/** Over TLS, with a certificate for 127.0.0.1. */
export async function webServer(certificate?: CertificateFiles): Promise<WebServer> {
  const web: { url: string; seen: Seen[]; answer: WebServer['answer'] } = {
    url: '',
    seen: [],
    answer: (_, response) => void response.end(),
  };
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const seen = { headers: request.headers, body: Buffer.concat(chunks).toString() };
      web.seen.push(seen);
      web.answer(seen, response);
    });
  };
  const server = certificate === undefined ? createServer(answer) : createSecureServer(pem(certificate), answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  web.url = `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}/`;
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
