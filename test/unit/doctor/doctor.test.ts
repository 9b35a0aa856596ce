/** `sluice doctor`: each thing that it looks at, right and wrong, and what it says to change. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../../scripts/ports.ts';
import { startApp } from '../../../src/app.ts';
import { parseConfig, readConfig } from '../../../src/config/load.ts';
import { certificateFindings } from '../../../src/doctor/certificates.ts';
import { directoryFindings } from '../../../src/doctor/directories.ts';
import { type Finding, ok } from '../../../src/doctor/finding.ts';
import { portFindings } from '../../../src/doctor/ports.ts';
import { storedDataFindings } from '../../../src/doctor/stored-data.ts';
import { processorsOf, readSystem, type SystemFacts, systemFindings } from '../../../src/doctor/system.ts';
import { sluice } from '../../support/fake-io.ts';

const parent = mkdtempSync(join(tmpdir(), 'sluice-doctor-'));
afterAll(() => rmSync(parent, { recursive: true }));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(parent, 'test-'));
});
beforeAll(async () => {
  await sluice('cert', '--dir', join(parent, 'certs'), '--host', 'mqtt.example');
  await sluice('cert', '--dir', join(parent, 'local'));
});

const gibibyte = 1_073_741_824;
const facts: SystemFacts = {
  node: '22.20.0',
  openFiles: 1_048_576,
  somaxconn: 4_096,
  memoryBytes: 4 * gibibyte,
  isContainer: false,
  heapBytes: 2 * gibibyte,
  processors: 2,
  now: Date.parse('2030-01-01T00:00:00Z'),
  installedAt: Date.parse('2029-01-01T00:00:00Z'),
  isClockSynchronized: true,
};
const config = parseConfig({});
const wrong = (findings: readonly Finding[]) =>
  findings.filter(({ level }) => level !== 'ok').map(({ check, level, what }) => `${level} ${check}: ${what}`);

describe('the system', () => {
  test('is all right with what a broker needs', () => {
    expect(wrong(systemFindings(facts, config))).toEqual([]);
  });

  test('may not tell some of it', () => {
    const silent = { ...facts, openFiles: null, somaxconn: null, installedAt: null, isClockSynchronized: null };
    expect(wrong(systemFindings(silent, config))).toEqual([]);
  });

  test.each<[Partial<SystemFacts>, string]>([
    [{ node: '23.1.0' }, `warning versions: Node.js 23.1.0 on ${process.platform} ${process.arch}`],
    [
      { openFiles: 1_024 },
      'warning open files: 1,024, which leaves room for 768 connections of the 100,000 that limits.connections allows',
    ],
    [{ somaxconn: 128 }, 'warning new connections: 128 may wait to be accepted (net.core.somaxconn)'],
    [
      { memoryBytes: gibibyte / 8, isContainer: true },
      'warning memory: 128 MiB of the container, of which clients may take 32 MiB',
    ],
    [{ processors: 0.5 }, 'warning processors: 0.5'],
    [
      { now: Date.parse('1970-01-02T00:00:00Z') },
      'fault clock: 1970-01-02T00:00:00.000Z, before this Sluice was installed',
    ],
    [{ isClockSynchronized: false }, 'warning clock: 2030-01-01T00:00:00.000Z, and not synchronized'],
  ])('%j is told', (changed, told) => {
    const findings = systemFindings({ ...facts, ...changed }, config);

    expect(wrong(findings)).toEqual([told]);
    expect(findings.every(({ level, remedy }) => (level === 'ok') === (remedy === null))).toBe(true);
  });

  test('has less memory than clients may take', () => {
    const greedy = parseConfig({ limits: { memoryBytes: 8 * gibibyte } });
    expect(wrong(systemFindings(facts, greedy))).toEqual([
      'fault memory: 4.0 GiB of the machine, of which clients may take 8.0 GiB: more than there is',
    ]);
  });

  test('gives a container a part of a processor', () => {
    expect(processorsOf('50000 100000\n')).toBe(0.5);
    expect(processorsOf('max 100000\n')).toBe(processorsOf(null));
  });

  test('can be read here', async () => {
    expect(systemFindings(await readSystem(), config)).toHaveLength(6);
  });
});

describe('certificates', () => {
  const withTls = (name: string) =>
    parseConfig({
      listeners: [
        { kind: 'tls', tls: { certFile: join(parent, name, 'server.crt'), keyFile: join(parent, name, 'server.key') } },
      ],
    });
  const dayMs = 86_400_000;

  test('that are good and have names are all right', () => {
    const [time, name, ...rest] = certificateFindings(withTls('certs'), Date.now());

    expect([time!.level, name!.level, rest]).toEqual(['ok', 'ok', []]);
    expect(name!.what).toContain('mqtt.example');
  });

  test('that end soon, have ended or begin later are told', () => {
    const at = (days: number) => certificateFindings(withTls('certs'), Date.now() + days * dayMs)[0]!;

    expect(at(340)).toMatchObject({
      level: 'warning',
      what: expect.stringMatching(/good until \d{4}-\d\d-\d\d, for 2\d days$/),
    });
    expect(at(400)).toMatchObject({ level: 'fault', what: expect.stringMatching(/has ended on/) });
    expect(at(-400)).toMatchObject({ level: 'fault', what: expect.stringMatching(/is good from .* on$/) });
  });

  test('that name this machine only are told', () => {
    expect(wrong(certificateFindings(withTls('local'), Date.now()))).toEqual([
      expect.stringMatching(
        /^warning certificate: \S+ is for localhost.*: clients of other machines find another name$/,
      ),
    ]);
  });

  test('that cannot be read are told', () => {
    expect(wrong(certificateFindings(withTls('none'), Date.now()))).toEqual([
      `fault certificate: ${join(parent, 'none', 'server.crt')}: there is no such file`,
    ]);
  });
});

describe('stored data', () => {
  /** What a broker leaves behind. */
  async function stored(): Promise<string> {
    const directory = join(folder, 'data');
    const app = await startApp(parseConfig({ listeners: [], store: { directory }, log: { level: 'silent' } }));
    await app.broker.publish('state', { payload: Buffer.from('on'), retain: true });
    await app.close();
    return directory;
  }

  test('that is not there yet is no finding', async () => {
    expect(await storedDataFindings(join(folder, 'data'))).toEqual([]);
  });

  test('is whole after an orderly stop, and stays as it is', async () => {
    const directory = await stored();
    const before = readdirSync(directory);

    expect(await storedDataFindings(directory)).toEqual([
      ok('stored data', expect.stringMatching(/^\d+ files with .* are whole$/)),
    ]);
    expect(readdirSync(directory)).toEqual(before);
  });

  test("is the running broker's", async () => {
    const directory = join(folder, 'data');
    const app = await startApp(parseConfig({ listeners: [], store: { directory }, log: { level: 'silent' } }));
    expect(await storedDataFindings(directory)).toEqual([ok('stored data', `${directory} is the running broker's`)]);
    await app.close();
  });

  test('that is damaged is told, as a start would', async () => {
    const directory = await stored();
    const manifest = readdirSync(directory).find((name) => name.startsWith('MANIFEST'))!;
    rmSync(join(directory, manifest));

    const [finding] = await storedDataFindings(directory);
    expect(finding).toMatchObject({ level: 'fault', remedy: expect.stringContaining('--accept-loss') });
    expect(finding!.what).toBe(`The database in ${directory} is damaged: ${manifest} is missing`);
    const config = parseConfig({ listeners: [], store: { directory }, log: { level: 'silent' } });
    await expect(startApp(config)).rejects.toThrow(finding!.what);
  });

  test('of which only the mark is left is told', async () => {
    const directory = await stored();
    for (const name of readdirSync(directory)) if (name !== 'last-commit') rmSync(join(directory, name));

    expect(wrong(await storedDataFindings(directory))).toEqual([
      `fault stored data: The database in ${directory} is gone: only the file last-commit is left of it`,
    ]);
  });

  // root may read everything.
  test.skipIf(process.getuid?.() === 0)('of another user is told by its first file', async () => {
    const directory = await stored();
    chmodSync(join(directory, 'CURRENT'), 0);

    const [finding] = await storedDataFindings(directory);
    expect(finding).toMatchObject({ level: 'fault', remedy: expect.stringContaining(`chown -R USER ${directory}`) });
    expect(finding!.what).toContain(`${join(directory, 'CURRENT')} cannot be used: it is not allowed`);
  });
});

describe('directories', () => {
  const withData = (directory: string, other: object = {}) => parseConfig({ store: { directory }, ...other });

  test('a data directory that is still to be made leaves nothing behind', async () => {
    const directory = join(folder, 'deep', 'data');
    const findings = await directoryFindings(withData(directory));

    expect(findings[0]).toMatchObject({ check: 'data', level: 'ok', what: `${directory} will be made in ${folder}` });
    expect(findings.map(({ check }) => check)).toEqual(['data', 'disk space', 'disk sync']);
    expect(findings[2]!.what).toMatch(/^(\d+\.\d ms each, \d+\.\d ms at most, of 20|.* is in memory)/);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('a data directory that everybody can read is told', async () => {
    const directory = join(folder, 'data');
    mkdirSync(directory, { mode: 0o755 });
    chmodSync(directory, 0o755);

    expect((await directoryFindings(withData(directory)))[0]).toMatchObject({
      level: 'warning',
      what: `${directory} can be read by every user of this machine`,
      remedy: expect.stringContaining(`chmod o= ${directory}`),
    });
  });

  test('a data directory or log below a file, or where no file can be made, is told', async () => {
    writeFileSync(join(folder, 'file'), '');
    const findings = await directoryFindings(withData('/proc/sluice', { log: { file: join(folder, 'file', 'log') } }));

    expect(wrong(findings)).toEqual([
      expect.stringMatching(/^fault data: \/proc cannot be written: /),
      `fault log: ${join(folder, 'file')} is a file and not a directory`,
    ]);
  });

  test('passwords and keys that everybody can read are told', async () => {
    const file = join(folder, 'passwords');
    writeFileSync(file, '', { mode: 0o644 });
    chmodSync(file, 0o644);
    const open = withData(folder, { authentication: [{ kind: 'password-file', file }] });

    expect(wrong(await directoryFindings(open))).toContain(
      `warning secrets: ${file} can be read by every user of this machine`,
    );
    chmodSync(file, 0o640);
    expect(wrong(await directoryFindings(open)).join()).not.toContain('secrets');
  });
});

describe('ports', () => {
  test('are free, or somebody else has them', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const taken = parseConfig({
      listeners: [
        { kind: 'tcp', port: 0 },
        { kind: 'tcp', port },
      ],
    });

    const findings = await portFindings(taken, folder);

    expect(findings.map(({ level }) => level)).toEqual(['ok', 'fault']);
    expect(findings[1]!.what).toContain(`127.0.0.1:${port}`);
    await new Promise((resolve) => server.close(resolve));
  });

  test("are the running broker's own", async () => {
    const port = await freePort();
    const own = parseConfig({
      listeners: [{ kind: 'tcp', port }],
      store: { directory: join(folder, 'data') },
      log: { level: 'silent' },
    });
    const app = await startApp(own, { commandsFor: join(folder, 'data') });

    expect(await portFindings(own, join(folder, 'data'))).toEqual([
      { check: 'port', level: 'ok', what: `127.0.0.1:${port} is the running broker's`, remedy: null },
    ]);
    await app.close();
  });
});

describe('the command', () => {
  function fileWith(text: string): string {
    const file = join(folder, 'sluice.yaml');
    writeFileSync(file, text);
    return file;
  }

  test('says of each thing how it is, and ends with 0 if there is no fault', async () => {
    const file = fileWith(
      'listeners: [{ kind: tcp, port: 0 }]\nstore: { directory: data }\nlimits: { connections: 10 }\n',
    );

    const { code, out, err } = await sluice('doctor', '-c', file);

    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain(`ok       configuration     ${file} can be used\n`);
    expect(out).toMatch(/^ok {7}port {14}127\.0\.0\.1:0 is free$/m);
  });

  test('ends with 1 at a fault, and gives it as JSON', async () => {
    const file = fileWith('listeners: [{ kind: tcp, host: 0.0.0.0 }]\nauthorization: { aclFile: none }\n');

    const { code, out, err } = await sluice('doctor', '--config', file, '--json');

    expect({ code, err: err.trim() }).toEqual({ code: 1, err: '' });
    const { faults, findings } = JSON.parse(out) as { faults: number; findings: Finding[] };
    expect(faults).toBeGreaterThanOrEqual(2);
    const told = findings.filter(({ check }) => check === 'configuration').map(({ what }) => what);
    expect(told).toEqual([
      expect.stringContaining('Not listening on 0.0.0.0:1883'),
      expect.stringContaining('Cannot read the ACL file'),
    ]);
  });

  test('opens what bridges read when they connect', async () => {
    writeFileSync(join(folder, 'empty.pem'), '');
    const bridge = (name: string, more: string) =>
      `  - { name: ${name}, addresses: ["mqtts://127.0.0.1:1"], topics: [{ filter: a }], ${more} }\n`;
    const file = fileWith(
      `listeners: []\nstore: { kind: memory }\nbridges:\n${[
        bridge('password', 'username: u, passwordFile: none'),
        bridge('variable', 'username: u, passwordEnv: NO_SUCH_VARIABLE'),
        bridge('authority', 'tls: { caFile: empty.pem }'),
      ].join('')}`,
    );

    const { code, out } = await sluice('doctor', '-c', file, '--json');

    expect(code).toBe(1);
    const { findings } = JSON.parse(out) as { findings: Finding[] };
    expect(findings.filter(({ check }) => check === 'bridge').map(({ what }) => what)).toEqual([
      expect.stringMatching(/^password: Cannot read passwordFile \S+none: /),
      expect.stringMatching(/^variable: passwordEnv names NO_SUCH_VARIABLE/),
      expect.stringMatching(/^authority: .*empty\.pem/),
    ]);
  });

  test('looks at the system also if the configuration cannot be read', async () => {
    const { code, out } = await sluice('doctor', '-c', fileWith('limits: { conections: 1 }\n'));

    expect(code).toBe(1);
    expect(out).toMatch(/^fault {4}configuration {5}.*did you mean connections\?/m);
    expect(out).toContain('processors');
  });

  test('has what the readiness of a start needs: whatever it finds no fault with starts', async () => {
    const file = fileWith('listeners: [{ kind: tcp, port: 0 }]\nstore: { directory: data }\nlog: { level: silent }\n');
    expect((await sluice('doctor', '-c', file)).code).toBe(0);

    const { config: read, where } = readConfig(file, {});
    await (await startApp(read, { where })).close();
    expect(statSync(join(folder, 'data')).isDirectory()).toBe(true);
  });
});
