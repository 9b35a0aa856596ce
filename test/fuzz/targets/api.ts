/**
 * The HTTP API of a whole broker, with Node's parser, over a socket that is only memory: request lines, headers and
 * bodies of all kinds. Nothing ends in a bug's answer, and whatever is refused is a problem document.
 *
 * Input: the bytes of a connection, in which `KEY` stands for the key of an admin.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import { createApp } from '../../../src/api/app.ts';
import { Door } from '../../../src/api/door.ts';
import { MetricsExposition } from '../../../src/api/exposition.ts';
import { Keys } from '../../../src/api/keys.ts';
import { LoginLinks } from '../../../src/api/login-links.ts';
import { LoginSessions } from '../../../src/api/login-sessions.ts';
import { StreamPlaces } from '../../../src/api/stream-places.ts';
import { Turns } from '../../../src/api/turns.ts';
import { startApp } from '../../../src/app.ts';
import { parseConfig } from '../../../src/config/load.ts';
import { type CommandName, commands } from '../../../src/contracts/commands.ts';
import { apiPath, hasBody, problemMediaType, splitRoute } from '../../../src/contracts/http.ts';
import { noPenalties } from '../../../src/contracts/login-penalties.ts';
import { areas } from '../../../src/contracts/roles.ts';
import { bytesOf, must, type Target } from '../target.ts';
import { MemorySocket } from './websocket.ts';

/** Rounds of the event loop within which what answers at once has answered. */
const roundsMax = 40;
/** What is no answer of a bug: the broker cannot do it at present, or nothing came in time. */
const regrets = new Set([503, 504]);

let port = 0;

class Connection extends MemorySocket {
  override readonly remotePort = ++port;
  readonly failures: string[] = [];

  override _write(chunk: Buffer, encoding: string, done: () => void): void {
    const [, status] = /^HTTP\/1\.1 ([45]\d\d)/.exec(chunk.toString('latin1', 0, 20)) ?? [];
    if (status !== undefined && !chunk.includes(problemMediaType))
      this.failures.push(`${status} is no problem document`);
    super._write(chunk, encoding, done);
  }
}

export async function api(): Promise<Target> {
  const log = { level: 'silent' as const };
  const config = { store: { kind: 'memory' as const }, listeners: [{ kind: 'tcp' as const, port: 0 }], log };
  const broker = await startApp(parseConfig(config));
  const keys = await Keys.open(null);
  const wanted = { name: 'fuzz', role: 'admin' as const, areas: [...areas], username: null, expiresAt: null };
  const { secret } = await keys.create(wanted, Date.now());
  let bug: unknown = null;
  const tools = {
    ...{
      keys,
      commands: await broker.commands(),
      audit: null,
      penalties: noPenalties,
      sessions: LoginSessions.inMemory(),
    },
    login: { users: [], checkPassword: async () => 'wrong' as const, links: new LoginLinks() },
    limits: {
      connections: 100,
      connectionsPerAddress: 0,
      requestsPerSecondPerAddress: 0,
      requestsPerSecondPerCaller: 0,
    },
    log: { debug() {}, info() {}, warn() {}, error: ({ err }: { err?: unknown }) => void (bug ??= err) },
    version: '0',
    now: Date.now,
    names: { hosts: [], origins: [] },
    monitoring: { exposition: new MetricsExposition(broker.broker.metrics), metrics: 'open' as const },
  };
  const streams = new StreamPlaces();
  const app = await createApp(tools as never, streams, new Turns());
  const server = createServer({ requireHostHeader: false, maxHeaderSize: 16_384 });
  let statuses: number[] = [];
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    response.once('finish', () => statuses.push(response.statusCode));
    app.routing(request, response);
  };
  new Door(tools).open(server, { kind: 'http', url: 'http://127.0.0.1:1', isLoopback: true }, handle);
  return {
    name: 'api',
    seeds: [...seedsOfCommands(), ...others].map((text) => Buffer.from(text, 'latin1')),
    tokens: bytesOf(
      ...[
        'GET ',
        'HEAD ',
        'POST ',
        'DELETE ',
        'OPTIONS ',
        ' HTTP/1.0\r\n',
        'Host: localhost\r\n',
        'Authorization: Bearer KEY\r\n',
      ],
      ...[
        'Content-Type: application/json\r\n',
        'Content-Length: ',
        'Transfer-Encoding: chunked\r\n',
        '0\r\n\r\n',
        '\r\n\r\n',
      ],
      ...[
        'Cookie: sluice_session=',
        'X-CSRF-Token: ',
        'Expect: 100-continue\r\n',
        'Connection: close\r\n',
        'Accept: text/event-stream\r\n',
        'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
        '\x81\x91\0\0\0\0{"acknowledge":1}',
      ],
      ...[
        '/api/v1/',
        '%2e%2e',
        '%2F',
        '%00',
        '%ff',
        '?limit=',
        '&cursor=',
        '__proto__',
        '{"',
        '":',
        '[[[[',
        '1e999',
        'null',
        '"\\ud800"',
      ],
    ),
    bytesMax: 100_000,
    async run(input) {
      bug = null;
      statuses = [];
      const connection = new Connection();
      connection.on('error', () => {});
      const bytes = Buffer.from(input.toString('latin1').replaceAll('KEY', secret), 'latin1');
      server.emit('connection', connection);
      connection.arrives(bytes);
      for (let i = 0; i < roundsMax && !connection.destroyed; i++) await setImmediate();
      connection.destroy();
      if (bug !== null) throw bug;
      must(connection.failures.length === 0, connection.failures[0]!);
      for (const status of statuses) must(status < 500 || regrets.has(status), `a request is answered with ${status}`);
      return statuses.length > 3 ? 'many' : `${statuses.join(' ')} ${connection.bytesOut > 0}`;
    },
    close() {
      streams.close();
      server.close();
      void app.close();
      void broker.close();
    },
  };
}

const head = (line: string, ...headers: string[]) =>
  `${[`${line} HTTP/1.1`, 'Host: localhost', 'Authorization: Bearer KEY', ...headers].join('\r\n')}\r\n\r\n`;

const withBody = (line: string, body: string) =>
  head(line, 'Content-Type: application/json', `Content-Length: ${body.length}`) + body;

/** A request of each command, with what its request has in it. */
function* seedsOfCommands(): Generator<string> {
  for (const name of Object.keys(commands) as CommandName[]) {
    const { method, path } = splitRoute(commands[name].route);
    const keys = Object.keys(commands[name].request.shape).filter((key) => !path.includes(`{${key}}`));
    const filled = apiPath + path.replaceAll(/\{\w+\}/g, '1');
    if (hasBody(method))
      yield withBody(`${method} ${filled}`, JSON.stringify(Object.fromEntries(keys.map((key) => [key, 1]))));
    else yield head(`${method} ${filled}${keys.length > 0 ? `?${keys.map((key) => `${key}=1`).join('&')}` : ''}`);
  }
}

const handshake = [
  ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

const others = [
  head('GET /metrics', 'Accept: application/openmetrics-text'),
  head('GET /api/v1/openapi.json'),
  head('GET /api/v1/problems/conflict'),
  head('GET http://localhost/api/v1/clients'),
  head('CONNECT localhost:1'),
  head('TRACE /api/v1/clients'),
  head('PROPFIND /api/v1/clients'),
  head('GET /api/v1/clients', 'Expect: something'),
  head('GET /api/v1/clients', 'Content-Length: +1'),
  'nonsense\r\n\r\n',
  'GET /api/v1/clients HTTP/1.0\r\n\r\n',
  'POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 35\r\n\r\n{"username":"ada","password":"abc"}',
  head('POST /api/v1/bans/clear', 'Content-Type: application/json', 'Transfer-Encoding: chunked') +
    '11\r\n{"address":"all"}\r\n0\r\n\r\n',
  head('GET /api/v1/clients').repeat(3),
  head('GET /api/v1/clients', 'Connection: Upgrade', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'),
  // An acknowledgement and a close behind it.
  ...['messages/stream?filter=a&name=b', 'messages/stream?filter=a&decode=auto', 'clients'].map((path) => {
    const frames = '\x81\x91\0\0\0\0{"acknowledge":1}\x88\x82\0\0\0\0\x03\xe8';
    return head(`GET /api/v1/${path}`, ...handshake) + frames;
  }),
];
