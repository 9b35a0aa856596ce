import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { sluice } from '../../support/fake-io.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-cli-'));
afterAll(() => rmSync(directory, { recursive: true }));
const root = resolve(import.meta.dirname, '../../..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

describe('called wrongly: one line that says what to do, and exit code 2', () => {
  const cases: Record<string, string> = {
    strat: 'There is no command strat; did you mean start? Or see sluice --help',
    '--versoin': 'There is no option --versoin; did you mean --version? Or see sluice --help',
    'start --prt 1': 'Unknown option --prt; did you mean --port? Or see sluice start --help',
    'start now': 'Unexpected argument "now"; see sluice start --help',
    'start --port x': '--port wants a whole number from 0 to 65535, not "x"',
    'start --log-level loud': '--log-level wants one of trace, debug, info, warn, error, silent, not "loud"',
    'start --memory --data-dir d':
      '--memory keeps nothing on disk, and --data-dir says where on disk: give one of them',
    'config chck x': 'Use: sluice config check FILE, example, schema, or show; see sluice config --help',
    'pub -m x': 'Which topic? Give -t TOPIC; see sluice pub --help',
    'pub -t a': 'Give one of -m TEXT, -f FILE, -l, -s and -n; see sluice pub --help',
    'pub -t a -m x -n': 'Give one of -m TEXT, -f FILE, -l, -s and -n; see sluice pub --help',
    'pub -t a/+ -m x': '-t wants a topic without + and #, not "a/+"',
    'pub -t a -m x -q 3': '-q wants a whole number from 0 to 2, not "3"',
    'pub -t a -m x -p 0': '-p wants a whole number from 1 to 65535, not "0"',
    'pub -t a -m x -V 4': '-V wants 31, 311 or 5, not "4"',
    'pub -t a -m x -V constructor': '-V wants 31, 311 or 5, not "constructor"',
    'pub -t a -m x -P word': '-P wants a user name as well: give -u NAME',
    'sub -t a --url http://x':
      '--url wants mqtt://, mqtts://, ws:// or wss:// and a host, or unix:// and a path, not "http://x"',
    'sub -t a --url mqtt://x -p 1': '--url says where to connect already: leave out -h and -p',
    'sub -t a --url mqtt://x --insecure':
      '--cafile and --insecure are for TLS: write mqtts:// or wss:// instead of mqtt://',
    'sub -t a -c': '-c keeps the session of a client: name it with -i ID',
    'sub -t a -C 0': '-C wants a whole number from 1 to 2147483648, not "0"',
  };
  for (const [line, err] of Object.entries(cases)) {
    test(`sluice ${line}`, async () => {
      expect(await sluice(...line.split(' '))).toEqual({ code: 2, out: '', err: `${err}\n` });
    });
  }
});

test.each(['start', 'pub', 'sub', 'config'])('sluice %s --help tells its options', async (command) => {
  const { code, out, err } = await sluice(command, '--help');

  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toContain(`sluice ${command}`);
});

test('sluice --help names every command, and --version tells the version', async () => {
  expect((await sluice('--help')).out).toMatch(/start.*pub.*sub.*config.*db.*backup/s);
  expect(await sluice('--version')).toEqual({ code: 0, out: `${version}\n`, err: '' });
});

describe('sluice config', () => {
  test('check says that a file is valid', async () => {
    const file = join(directory, 'valid.yaml');
    writeFileSync(file, 'maximumQoS: 1\n');

    expect(await sluice('config', 'check', file)).toEqual({ code: 0, out: `${file} is valid\n`, err: '' });
  });

  test('check tells every problem in a line, and exits with 1', async () => {
    const file = join(directory, 'wrong.yaml');
    writeFileSync(file, 'maximumQoS: 3\nlog: { levle: info }\n');

    const { code, err } = await sluice('config', 'check', file);

    expect(code).toBe(1);
    expect(err.trimEnd().split('\n')).toEqual([
      `${file}:1:1: maximumQoS: expected one of 0, 1, 2, found 3`,
      `${file}:2:8: log.levle: there is no such setting; did you mean level?`,
    ]);
  });

  test('check says that path stands in the place of paths', async () => {
    const file = join(directory, 'path.yaml');
    writeFileSync(file, 'listeners: [{ kind: ws, path: /only }]\n');

    const note = `${file}:1:25: listeners.0.path: the only path then; several are in its place as paths: [/only, …]`;
    expect(await sluice('config', 'check', file)).toMatchObject({ code: 0, out: `${note}\n${file} is valid\n` });
  });

  test('check refuses to let anybody in from other machines unless that is written down', async () => {
    const file = join(directory, 'open.yaml');
    writeFileSync(file, 'listeners: [{ kind: tcp, host: 0.0.0.0 }]\n');

    expect(await sluice('config', 'check', file)).toMatchObject({
      code: 1,
      err: expect.stringContaining('say allowAnonymous: true or --allow-anonymous'),
    });
  });

  test('check looks into the files of authentication: a missing one is an error, a line that is wrong is told', async () => {
    const file = join(directory, 'authentication.yaml');
    writeFileSync(file, 'authentication:\n  - kind: password-file\n    file: passwords\n');
    const missing = await sluice('config', 'check', file);
    expect([missing.code, missing.err]).toEqual([
      1,
      expect.stringContaining(`${file}:3:5: authentication.0.file: Cannot use the password file`),
    ]);

    writeFileSync(join(directory, 'passwords'), 'ada:plain text\n');
    const { code, out } = await sluice('config', 'check', file);
    const line = `password file ${join(directory, 'passwords')}:1: this line lets nobody in, not a hash that is known here`;
    expect([code, out]).toEqual([0, expect.stringMatching(/ is valid\n$/)]);
    expect(out).toContain(line);
  });

  test('check looks into the files of TLS', async () => {
    const file = join(directory, 'tls.yaml');
    const tls = '{ certFile: none.crt, keyFile: none.key }';
    writeFileSync(file, `listeners:\n  - kind: tcp\n  - kind: wss\n    tls: ${tls}\n`);
    const { code, err } = await sluice('config', 'check', file);
    const cause = `Cannot read tls.certFile ${join(directory, 'none.crt')}: there is no such file`;
    expect([code, err]).toEqual([1, expect.stringContaining(`${file}:4:5: listeners.1.tls: ${cause}`)]);
  });

  test('example prints the sample that the package brings', async () => {
    const { code, out } = await sluice('config', 'example');

    expect({ code, out }).toEqual({ code: 0, out: readFileSync(join(root, 'config/sluice.yaml'), 'utf8') });
  });

  test('schema prints a JSON Schema', async () => {
    const { code, out } = await sluice('config', 'schema');

    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ type: 'object', properties: { limits: { type: 'object' } } });
  });
});
