/** Where each setting of a configuration comes from. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parseConfig, readConfig } from '../../../src/config/load.ts';
import { originsOfChanges } from '../../../src/config/origins.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-origins-'));
const file = join(folder, 'sluice.yaml');
afterAll(() => rmSync(folder, { recursive: true }));

test('a setting comes from its line of the file, or from the variable that comes over it', () => {
  writeFileSync(file, 'limits:\n  queueMessages: 7\n  packetBytes: 4096\nlisteners:\n  - { kind: tcp, port: 1 }\n');
  const { origins } = readConfig(file, { SLUICE_LIMITS_PACKET_BYTES: '8192', SLUICE_ADMIN_HOSTS: '[a, b]' });
  expect(origins).toEqual([
    { path: 'limits.queueMessages', from: 'file', where: `${file}:2:3` },
    { path: 'limits.packetBytes', from: 'environment', where: 'SLUICE_LIMITS_PACKET_BYTES' },
    { path: 'listeners.0.kind', from: 'file', where: `${file}:5:7` },
    { path: 'listeners.0.port', from: 'file', where: `${file}:5:18` },
    { path: 'admin.hosts', from: 'environment', where: 'SLUICE_ADMIN_HOSTS' },
  ]);
});

test('a variable for a listener that is there by default makes only its own setting come from it', () => {
  const { origins } = readConfig(null, { SLUICE_LISTENERS_0_PORT: '1884' });
  expect(origins).toEqual([{ path: 'listeners.0.port', from: 'environment', where: 'SLUICE_LISTENERS_0_PORT' }]);
});

test('what options of the command line change comes from them', () => {
  const before = parseConfig({ limits: { queueMessages: 7 } });
  expect(originsOfChanges(before, before, 'option')).toEqual([]);
  expect(originsOfChanges(before, parseConfig({ limits: { queueMessages: 8 } }), 'option')).toEqual([
    { path: 'limits.queueMessages', from: 'option', where: null },
  ]);
});
