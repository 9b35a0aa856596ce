/** What ends a stream of the API, and what begins none. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { areas } from '../../../src/contracts/roles.ts';
import { TestApi } from './api-client.ts';

let api: TestApi;
let begun: number;
beforeEach(async () => {
  begun = 0;
  api = await TestApi.open();
  api.handlers['traces events'] = (_request, _caller, signal) => {
    begun++;
    return untilAborted(signal);
  };
});
afterEach(() => api.close());

async function* untilAborted(signal: AbortSignal): AsyncGenerator<never> {
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

const path = '/api/v1/traces/1/events';

/** Resolves once it has begun. */
async function open(headers: Record<string, string>): Promise<{ readonly ended: Promise<string> }> {
  const response = await fetch(`${api.url}${path}`, { headers: { Accept: 'text/event-stream', ...headers } });
  expect(response.status).toBe(200);
  return { ended: response.text() };
}

const wanted = { name: 'a', role: 'admin' as const, areas: [...areas], username: null, expiresAt: null };

test('a stream ends with its key, and that of another key goes on', async () => {
  const [first, second] = [await api.keys.create(wanted, api.now), await api.keys.create(wanted, api.now)];
  const [ending, staying] = [
    await open({ Authorization: `Bearer ${first.secret}` }),
    await open({ Authorization: `Bearer ${second.secret}` }),
  ];
  await api.keys.delete(first.key.id);
  expect(await Promise.race([ending.ended.then(() => 'ended'), staying.ended.then(() => 'other')])).toBe('ended');
  await api.keys.delete(second.key.id);
  await staying.ended;
});

test('a stream ends when its key expires', async () => {
  const { secret } = await api.keys.create({ ...wanted, expiresAt: api.now + 60_000 }, api.now);
  const { ended } = await open({ Authorization: `Bearer ${secret}` });
  api.now += 60_000;
  await ended;
});

test('a stream ends with its session, of which it is no use', async () => {
  const who = { name: 'user ada', role: 'admin' as const, areas: [...areas], username: 'ada' };
  for (const end of [(cookie: string) => api.sessions.end(cookie), () => (api.now += 30 * 60_000)]) {
    const { cookie } = api.sessions.create(who, api.now);
    const { ended } = await open({ Cookie: `sluice_session=${cookie}` });
    end(cookie);
    await ended;
  }
});

test('HEAD begins no stream', async () => {
  const { status, headers } = await api.onSocket('HEAD', path);
  expect({ status, allow: headers.allow, begun }).toEqual({ status: 405, allow: 'GET', begun: 0 });
});
