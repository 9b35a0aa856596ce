import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { engineOptions } from '../../../src/base/engine.ts';
import { codeOf, compile, readCode } from '../../../src/cli/broker-file.ts';
import { build, mainFile } from '../../support/build.ts';

beforeAll(build, 60_000);

/** What V8 says of the code that the build has left, in a process with these options. */
function isRejected(options: readonly string[]): string {
  const script = `
    const { readFileSync } = require('node:fs');
    const source = readFileSync('broker.cjs', 'utf8');
    const code = readFileSync('broker-' + process.version + '-' + process.platform + '-' + process.arch + '.code');
    const compiled = new (require('node:vm').Script)(source, { cachedData: code.subarray(20) });
    process.stdout.write(String(compiled.cachedDataRejected));
  `;
  return execFileSync(process.execPath, [...options, '-e', script], { cwd: dirname(mainFile), encoding: 'utf8' });
}

test('V8 takes the code that the build has made of the broker', () => {
  expect(isRejected(engineOptions)).toBe('false');
});

test('V8 rejects it in a process with other options, which starts from the source', () => {
  expect(isRejected([...engineOptions, '--max-lazy'])).toBe('true');
});

test.each([
  { from: "V8's code", options: engineOptions },
  { from: 'its source', options: [...engineOptions, '--max-lazy'] },
])('a broker from $from loads plugins and packages of modules, and warns of nothing', async ({ options }) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-code-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'plugin.mjs'), 'export default () => async () => {};');
  const config = {
    listeners: [{ kind: 'tcp', port: 0 }],
    admin: { listeners: [] },
    store: { kind: 'memory' },
    log: { format: 'pretty' },
    pipelines: [{ name: 'plugged', filter: '#', stages: [{ plugin: { file: './plugin.mjs' } }] }],
  };
  writeFileSync(join(folder, 'sluice.json'), JSON.stringify(config));
  const child = spawn(process.execPath, [...options, mainFile, 'start', '--config', 'sluice.json'], { cwd: folder });
  const ended = once(child, 'exit');
  const printed = { out: '', error: '' };
  child.stderr.on('data', (bytes) => (printed.error += bytes));
  child.stdout.on('data', (bytes) => {
    printed.out += bytes;
    if (printed.out.includes('process ')) child.kill('SIGTERM');
  });
  const [code] = await ended;
  expect(printed.error).not.toMatch(/Warning|cannot load/);
  expect(printed.out).toContain('listening on mqtt://');
  expect(code).toBe(0);
});

test('code of another source is not used, though V8 would take it for its length', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-code-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [file, one, two] = [join(folder, 'code'), '(() => 1)', '(() => 2)'];
  const code = codeOf(one, compile(one, undefined));
  writeFileSync(file, code);

  expect(readCode(one, file)).toEqual(code.subarray(20));
  expect(readCode(two, file)).toBeUndefined();
  expect(compile(two, code.subarray(20)).cachedDataRejected).toBe(false);
});

test('code that has been damaged on its disk is not used, since it would crash the process', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-code-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [file, source] = [join(folder, 'code'), '(() => 1)'];
  const code = codeOf(source, compile(source, undefined));
  for (const at of [20, code.length >> 1, code.length - 1]) {
    const damaged = Buffer.from(code);
    damaged[at]! ^= 1;
    writeFileSync(file, damaged);
    expect(readCode(source, file), `byte ${at}`).toBeUndefined();
  }
  writeFileSync(file, code.subarray(0, 10));
  expect(readCode(source, file)).toBeUndefined();
});
