/**
 * Servers that are asked by HTTP: whatever they answer, bytes that are no HTTP included, nobody gets in unless the
 * answer says so.
 *
 * Input: whether it is the answer to a question about a client or a set of keys, and whether it is a body or the whole
 * of what comes over the connection; then the bytes.
 */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { HttpMechanism } from '../../../src/auth/authentication/http.ts';
import { Jwt } from '../../../src/auth/authentication/jwt.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { bytesOf, must, type Target, wordsOf } from '../target.ts';
import { checkedAnswer, contextOf, requestWith, settingsOf, signed, startedAt } from './tokens.ts';

/** A server that leaves the question open is given up this soon. */
const timeoutMs = 50;
const isKeySet = 1;
const isRaw = 2;

export async function answers(): Promise<Target> {
  const sockets = new Set<Socket>();
  let answer: { bytes: Buffer; isRaw: boolean } = { bytes: Buffer.alloc(0), isRaw: false };
  const server = createServer((socket) => {
    sockets.add(socket.setNoDelay());
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.on('data', () => {
      const { bytes, isRaw } = answer;
      if (isRaw) return void socket.end(bytes);
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length}\r\n\r\n`;
      socket.write(Buffer.concat([Buffer.from(head), bytes]));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

  let now = startedAt;
  let told = '';
  const log = { ...silentLog, error: (_: object, message: string) => void (told = message) };
  const context = contextOf(() => now, log);
  const never = { cacheSeconds: 0, refusalCacheSeconds: 0, cacheEntries: 1 };
  const http = await HttpMechanism.open(settingsOf({ kind: 'http', url, timeoutMs, ...never }), context);
  const fresh = { jwksCacheSeconds: 1, cooldownSeconds: 1, requireExpiry: false };
  const jwt = await Jwt.open(settingsOf({ kind: 'jwt', jwksUrl: url, timeoutMs, ...fresh }), context);

  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ed = generateKeyPairSync('ed25519');
  const keys = [p256, ed].map(({ publicKey }) => publicKey.export({ format: 'jwk' }));
  const tokens = [signed('ES256', p256.privateKey), signed('EdDSA', ed.privateKey)];
  const bodies = [
    '{"result":"allow"}',
    '{"result":"allow","username":"x","groups":["a"],"attributes":{"a":"b","__proto__":"c"},"expiresAt":1900000000}',
    '{"result":"deny"}',
    '{"result":"ignore"}',
    '[]',
  ];
  const sets = [
    { keys },
    {
      keys: [
        { ...keys[0], kid: 'a', alg: 'ES256', use: 'sig', key_ops: ['verify'] },
        { kty: 'oct', k: 'AAAA' },
      ],
    },
    { keys: [{ kty: 'RSA', n: 'AQAB', e: 'AQAB' }, null] },
  ].map((set) => JSON.stringify(set));
  const raw = [
    `HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n${bodies[0]}`,
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"res\r\nd;x=y\r\nult":"allow"}\r\n0\r\n\r\n`,
    `HTTP/1.0 200 OK\r\n\r\n${bodies[2]}`,
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 302 Found\r\nLocation: /x\r\nSet-Cookie: a=b\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  ];
  return {
    name: 'answers',
    seeds: [
      ...bodies.map((text) => [0, text] as const),
      ...sets.map((text) => [isKeySet, text] as const),
      ...raw.map((text) => [isRaw, text] as const),
      [isRaw | isKeySet, `HTTP/1.1 200 OK\r\nContent-Length: ${sets[0]!.length}\r\n\r\n${sets[0]}`] as const,
    ].map(([kind, text]) => Buffer.from(String.fromCharCode(kind) + text, 'latin1')),
    tokens: [
      ...bytesOf(
        '"result":',
        '"allow"',
        '"username":',
        '"groups":',
        '"attributes":',
        '"expiresAt":',
        'null',
        '1e400',
        '[]',
      ),
      ...bytesOf(
        '"keys":[',
        '"kty":"EC"',
        '"crv":"P-521"',
        '"x":""',
        '"kid":1',
        '"alg":"none"',
        '{}',
        ',',
        '"\\ud800"',
      ),
      ...bytesOf('HTTP/1.1 200 OK\r\n', '\r\n', 'Content-Length: ', 'Transfer-Encoding: chunked\r\n', '\r\n0\r\n\r\n'),
    ],
    bytesMax: 100_000,
    async run(input) {
      const kind = input[0] ?? 0;
      const bytes = input.subarray(1);
      answer = { bytes, isRaw: (kind & isRaw) !== 0 };
      now += 20_000;
      told = '';
      if ((kind & isKeySet) === 0) {
        const outcome = await http.authenticate(requestWith(Buffer.from('x')));
        must(outcome?.outcome !== 'accept' || bytes.includes('allow'), 'somebody gets in whom nobody allowed');
        return `${checkedAnswer(outcome)} ${wordsOf(new Error(told.replace(/^.*?\d: /, '')))}`;
      }
      const token = tokens[(kind >> 2) % tokens.length]!;
      const outcome = await jwt.authenticate(requestWith(Buffer.from(token)));
      const { x } = keys[(kind >> 2) % tokens.length]!;
      must(outcome?.outcome !== 'accept' || bytes.includes(x!), 'somebody gets in by a key that is not in the set');
      return `key set: ${checkedAnswer(outcome)} ${wordsOf(new Error(told.replace(/^.*?\d cannot/, 'cannot')))}`;
    },
    close() {
      http.close();
      jwt.close();
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
