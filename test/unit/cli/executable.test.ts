/** The executable `sluice`, as npm installs it: which Node may run it, and with which options of V8 the broker runs. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { engineOptions } from '../../../src/base/engine.ts';
import { build, executable } from '../../support/build.ts';

const root = join(import.meta.dirname, '../../..');
const directory = mkdtempSync(join(tmpdir(), 'sluice-executable-'));
const started = new Set<number>();

beforeAll(build);
afterEach(() => {
  for (const pid of started) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  started.clear();
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe('on a Node that is too old', () => {
  /** Node with the version that it says it has. */
  function withVersion(version: string, argv: readonly string[]) {
    const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`;
    const script = `${pretend}; process.argv.splice(1, 0, ${JSON.stringify(executable)}); require(process.argv[1])`;
    return spawnSync(process.execPath, ['-e', script, '--', ...argv], { encoding: 'utf8' });
  }

  test.each([['start'], ['pub', '-t', 'a', '-m', 'b'], ['--version']])('%s says which one it needs', (...argv) => {
    const { status, stdout, stderr } = withVersion('20.18.3', argv);

    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toBe(`Sluice needs Node.js 20.19 or later, and this is 20.18.3 (${process.execPath})\n`);
  });

  test.each(['20.19.0', '22.0.0', '100.1.0'])('%s is not', (version) => {
    expect(withVersion(version, ['--version']).status).toBe(0);
  });

  test('the executable has nothing that such a Node cannot read', () => {
    const code = readFileSync(executable, 'utf8').replace(/\/\*.*?\*\//gs, '');

    expect(code).not.toMatch(/\bimport\b|\?\.|\?\?|\basync\b/);
  });
});

interface Broker {
  readonly child: ChildProcess;
  /** Of the broker itself. */
  readonly pid: number;
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<unknown>;
}

async function startBroker(command = process.execPath, before = [executable, 'start']): Promise<Broker> {
  const ports = ['--port', '0', '--ws-port', '0', '--admin-port', '0'];
  const argv = [...before, ...ports, '--data-dir', join(directory, 'data')];
  const child = spawn(command, argv, { cwd: root, stdio: ['ignore', 'pipe', 'ignore'] });
  started.add(child.pid!);
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal);
  for await (const line of createInterface({ input: child.stdout! })) {
    const pid = Number(/^process (\d+)$/.exec(line)?.[1]);
    if (Number.isNaN(pid)) continue;
    started.add(pid);
    child.stdout!.resume();
    return { child, pid, ended };
  }
  throw new Error(`the broker ended with ${await ended}`);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const commandLineOf = (pid: number): string[] => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');

describe.runIf(process.platform === 'linux')('sluice start', () => {
  test('runs with the options of V8 that a broker wants, and a signal stops it cleanly', async () => {
    const { child, pid, ended } = await startBroker();

    expect(commandLineOf(pid)).toEqual(expect.arrayContaining([...engineOptions]));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(isAlive(pid)).toBe(false);
  });

  test('leaves to whoever starts it the options that they give', async () => {
    const { child, pid, ended } = await startBroker(process.execPath, ['--max-semi-space-size=8', executable, 'start']);

    const given = commandLineOf(pid).filter((word) => word.includes('semi-space'));
    expect(given).toEqual(['--max-semi-space-size=8']);
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  });

  test('is one process where Node can replace itself', { skip: !('execve' in process) }, async () => {
    const { child, pid, ended } = await startBroker();

    expect(pid).toBe(child.pid);
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  });

  test('leaves no broker when its process is killed', async () => {
    const { child, pid, ended } = await startBroker();

    child.kill('SIGKILL');
    expect(await ended).toBe('SIGKILL');
    await expect.poll(() => isAlive(pid)).toBe(false);
  });

  test('ends with the exit code of the broker', () => {
    const argv = ['start', '--prot', '1'];
    const { status, stderr } = spawnSync(process.execPath, [executable, ...argv], { encoding: 'utf8' });

    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: 'Unknown option --prot; did you mean --port? Or see sluice start --help\n',
    });
  });
});

test('npm start that is told to stop leaves no broker behind', async () => {
  const { child, pid, ended } = await startBroker('npm', ['start', '--ignore-scripts', '--']);

  child.kill('SIGTERM');
  await ended;
  await expect.poll(() => isAlive(pid)).toBe(false);
});
