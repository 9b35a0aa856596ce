/** How the API gives the files of the dashboard to a browser, and to whoever is none. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildDashboard } from '../../support/build.ts';
import { TestApi } from './api-client.ts';

const folder = join(import.meta.dirname, '../../../dist/dashboard');
let api: TestApi;

beforeAll(async () => {
  await buildDashboard();
  api = await TestApi.open();
});
afterAll(() => api.close());

const asBrowser = { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
const get = (path: string, headers: Record<string, string> = {}) => api.ask('GET', path, { headers });

/** Names of the files that the page names. */
const named = () =>
  [...readFileSync(join(folder, 'index.html'), 'utf8').matchAll(/(?:href|src)="([^"]+)"/g)].map(([, name]) => name!);

test.each(['/', '/dashboard'])(
  'a browser at %s is led to the page, by a path that a proxy may have before it',
  async (path) => {
    const { status, headers } = await get(path, asBrowser);
    expect(status).toBe(302);
    expect(headers.location).toBe('dashboard/');
  },
);

test('whoever is no browser hears at / that there is nothing', async () => {
  expect((await get('/', { Accept: 'application/json' })).json).toMatchObject({
    type: '/api/v1/problems/no-such-path',
  });
});

test('the page needs no login, and says with its headers that nothing else may run or frame it', async () => {
  const { status, headers, text } = await get('/dashboard/');
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('text/html; charset=utf-8');
  expect(text).toContain('<div id="app">');
  expect(text).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\bon\w+=|style=/);
  const policy = String(headers['content-security-policy']);
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).toContain("require-trusted-types-for 'script'");
  expect(policy).not.toMatch(/unsafe|https?:|\*/);
  expect(headers).toMatchObject({
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cache-control': 'no-cache',
  });
});

test('the page is sent again only if it has changed', async () => {
  const { headers } = await get('/dashboard/');
  const again = await get('/dashboard/', { 'If-None-Match': String(headers.etag) });
  expect(again).toMatchObject({ status: 304, text: '' });
  expect((await get('/dashboard/', { 'If-None-Match': 'W/"another"' })).status).toBe(200);
});

test('what the page names is relative, there, and may be kept for ever', async () => {
  expect(named().length).toBeGreaterThan(3);
  for (const name of named()) {
    expect(name).toMatch(/^[\w.-]+-[\w-]{8}\.(js|css|svg)$/);
    const { status, headers } = await get(`/dashboard/${name}`);
    expect(status, name).toBe(200);
    expect(headers['cache-control'], name).toBe('public, max-age=31536000, immutable');
  }
});

test.each([
  ['gzip, deflate, br', 'br', brotliDecompressSync],
  ['gzip, deflate', 'gzip', gunzipSync],
  ['br;q=0, gzip', 'gzip', gunzipSync],
] as const)('who takes %s gets %s', async (accepted, coding, decompress) => {
  const name = named().find((each) => each.startsWith('app-'))!;
  const response = await fetchRaw(`/dashboard/${name}`, accepted);
  expect(response.coding).toBe(coding);
  expect(decompress(response.bytes)).toEqual(readFileSync(join(folder, name)));
});

test.each([
  '/dashboard/nothing.js',
  '/dashboard/index.html',
  '/dashboard/files.json',
  '/dashboard/..%2f..%2fpackage.json',
])('there is nothing at %s', async (path) => {
  expect((await get(path)).status).toBe(404);
});

test('other methods are refused', async () => {
  expect((await api.ask('POST', '/dashboard/', { key: await api.keyFor('admin') })).status).toBe(405);
});

test('the first load, the overview without its drawings, has 45 kB at most', () => {
  const sizeOf = (name: string) => readFileSync(join(folder, `${name}.gz`)).length;
  const all = ['index.html', ...named()];
  expect(all.reduce((sum, name) => sum + sizeOf(name), 0)).toBeLessThanOrEqual(45_000);
  const scripts = all.filter((name) => name.endsWith('.js'));
  const text = scripts.map((name) => readFileSync(join(folder, name), 'utf8')).join('');
  expect(text, 'the overview is in it').toContain('figures history');
  const imported = [...text.matchAll(/(?:from|import)\s*"\.\/([^"]+)"/g)].map(([, each]) => each);
  expect(scripts, 'all that it needs is named').toEqual(expect.arrayContaining(imported));
});

/** As the bytes are sent. */
async function fetchRaw(path: string, accepted: string): Promise<{ coding: string | undefined; bytes: Buffer }> {
  const asked = request(`${api.url}${path}`, { headers: { 'Accept-Encoding': accepted }, agent: false }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { coding: response.headers['content-encoding'], bytes: Buffer.concat(chunks) };
}
