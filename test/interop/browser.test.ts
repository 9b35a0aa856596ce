/** A web page in a real browser: Chromium with MQTT.js's own bundle, over WebSocket. Where Chromium is installed. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { createBroker } from '../../src/index.ts';

const hasChromium = spawnSync('chromium', ['--version']).status === 0;
const require = createRequire(import.meta.url);
const bundle = join(dirname(require.resolve('mqtt/package.json')), 'dist/mqtt.min.js');

/** Subscribes, publishes to itself, and tells the broker what came. */
const page = (url: string) => `<!doctype html><script src="/mqtt.js"></script><script>
const client = mqtt.connect(${JSON.stringify(url)}, { protocolVersion: 5 });
client.on('message', (topic, payload) => client.publish('page/report', topic + ' ' + payload, { qos: 1 }));
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
];

test.runIf(hasChromium)('a page from an allowed origin publishes and receives', async () => {
  let url = '';
  const web = createServer((request, response) => {
    const isScript = request.url === '/mqtt.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
    response.end(isScript ? readFileSync(bundle) : page(url));
  });
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  const { port } = web.address() as AddressInfo;
  const broker = await createBroker({
    config: {
      listeners: [{ kind: 'ws', port: 0, origins: [`http://127.0.0.1:${port}`] }],
      store: { kind: 'memory' },
      log: { level: 'silent' },
    },
  });
  url = broker.listeners[0]!.url;
  const report = new Promise<string>((resolve) => {
    broker.subscribe('page/report', ({ payload }) => resolve(payload.toString()));
  });
  const profile = mkdtempSync(join(tmpdir(), 'sluice-chromium-'));
  const start = (address: string) => spawn('chromium', [...chromiumOptions, `--user-data-dir=${profile}`, address]);
  const chromium = start(`http://127.0.0.1:${port}/`);
  try {
    expect(await report).toBe('page/in héllo');
  } finally {
    chromium.kill('SIGKILL');
    await once(chromium, 'close');
    web.closeAllConnections();
    web.close();
    await broker.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
});
