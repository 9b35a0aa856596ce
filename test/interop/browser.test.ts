/** A web page in a real browser: Chromium with MQTT.js's own bundle, over WebSocket. Where Chromium is installed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { createBroker, type SluiceBroker } from '../../src/index.ts';

const hasChromium = spawnSync('chromium', ['--version']).status === 0;
const require = createRequire(import.meta.url);
const bundle = join(dirname(require.resolve('mqtt/package.json')), 'dist/mqtt.min.js');

/** Subscribes, publishes to itself, and tells its server what came, or that it could not connect. */
const page = (url: string) => `<!doctype html><script src="/mqtt.js"></script><script>
const report = (text) => fetch('/report', { method: 'POST', body: text });
const client = mqtt.connect(${JSON.stringify(url)}, { protocolVersion: 5, reconnectPeriod: 0 });
client.on('close', () => report('closed'));
client.on('message', (topic, payload) => report(topic + ' ' + payload));
client.subscribe('page/in', { qos: 1 }, () => client.publish('page/in', 'héllo', { qos: 1 }));
</script>`;

const chromiumOptions = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // A page from elsewhere, without a name server.
  '--host-resolver-rules=MAP dashboard.example 127.0.0.1',
];

describe.runIf(hasChromium)('over WebSocket, to a broker that asks for no credentials, a page', () => {
  let web: Server;
  let broker: SluiceBroker;
  let chromium: ChildProcess;
  let profile: string;
  const warnings: string[] = [];

  /** Opens the page as `http://host:…`; resolves with what it reports. `originsOf`: what the listener allows. */
  async function visit(host: string, originsOf?: (page: string) => string[]): Promise<string> {
    let url = '';
    let report: (text: string) => void = () => {};
    const reported = new Promise<string>((resolve) => (report = resolve));
    web = createServer((request, response) => {
      if (request.url === '/report') {
        let text = '';
        request.on('data', (chunk) => (text += chunk));
        request.on('end', () => report(text));
      }
      const isScript = request.url === '/mqtt.js';
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
      response.end(isScript ? readFileSync(bundle) : page(url));
    });
    web.listen(0, '127.0.0.1');
    await once(web, 'listening');
    const origin = `http://${host}:${(web.address() as AddressInfo).port}`;
    const origins = originsOf === undefined ? {} : { origins: originsOf(origin) };
    broker = await createBroker({
      config: { listeners: [{ kind: 'ws', port: 0, ...origins }], store: { kind: 'memory' } },
      log: { debug() {}, info() {}, warn: (_, line) => warnings.push(line), error: (_, line) => warnings.push(line) },
    });
    url = broker.listeners[0]!.url;
    profile = mkdtempSync(join(tmpdir(), 'sluice-chromium-'));
    chromium = spawn('chromium', [...chromiumOptions, `--user-data-dir=${profile}`, `${origin}/`]);
    return reported;
  }

  afterEach(async () => {
    chromium.kill('SIGKILL');
    await once(chromium, 'close');
    web.closeAllConnections();
    web.close();
    await broker.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    warnings.length = 0;
  });

  test('of this machine publishes and receives', async () => {
    expect(await visit('127.0.0.1')).toBe('page/in héllo');
  });

  test('of another origin is refused, and the log names it and the setting', async () => {
    expect(await visit('dashboard.example')).toBe('closed');
    expect(warnings[0]).toMatch(/origin http:\/\/dashboard\.example:\d+ may not connect .* the listener's "origins"/);
  });

  test('of another origin that `origins` lists publishes and receives', async () => {
    expect(await visit('dashboard.example', (origin) => [origin])).toBe('page/in héllo');
  });
});
