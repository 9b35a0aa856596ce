/** Who was refused was never there: what the log, the audit log and the program are told of it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createBroker } from '../../../src/index.ts';
import { WireClient } from '../../support/wire-client.ts';

test('nobody disconnects who had not connected, and a refusal writes no line that is not counted', async () => {
  const lines: string[] = [];
  const add = (_: object, message: string) => void lines.push(message);
  const directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  const audit = { file: join(directory, 'audit') };
  const broker = await createBroker({
    config: { listeners: [{ kind: 'tcp', port: 0 }], store: { kind: 'memory' }, audit },
    hooks: { authenticate: () => ({ outcome: 'refuse', reasonCode: 0x86 }) },
    log: { debug() {}, info: add, warn: add, error: add },
  });
  lines.length = 0;
  const events: string[] = [];
  for (const name of ['connected', 'disconnected'] as const) broker.events.on(name, () => void events.push(name));

  for (let i = 0; i < 3; i++) {
    const client = await WireClient.open(broker.listeners[0]!.port);
    client.sendConnect();
    await client.closed();
  }

  expect(events).toEqual([]);
  // Those that anybody can cause are bounded in number where they are written.
  expect(lines.filter((line) => !line.startsWith('refused: '))).toEqual([]);
  await broker.close();
  const kinds = readFileSync(audit.file, 'utf8').matchAll(/"event":"(\w+)"/g);
  expect(new Set([...kinds].map(([, kind]) => kind))).toEqual(new Set(['started', 'authenticationFailed', 'stopped']));
  rmSync(directory, { recursive: true });
});
