import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-environment-'));
afterAll(() => rmSync(directory, { recursive: true }));

function problemsOf(environment: Record<string, string>, file: string | null = null): string[] {
  try {
    loadConfig(file, environment);
  } catch (error) {
    return (error as Error).message.split('\n');
  }
  return [];
}

test('a variable for a listener changes the one that is there by default', () => {
  const { listeners } = loadConfig(null, { SLUICE_LISTENERS_0_PORT: '0', SLUICE_LISTENERS_1_PATH: '/ws' });

  expect(listeners).toMatchObject([
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
    { kind: 'ws', port: 8083, path: '/ws' },
  ]);
});

test('a variable may add the next listener, with its certificate', () => {
  const { listeners } = loadConfig(null, {
    SLUICE_LISTENERS_2_KIND: 'tls',
    SLUICE_LISTENERS_2_TLS_CERT_FILE: '/etc/c.crt',
    SLUICE_LISTENERS_2_TLS_KEY_FILE: '/etc/c.key',
  });

  expect(listeners[2]).toMatchObject({
    kind: 'tls',
    port: 8883,
    tls: { certFile: '/etc/c.crt', keyFile: '/etc/c.key' },
  });
});

test('text is taken as it stands, whatever YAML would make of it', () => {
  const config = loadConfig(null, { SLUICE_RESPONSE_INFORMATION: '123', SLUICE_STORE_DIRECTORY: '/x: [y' });

  expect(config.responseInformation).toBe('123');
  expect(config.store).toMatchObject({ directory: '/x: [y' });
});

test('a list is written as in YAML, and an item by its number comes over it', () => {
  const config = loadConfig(null, { SLUICE_REFUSED_FILTERS_1: 'c', SLUICE_REFUSED_FILTERS: '[a, b]' });

  expect(config.refusedFilters).toEqual(['a', 'c']);
});

test('all problems are told, of variables and file alike', () => {
  const file = join(directory, 'sluice.yaml');
  writeFileSync(file, 'limits: 5\nlog:\n  level: loud\n');
  const environment = {
    SLUICE_FOO: '1',
    SLUICE_LIMITS_INFLIGHT: '9',
    SLUICE_LISTENERS_0_PRT: '0',
    SLUICE_LISTENERS_4_PORT: '0',
    SLUICE_QUEUE_QOS0: 'perhaps',
  };

  expect(problemsOf(environment, file)).toEqual([
    'environment variable SLUICE_FOO: there is no such setting',
    'environment variable SLUICE_LISTENERS_0_PRT: there is no such setting; did you mean SLUICE_LISTENERS_0_PORT?',
    'environment variable SLUICE_LISTENERS_4_PORT: listeners has 2 entries, numbered from 0; the next would be 2',
    `${file}:1:1: limits: expected object, found 5`,
    'environment variable SLUICE_QUEUE_QOS0: expected boolean, found "perhaps"',
    `${file}:3:3: log.level: expected one of trace, debug, info, warn, error, silent, found "loud"`,
  ]);
});

test('a file that holds no settings is told as such, whatever the variables', () => {
  const file = join(directory, 'scalar.yaml');
  writeFileSync(file, 'hello\n');

  expect(problemsOf({ SLUICE_LOG_LEVEL: 'warn' }, file)).toEqual([
    `${file}:1:1: (the whole file): expected object, found "hello"`,
  ]);
});

test('a section as a whole is no variable', () => {
  expect(problemsOf({ SLUICE_LOG: '{ level: warn }' })).toHaveLength(1);
});
