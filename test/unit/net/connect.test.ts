/** Connections outwards: names are looked up for each attempt, and who does not answer is not waited for. */
import { once } from 'node:events';
import { connect, createServer, type LookupFunction, type Server } from 'node:net';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import type { PeerAddress } from '../../../src/contracts/transport.ts';
import { dial } from '../../../src/net/connect.ts';

const servers: Server[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map(async (server) => once(server.close(), 'close')));
});

async function listening(host: string, port = 0): Promise<number> {
  const server = createServer((socket) => socket.on('error', () => {}).end());
  servers.push(server.listen(port, host));
  await once(server, 'listening');
  return (server.address() as { port: number }).port;
}

/** There is a listener that takes nothing, and no room for more to wait for it: what comes is not answered. */
async function silence(host: string, port: number): Promise<{ end(): Promise<void> }> {
  const code = `
    const { parentPort } = require('node:worker_threads');
    require('node:net').createServer().listen({ host: '${host}', port: ${port}, backlog: 1 }, () => {
      parentPort.postMessage('listening');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const worker = new Worker(code, { eval: true });
  await once(worker, 'message');
  const waiting = Array.from({ length: 4 }, () => connect({ host, port }).on('error', () => {}));
  await Promise.all(waiting.slice(0, 2).map((socket) => once(socket, 'connect')));
  return {
    async end() {
      for (const socket of waiting) socket.destroy();
      await worker.terminate();
    },
  };
}

interface Answer {
  readonly address: string;
  readonly family: 4 | 6;
}

/** Answers one list after the other, and then the last one again. */
function names(...answers: readonly (readonly Answer[] | Error)[]) {
  const asked: string[] = [];
  const lookup: LookupFunction = (host, options, done) => {
    asked.push(host);
    const answer = answers[Math.min(asked.length, answers.length) - 1]!;
    if (answer instanceof Error) return done(answer, '', 4);
    if (options.all === true) return done(null, [...answer]);
    done(null, answer[0]!.address, answer[0]!.family);
  };
  return { lookup, asked };
}

/** Where the connection went, or why there is none. */
function attempt(address: PeerAddress, lookup: LookupFunction): Promise<string> {
  return new Promise((resolve) => {
    const options = { address, tls: null, timeoutMs: 10_000, frameBytesMax: 1_000, lookup };
    const accept = ({ remoteAddress }: { remoteAddress: string }) => {
      resolve(remoteAddress.slice(0, remoteAddress.lastIndexOf(':')));
      return null;
    };
    dial(options, accept, (error) => resolve(error.message));
  });
}

const to = (port: number): PeerAddress => ({ kind: 'tcp', host: 'broker.test', port, path: '' });

test('a name that cannot be found at first is found at the next attempt', async () => {
  const port = await listening('127.0.0.1');
  const { lookup, asked } = names(new Error('getaddrinfo ENOTFOUND broker.test'), [
    { address: '127.0.0.1', family: 4 },
  ]);

  const seen = [await attempt(to(port), lookup), await attempt(to(port), lookup)];

  expect(seen).toEqual(['getaddrinfo ENOTFOUND broker.test', '127.0.0.1']);
  expect(asked).toEqual(['broker.test', 'broker.test']);
});

// Elsewhere a loopback interface has one address only.
describe.skipIf(process.platform !== 'linux')('of several addresses', () => {
  test('a name that has moved is followed at the next attempt', async () => {
    const port = await listening('127.0.0.1');
    await listening('127.0.0.2', port);
    const { lookup } = names([{ address: '127.0.0.1', family: 4 }], [{ address: '127.0.0.2', family: 4 }]);

    expect([await attempt(to(port), lookup), await attempt(to(port), lookup)]).toEqual(['127.0.0.1', '127.0.0.2']);
  });

  test('one that does not answer at all is left for the next after a moment', async () => {
    const port = await listening('127.0.0.1');
    const silent = await silence('127.0.0.3', port);
    const { lookup } = names([
      { address: '127.0.0.3', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ]);

    expect(await attempt(to(port), lookup)).toBe('127.0.0.1');
    await silent.end();
  });

  test('one that refuses costs nothing', async () => {
    const port = await listening('127.0.0.2');
    const { lookup } = names([
      { address: '127.0.0.1', family: 4 },
      { address: '127.0.0.2', family: 4 },
    ]);

    expect(await attempt(to(port), lookup)).toBe('127.0.0.2');
  });
});

test('an address family that cannot be reached is left for the next address', async () => {
  const port = await listening('127.0.0.1');
  // Reserved for documentation: nobody answers there. [RFC 3849]
  const { lookup } = names([
    { address: '2001:db8::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ]);

  expect(await attempt(to(port), lookup)).toBe('127.0.0.1');
});

test('if no address answers, the reason of each is told', async () => {
  const port = await listening('127.0.0.1');
  await once(servers.splice(0)[0]!.close(), 'close');
  const { lookup } = names([
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ]);

  const why = await attempt(to(port), lookup);

  expect(why).toContain(`127.0.0.1:${port}`);
  expect(why).toContain('::1');
});
