/** What a newcomer gets wrong, and what they are told: what happened, where, what to do. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import { FakeIo, sluice } from '../../support/fake-io.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-mistakes-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);
function fileWith(name: string, text: string): string {
  writeFileSync(at(name), text);
  return at(name);
}

async function told(...argv: string[]): Promise<string> {
  const { code, err } = await sluice(...argv);
  expect(code).toBe(1);
  return err;
}

const quiet = ['--port', '0', '--ws-port', '0', '--admin-port', '0', '--log-level', 'silent'];

describe('the configuration', () => {
  test('is that of Mosquitto', async () => {
    const file = fileWith('mosquitto.conf', '# mine\nlistener 1883\nallow_anonymous true\n');
    for (const argv of [
      ['config', 'check', file],
      ['start', '--config', file],
      ['start', '-c', file],
      ['start', file],
    ]) {
      expect(await told(...argv)).toContain(
        `${file}: this is a configuration of Mosquitto, and Sluice has one of its own, in YAML: sluice import mosquitto ${file} makes it`,
      );
    }
  });

  test('stands without --config', async () => {
    const file = fileWith('own.yaml', 'allowAnonymous: true\n');
    expect(await sluice('start', file)).toMatchObject({
      code: 2,
      err: `Unexpected argument "${file}"; a configuration is given as --config ${file}\n`,
    });
  });

  test('is not there, is a directory, or is no YAML of settings', async () => {
    expect(await told('start', '--config', at('none.yaml'))).toMatch(/none\.yaml: there is no such file\n$/);
    expect(await told('start', '--config', folder)).toMatch(/: it is a directory \(EISDIR\)\n$/);
    expect(await told('config', 'check', fileWith('text.yaml', 'just text\n'))).toMatch(
      /text\.yaml:1:1: \(the whole file\): expected object, found text\n$/,
    );
  });

  test('names a file that is not there', async () => {
    const file = fileWith('p.yaml', 'authentication: [{ kind: password-file, file: passwords }]\n');
    expect(await told('config', 'check', file)).toMatch(
      /p\.yaml:1:\d+: authentication\.0.*passwords: there is no such file; make it with sluice passwd -c \S+ NAME/,
    );
  });
});

describe('the data directory', () => {
  test('is a file', async () => {
    const file = fileWith('file', '');
    expect(await told('start', '--data-dir', file, ...quiet)).toMatch(
      /^Cannot make the data directory \S+: something is there already \(EEXIST\); choose another with --data-dir\n$/,
    );
  });

  test.runIf(process.platform === 'linux')('is one where no file can be made', async () => {
    expect(await told('start', '--data-dir', '/proc', ...quiet)).toMatch(
      /^Cannot open the data directory \/proc: no file can be made there .*; choose another with --data-dir\n$/,
    );
  });

  test.runIf(process.getuid !== undefined && process.getuid() !== 0)('may not be used', async () => {
    mkdirSync(at('closed'));
    chmodSync(at('closed'), 0o500);
    expect(await told('start', '--data-dir', at('closed'), ...quiet)).toMatch(
      /^Cannot open the data directory \S+: its permissions do not allow it; choose another with --data-dir\n$/,
    );
  });

  test('is that of a broker that runs', async () => {
    const io = new FakeIo();
    const running = run(['start', '--data-dir', at('data'), ...quiet], io);
    await io.stdout.until(/process/);
    expect(await told('start', '--data-dir', at('data'), ...quiet)).toMatch(
      /^The data directory \S+ is in use by another process; stop that one, or choose another directory with --data-dir\n$/,
    );
    io.signal();
    expect(await running).toBe(0);
  });
});

test('the port is taken', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as { port: number };
  expect(await told('start', '--memory', ...quiet.slice(2), '--port', String(port))).toMatch(
    /^Cannot listen on 127\.0\.0\.1:\d+: the port is taken by another process; choose another with --port, or stop that process\n$/,
  );
  other.close();
});

describe('a reload', () => {
  const file = at('reload.yaml');
  const io = new FakeIo();
  let running: Promise<number>;
  const settings = (more: string) =>
    writeFileSync(file, `store: { directory: kept }\nlog: { level: silent }\nadmin: { listeners: [] }\n${more}`);
  const reload = () => sluice('reload', '--config', file);
  beforeAll(async () => {
    settings('listeners: [{ kind: tcp, port: 0 }]\n');
    running = run(['start', '--config', file], io);
    await io.stdout.until(/process/);
  });
  afterAll(async () => {
    io.signal();
    await running;
  });

  test('names what only the next start applies', async () => {
    settings('listeners: [{ kind: tcp, port: 0 }]\nlimits: { queueMessages: 7 }\nretainAvailable: false\n');
    expect(await reload()).toMatchObject({
      code: 0,
      out: '0 pipelines reloaded, with authentication, rules, certificates and bridges; only the next start applies limits.queueMessages, retainAvailable\n',
    });
  });

  test('says that nothing else has changed', async () => {
    settings('listeners: [{ kind: tcp, port: 0 }]\n');
    expect((await reload()).out).toMatch(/; nothing else has changed\n$/);
  });

  test('of a configuration with a mistake says where it is, and the old one stays', async () => {
    settings('listeners: [{ kind: tcp, port: 0 }]\nlimts: {}\n');
    expect(await reload()).toMatchObject({
      code: 1,
      err: expect.stringMatching(/reload\.yaml:5:1: limts: there is no such setting; did you mean limits\?/),
    });
  });
});

describe('files of sluice cert and sluice passwd', () => {
  test('in a place where none can be made', async () => {
    const file = fileWith('not-a-folder', '');
    expect(await told('cert', '--dir', file)).toMatch(
      /^Cannot make the folder \S+: something is there already \(EEXIST\); choose another --dir\n$/,
    );
    expect(await told('passwd', '-b', join(file, 'passwords'), 'a', 'b')).toMatch(
      /^Cannot read \S+: a part of its path is a file and not a directory/,
    );
    expect(await told('passwd', '-b', at('no/passwords'), 'a', 'b')).toMatch(/^There is no file \S+; -c makes it\n$/);
  });
});
