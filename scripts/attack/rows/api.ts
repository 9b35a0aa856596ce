/**
 * The HTTP API: whoever reaches a listener of it, with and without a key, must not slow the clients of MQTT. The
 * attacker has an address that no limit exempts.
 */
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { apiAddress, apiKey, sluice } from '../../api-of-broker.ts';
import { type Attacker, attackersAddress } from '../attacker.ts';
import * as packets from '../packets.ts';
import type { Row } from '../row.ts';

const needs = () => ({ admin: { listeners: [{ port: 0 }] } });

const addressOf = ({ task: { folder } }: Attacker) => apiAddress(folder);
const keyOf = ({ task: { folder } }: Attacker, role: string, name = role) => apiKey(folder, role, name);

const from = attackersAddress === undefined ? {} : { localAddress: attackersAddress };

function open({ hostname, port }: URL): Socket {
  return connect({ host: hostname, port: Number(port), ...from }).on('error', () => {});
}

interface Asked {
  readonly method?: string;
  readonly key?: string;
  readonly body?: string;
  readonly agent?: Agent;
}

/** The status of the answer, which is read; 0: the connection ended before. */
function ask(
  url: URL,
  path: string,
  { method = 'GET', key, body, agent }: Asked,
): Promise<[status: number, text: string]> {
  const headers = {
    ...(key === undefined ? {} : { Authorization: `Bearer ${key}` }),
    ...(body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': body.length }),
  };
  return new Promise((resolve) => {
    const { hostname, port } = url;
    const asked = request(
      { hostname, port, path, method, headers, agent: agent ?? false, ...from },
      async (response) => {
        let text = '';
        try {
          for await (const chunk of response) text += chunk;
        } catch {}
        resolve([response.statusCode ?? 0, text]);
      },
    );
    asked.on('error', () => resolve([0, '']));
    asked.end(body);
  });
}

/** For so many seconds, so many at a time. Says how often each status was answered. */
async function loop(attacker: Attacker, seconds: number, atOnce: number, work: (i: number) => Promise<number>) {
  const statuses = new Map<number, number>();
  const end = performance.now() + seconds * 1_000;
  let index = 0;
  const some = async () => {
    while (performance.now() < end) {
      const status = await work(index++);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      // A connection that is turned away at once would else be all that this process sees.
      if (status === 0) await attacker.delay(0.01);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, some));
  const shown = [...statuses].map(([status, count]) => `${count} × ${status === 0 ? 'no answer' : status}`);
  attacker.fact(`answers: ${shown.join(', ')}`);
}

/** What looks at as much as a page may, and finds nothing. */
const expensive: readonly string[] = [
  'clients?clientIdContains=nobody&username=nobody',
  'clients?clientIdPrefix=listed-1&clientIdContains=x',
  `subscriptions?topicFilter=${encodeURIComponent('+/nobody/+')}`,
  `retained?topicFilter=${encodeURIComponent('+/+/nobody')}`,
  `retained?topicFilter=${encodeURIComponent('#')}&limit=1000`,
  'topics/subscribers?topic=a/1/b&limit=1000',
  `drops?topic=${encodeURIComponent('+/+/nobody')}`,
  'explain?topic=a/1/b&from=nobody&to=listed-1',
];

/** About as many as are not refused by their number. */
const values = `{"ids":[${'0,'.repeat(19_000)}0]}`;

export const api: readonly Row[] = [
  {
    name: '500 connections to the HTTP API that send their requests byte by byte',
    isInShortForm: true,
    needs,
    async run(attacker) {
      const url = await addressOf(attacker);
      const sockets = Array.from({ length: attacker.size(50, 500) }, () => open(url));
      const text =
        'POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000\r\nContent-Type: application/json\r\n\r\n{';
      const end = performance.now() + attacker.size(1, 20) * 1_000;
      for (let i = 0; performance.now() < end; i++) {
        for (const socket of sockets) if (!socket.destroyed) socket.write(text[i % text.length]!);
        await attacker.delay(0.05);
      }
      attacker.fact(`${sockets.filter(({ destroyed }) => !destroyed).length} connections stayed`);
      for (const socket of sockets) socket.destroy();
    },
  },
  {
    name: 'wrong keys over the HTTP API, 50 at a time',
    isInShortForm: true,
    needs,
    async run(attacker) {
      const url = await addressOf(attacker);
      const key = `sluice_${'a'.repeat(8)}_${'b'.repeat(43)}`;
      await loop(attacker, attacker.size(1, 15), 50, async () => (await ask(url, '/api/v1/clients', { key }))[0]);
    },
  },
  {
    name: 'wrong passwords over the HTTP API, 50 at a time, from an address that is never banned',
    isInShortForm: true,
    needs(folder) {
      const file = join(folder, 'passwords');
      sluice('passwd', '-c', '-b', file, 'ada', 'right');
      return {
        allowAnonymous: true,
        authentication: [{ kind: 'password-file', file }],
        penalties: { failuresPerUser: 0, failuresPerAddress: 0, delayMs: 0 },
        admin: { listeners: [{ port: 0 }], users: [{ username: 'ada', role: 'viewer' }] },
      };
    },
    async run(attacker) {
      const url = await addressOf(attacker);
      await loop(attacker, attacker.size(1, 15), 50, async (i) => {
        const body = JSON.stringify({ username: 'ada', password: `guess ${i}` });
        return (await ask(url, '/api/v1/login', { method: 'POST', body }))[0];
      });
    },
  },
  {
    name: 'lists of 10,000 sessions over the HTTP API in a loop, 32 at a time',
    isInShortForm: true,
    needs,
    async prepare(attacker) {
      await attacker.absentSessions(attacker.size(200, 10_000), 'listed', (i) => [`a/${i}/#`]);
    },
    async run(attacker) {
      const url = await addressOf(attacker);
      const key = keyOf(attacker, 'viewer');
      const agent = new Agent({ keepAlive: true });
      let bytes = 0;
      await loop(attacker, attacker.size(1, 15), 32, async (i) => {
        const path = i % 2 === 0 ? '/api/v1/clients?limit=1000' : '/api/v1/subscriptions?limit=1000';
        const [status, text] = await ask(url, path, { key, agent });
        bytes += text.length;
        return status;
      });
      attacker.fact(`${(bytes / 1_048_576).toFixed(0)} MiB of lists`);
      agent.destroy();
    },
  },
  {
    name: 'filters that match nothing of 10,000 sessions and retained messages over the HTTP API, 32 at a time',
    isInShortForm: true,
    needs,
    async prepare(attacker) {
      const count = attacker.size(200, 10_000);
      await attacker.absentSessions(count, 'listed', (i) => [`a/${i}/#`, `+/${i}/+`]);
      const publisher = await attacker.connect();
      await publisher.writeAll(count, (i) => packets.publish(`kept/${i % 100}/${i}`, 'x', { retain: true }));
      await attacker.untilServed(publisher);
    },
    async run(attacker) {
      const url = await addressOf(attacker);
      const key = keyOf(attacker, 'viewer');
      const agent = new Agent({ keepAlive: true });
      await loop(attacker, attacker.size(1, 15), 32, async (i) => {
        return (await ask(url, `/api/v1/${expensive[i % expensive.length]}`, { key, agent }))[0];
      });
      agent.destroy();
    },
  },
  {
    name: 'connections to the HTTP API in a loop, 200 at a time, half of which ask nothing',
    isInShortForm: true,
    needs,
    async run(attacker) {
      const url = await addressOf(attacker);
      await loop(attacker, attacker.size(1, 15), 200, async (i) => {
        const socket = open(url).resume();
        await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => {});
        if (i % 2 === 0) socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
        await Promise.race([once(socket, 'close'), attacker.delay(i % 2 === 0 ? 5 : 0.2)]).catch(() => {});
        const isAnswered = socket.bytesRead > 0;
        socket.destroy();
        return isAnswered ? 200 : 0;
      });
    },
  },
  {
    name: 'bodies of 19,000 wrong values over the HTTP API, 32 at a time',
    needs,
    async run(attacker) {
      const url = await addressOf(attacker);
      const key = keyOf(attacker, 'admin');
      await loop(attacker, attacker.size(1, 15), 32, async () => {
        return (await ask(url, '/api/v1/quarantine/drop', { method: 'POST', key, body: values }))[0];
      });
    },
  },
  {
    name: '64 streams of all messages over the HTTP API, 16 for each of four keys, a quarter of which is not read',
    isInShortForm: true,
    needs,
    async run(attacker) {
      const url = await addressOf(attacker);
      const keys = Array.from({ length: attacker.size(1, 4) }, (_, i) => keyOf(attacker, 'publisher', `stream-${i}`));
      let [bytes, open, refused] = [0, 0, 0];
      const asked = keys.flatMap((key) =>
        Array.from({ length: 16 }, (_, i) => {
          const accept = i % 2 === 0 ? 'text/event-stream' : 'application/x-ndjson';
          const headers = { Authorization: `Bearer ${key}`, Accept: accept };
          const path = '/api/v1/messages/stream?filter=%23';
          return request(
            { hostname: url.hostname, port: url.port, path, headers, agent: false, ...from },
            (response) => {
              if (response.statusCode !== 200) return void refused++;
              open++;
              if (i % 4 === 0) return;
              response.on('data', ({ length }: Buffer) => {
                bytes += length;
              });
            },
          )
            .on('error', () => {})
            .end();
        }),
      );
      await attacker.delay(attacker.size(1, 15));
      attacker.fact(`${open} streams, ${refused} refused, ${(bytes / 1_048_576).toFixed(0)} MiB of messages`);
      for (const each of asked) each.destroy();
    },
  },
  {
    name: 'thousands of requests on one connection of the HTTP API, without waiting for answers',
    needs,
    async run(attacker) {
      const url = await addressOf(attacker);
      const requests = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2_000));
      await loop(attacker, attacker.size(1, 15), 16, async () => {
        const socket = open(url);
        socket.resume();
        await new Promise((resolve) => {
          socket.once('close', resolve);
          socket.write(requests);
        });
        return 0;
      });
    },
  },
];
