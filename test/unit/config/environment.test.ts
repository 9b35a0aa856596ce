import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadConfig, readConfig } from '../../../src/config/load.ts';

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
    `${file}:1:1: (the whole file): expected object, found text`,
  ]);
});

test('a section as a whole is no variable', () => {
  expect(problemsOf({ SLUICE_LOG: '{ level: warn }' })).toHaveLength(1);
});

/** What a container finds in its environment if a service of this name is beside it. */
function kubernetes(service: string): Record<string, string> {
  const url = 'tcp://10.96.0.17:1883';
  return {
    [`${service}_SERVICE_HOST`]: '10.96.0.17',
    [`${service}_SERVICE_PORT`]: '1883',
    [`${service}_SERVICE_PORT_MQTT`]: '1883',
    [`${service}_PORT`]: url,
    [`${service}_PORT_1883_TCP`]: url,
    [`${service}_PORT_1883_TCP_PROTO`]: 'tcp',
    [`${service}_PORT_1883_TCP_PORT`]: '1883',
    [`${service}_PORT_1883_TCP_ADDR`]: '10.96.0.17',
  };
}

test.each(['SLUICE', 'SLUICE_MQTT'])(
  'what Kubernetes sets for a service %s is passed over, and told once',
  (service) => {
    const environment = { ...kubernetes(service), SLUICE_LIMITS_PACKET_BYTES: '4096' };

    const { config, remarks } = readConfig(null, environment);

    expect(config.limits.packetBytes).toBe(4096);
    expect(remarks).toHaveLength(1);
    for (const name of Object.keys(kubernetes(service))) expect(remarks[0]).toContain(name);
  },
);

test('beside them a setting is one, and a mistake is told', () => {
  expect(problemsOf({ ...kubernetes('SLUICE'), SLUICE_SERVICE_PROT: '1' })).toEqual([
    expect.stringContaining('SLUICE_SERVICE_PROT: there is no such setting'),
  ]);
  expect(problemsOf({ ...kubernetes('SLUICE_LISTENERS_0') })).toEqual([
    expect.stringContaining('SLUICE_LISTENERS_0_PORT'),
  ]);
});

test('what only looks like them is a mistake: a port alone, or a host without the rest', () => {
  expect(problemsOf({ SLUICE_PORT: '1883' })).toHaveLength(1);
  expect(problemsOf({ SLUICE_PORT: 'tcp://10.96.0.17:1883' })).toHaveLength(1);
  expect(problemsOf({ SLUICE_SERVICE_HOST: '10.96.0.17', SLUICE_PORT: '1883' })).toHaveLength(2);
});
