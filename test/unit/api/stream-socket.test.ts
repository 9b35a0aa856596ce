/** The door to a stream over a WebSocket: the same as to every other request, and what else a handshake may be. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { problemMediaType } from '../../../src/contracts/http.ts';
import { areas } from '../../../src/contracts/roles.ts';
import { answerToHandshake, SocketClient } from '../../support/socket-client.ts';
import { TestApi } from './api-client.ts';

let api: TestApi;
let url: string;
beforeEach(async () => {
  api = await TestApi.open();
  url = `${api.url}/api/v1/messages/stream?filter=a`;
  api.handlers['messages stream'] = (_request, _caller, signal) => oneAndThenNone(signal);
});
afterEach(() => api.close());

async function* oneAndThenNone(signal: AbortSignal): AsyncGenerator<never> {
  yield { event: 'opened' } as never;
  if (!signal.aborted) {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }
}

const wanted = { name: 'a', role: 'publisher' as const, areas: [...areas], username: null, expiresAt: null };
const who = { name: 'user ada', role: 'publisher' as const, areas: [...areas], username: 'ada' };

async function keyHeader(role = wanted.role as 'publisher' | 'viewer') {
  return { Authorization: `Bearer ${(await api.keys.create({ ...wanted, role }, api.now)).secret}` };
}

const cookieHeader = () => ({ Cookie: `sluice_session=${api.sessions.create(who, api.now).cookie}` });

/** Resolves once it is open. */
async function expectOpen(headers: Readonly<Record<string, string>>): Promise<SocketClient> {
  const client = await SocketClient.open(url, headers);
  expect(await client.next()).toEqual({ event: 'opened' });
  return client;
}

describe('a handshake', () => {
  test.each<[string, () => Promise<Record<string, string>> | Record<string, string>, number, string]>([
    ['without a key', () => ({}), 401, 'unauthenticated'],
    ['with a key that is none', () => ({ Authorization: 'Bearer x' }), 401, 'unauthenticated'],
    ['with a key that may not', () => keyHeader('viewer'), 403, 'forbidden'],
    [
      'of a page of elsewhere with a key',
      async () => ({ ...(await keyHeader()), Origin: 'https://evil.example' }),
      403,
      'origin-refused',
    ],
    [
      'of a page of elsewhere in the name of a session',
      () => ({ ...cookieHeader(), Origin: 'https://evil.example' }),
      403,
      'origin-refused',
    ],
    ['that hides its page in the name of a session', cookieHeader, 403, 'origin-refused'],
    [
      'of another site, as the browser says, in the name of a session',
      () => ({ ...cookieHeader(), Origin: api.url, 'Sec-Fetch-Site': 'same-site' }),
      403,
      'origin-refused',
    ],
    ['by a name of elsewhere', async () => ({ ...(await keyHeader()), Host: 'evil.example' }), 403, 'host-refused'],
  ])('%s is refused with a problem document', async (_, headersOf, status, kind) => {
    const answer = await answerToHandshake(url, await headersOf());
    expect(answer).toMatchObject({ status, type: problemMediaType });
    expect(JSON.parse(answer.text)).toMatchObject({ type: `/api/v1/problems/${kind}` });
  });

  test.each<[string, () => Promise<Record<string, string>> | Record<string, string>]>([
    ['with a key', keyHeader],
    ['of a page of the API in the name of a session', () => ({ ...cookieHeader(), Origin: api.url })],
    ['of a known page in the name of a session', () => ({ ...cookieHeader(), Origin: 'https://ops.example' })],
  ])('%s is taken', async (_, headersOf) => {
    await (await expectOpen(await headersOf())).close();
  });

  test('of another version is refused', async () => {
    const answer = await answerToHandshake(url, await keyHeader(), 8);
    expect(answer).toMatchObject({ status: 400, type: problemMediaType });
  });

  test('for what is no stream is answered as a request, and its connection ends', async () => {
    api.handlers['clients list'] = async () => ({ items: [], cursor: null });
    const key = await api.keyFor('viewer');
    const headers = { Authorization: `Bearer ${key}` };
    const answer = await answerToHandshake(`${api.url}/api/v1/clients`, headers);
    expect({ ...answer, text: JSON.parse(answer.text) }).toMatchObject({
      status: 200,
      text: { items: [], cursor: null },
    });
  });

  test('takes one of the places for streams, and gives it back', async () => {
    const headers = await keyHeader();
    const clients = await Promise.all(Array.from({ length: 16 }, () => expectOpen(headers)));
    expect(await answerToHandshake(url, headers)).toMatchObject({ status: 429 });
    await clients[0]!.close();
    await expect.poll(async () => (await SocketClient.open(url, headers).catch(() => null))?.close()).toBe(undefined);
    await Promise.all(clients.map((client) => client.close()));
  });
});

test('ends with its key, and with its session', async () => {
  const { key, secret } = await api.keys.create(wanted, api.now);
  const withKey = await expectOpen({ Authorization: `Bearer ${secret}` });
  await api.keys.delete(key.id);
  const reason = 'the key or session is no longer valid';
  expect(await withKey.closed).toEqual({ code: 1008, reason });
  const { cookie } = api.sessions.create(who, api.now);
  const withCookie = await expectOpen({ Cookie: `sluice_session=${cookie}`, Origin: api.url });
  api.sessions.end(cookie);
  expect(await withCookie.closed).toEqual({ code: 1008, reason });
});

test('a client that would rather have HTTP/2 is answered in HTTP/1.1, body and all', async () => {
  api.handlers.publish = async ({ messages }) => ({ outcomes: messages.map(() => ({}) as never) });
  const { Authorization } = await keyHeader();
  const { hostname, port } = new URL(api.url);
  const socket = connect(Number(port), hostname);
  const body = JSON.stringify({ messages: [{ topic: 'a' }, { topic: 'b' }] });
  const lines = [
    'POST /api/v1/publish HTTP/1.1',
    ...['Host: localhost', `Authorization: ${Authorization}`, 'Content-Type: application/json'],
    ...['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk'],
    `Content-Length: ${body.length}`,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
  let text = '';
  socket.on('data', (chunk) => (text += chunk));
  await expect.poll(() => text).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n\{"outcomes":\[\{\},\{\}\]\}$/s);
  socket.destroy();
});

test('what comes with the handshake is read behind it', async () => {
  const { hostname, port } = new URL(api.url);
  const { Authorization } = await keyHeader();
  const socket = connect(Number(port), hostname);
  const lines = [
    'GET /api/v1/messages/stream?filter=a HTTP/1.1',
    ...['Host: localhost', `Authorization: ${Authorization}`, 'Connection: Upgrade', 'Upgrade: websocket'],
    ...['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='],
  ];
  // A close frame with the code 1000, masked with zeros, behind headers that fill more than one piece.
  const frame = Buffer.of(0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8);
  socket.write(Buffer.concat([Buffer.from(`${[...lines, `X-Long: ${'x'.repeat(700)}`].join('\r\n')}\r\n\r\n`), frame]));
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'close');
  const answer = Buffer.concat(chunks);
  expect(answer.toString('latin1')).toMatch(/^HTTP\/1\.1 101 /);
  expect(answer.includes(Buffer.of(0x88, 0x02, 0x03, 0xe8))).toBe(true);
});
