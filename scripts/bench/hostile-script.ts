/**
 * What a hostile script costs others: their round trips while another client's messages make a script misbehave, one by
 * one.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startBroker } from './brokers.ts';
import { LoadClient, publishTemplate } from './load/client.ts';
import { Histogram } from './load/histogram.ts';

const bodies: Readonly<Record<string, string>> = {
  'nothing: it returns at once': 'return true;',
  'an endless loop': 'for (;;);',
  'endless recursion': 'const f = () => f() + 1; f();',
  'memory without end': 'const all = []; for (;;) all.push(new Array(1000).fill({}));',
  'a pathological regular expression': `/^(a+)+$/.test('a'.repeat(50) + '!');`,
  'prototypes changed': 'Array.prototype.toJSON = () => null; return {};',
  'an answer of 8 MB': `return { payload: 'x'.repeat(8e6) };`,
  'stuck where no interrupt reaches': `'a'.repeat(4e6).indexOf('a'.repeat(2e6) + 'b');`,
};

const seconds = 5;
const hostileMessages = 1_000;

/** Round trips of one message at a time, beside a client that has 20 hostile messages under way. */
async function measure(body: string): Promise<Histogram> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  writeFileSync(join(folder, 'script.js'), `export default (message) => { ${body} };\n`);
  const settings = `pipelines:
  - name: hostile
    filter: hostile/#
    stages: [{ script: { file: ${join(folder, 'script.js')} }, onError: drop }]`;
  const broker = await startBroker('sluice', join(folder, 'broker'), { isDurable: false, settings });
  const options = { url: new URL(broker.urls.get('mqtt')!), version: 4 } as const;
  const times = new Histogram();
  const clients: LoadClient[] = [];
  try {
    let sentAt = 0;
    let isRunning = false;
    const own: LoadClient = await LoadClient.connect(
      { ...options, clientId: 'other' },
      {
        onMessage: () => times.add((performance.now() - sentAt) * 1_000),
        onTurn: () => {
          if (!isRunning) return;
          sentAt = performance.now();
          own.write(ping);
        },
      },
    );
    const ping = publishTemplate('other', 64, { qos: 0, version: 4 }).bytes;
    clients.push(own);
    await own.subscribe(['other'], 0);
    const hostile = await LoadClient.connect({ ...options, clientId: 'hostile' });
    clients.push(hostile);
    const bad = publishTemplate('hostile/a', 2, { qos: 0, version: 4 });
    bad.bytes.write('{}', bad.payloadAt);
    for (let i = 0; i < hostileMessages; i++) hostile.write(bad.bytes);
    isRunning = true;
    sentAt = performance.now();
    own.write(ping);
    await delay(seconds * 1_000);
    isRunning = false;
  } finally {
    for (const client of clients) client.close();
    await broker.stop();
    rmSync(folder, { recursive: true });
  }
  return times;
}

export async function benchHostileScript(): Promise<void> {
  const lines = [
    '| the script does | round trips of another client | p50 ms | p99 ms | longest ms |',
    '|---|--:|--:|--:|--:|',
  ];
  for (const [what, body] of Object.entries(bodies)) {
    const { n, p50, p99, max } = (await measure(body)).summary();
    const ms = (microseconds: number) => (microseconds / 1_000).toFixed(2);
    lines.push(`| ${what} | ${n} | ${ms(p50)} | ${ms(p99)} | ${ms(max)} |`);
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}
