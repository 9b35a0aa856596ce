/** The broker's own log, with what strangers may put into it. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createLog, type OwnLog, programLog } from '../../../src/admin/log.ts';
import { formatFor, type LogFormat } from '../../../src/admin/log-format.ts';
import { TemporaryLevels } from '../../../src/admin/log-level.ts';
import type { LogPart } from '../../../src/contracts/log.ts';
import { type ConfigInput, createBroker } from '../../../src/index.ts';

const evil = 'x\r\n2026-01-01 INFO: all is well\u001b[2J\u001b]0;title\u0007\u009b31m\u202e';

async function written(format: LogFormat, write: (log: OwnLog) => void) {
  const output = new PassThrough();
  const log = await createLog({ level: 'info', format }, output);
  write(log);
  await expect.poll(() => output.readableLength).toBeGreaterThan(0);
  return (output.read() as Buffer).toString();
}

/** Colours are pino-pretty's own. */
const withoutColours = (text: string) => text.replaceAll(/\u001b\[\d+m/g, '');

test.each(['pretty', 'json'] as const)('nothing of a stranger gets through to the terminal (%s)', async (format) => {
  const text = await written(format, ({ parts: { session } }) =>
    session.warn({ client: evil, topic: evil }, `refused: ${evil}`),
  );
  const lines = withoutColours(text).trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  for (const line of lines) expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  expect(text).toContain('all is well');
});

test('nor in the text of an error', async () => {
  const text = await written('pretty', ({ parts: { broker } }) =>
    broker.error({ err: new Error(evil) }, 'a hook failed'),
  );
  expect(withoutColours(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/);
  expect(text).toContain('log.test.ts');
});

test('a client identifier of 65,535 characters does not fill the log', async () => {
  const text = await written('json', ({ parts: { session } }) =>
    session.info({ client: 'x'.repeat(65_535) }, 'y'.repeat(65_535)),
  );
  expect(text.length).toBeLessThan(3_000);
});

test("a program's log is told harmless texts, and what it does wrong is not the broker's", async () => {
  const told: unknown[] = [];
  const log = programLog({
    debug: () => Promise.reject(new Error('the log is a promise')),
    info: (...args) => void told.push(args),
    warn: () => {
      throw new Error('the log is full');
    },
    error() {},
  });
  const err = new Error('e');

  log.warn({}, 'w');
  log.debug({}, 'd');
  log.info({ client: evil, err, count: 1 }, evil.repeat(100));

  const [[fields, message]] = told as [[{ client: string; err: unknown }, string]];
  for (const each of [fields.client, message]) expect(each).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  expect(message.length).toBeLessThan(7_000);
  expect(fields).toMatchObject({ err, count: 1 });
  // A rejection that nobody takes would end this process.
  await new Promise(setImmediate);
  expect(() => programLog({ info() {} } as never)).toThrow(/log\.debug is not a function/);
});

test('whatever a program throws can be logged', async () => {
  const refuses = () => {
    throw new Error('it does not want to be looked at');
  };
  const thrown = [
    Object.assign(new Error('x'), { stack: null }),
    Object.assign(new Error('x'), { message: 5 }),
    Object.defineProperty(new Error('x'), 'details', { enumerable: true, get: refuses }),
    new Proxy({}, { ownKeys: refuses, get: refuses, getPrototypeOf: refuses }),
    Object.create(null),
    Symbol('x'),
  ];

  const text = await written('json', ({ parts: { broker } }) => {
    for (const err of thrown) broker.error({ err }, 'a hook failed');
  });

  const lines = text.trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(thrown.map(() => 'a hook failed'));
});

describe('the form of the lines', () => {
  const terminal = { isTerminal: true, id: '1:2', journal: undefined };
  const pipe = { isTerminal: false, id: '1:2', journal: undefined };
  test.each([
    ['pretty on a terminal', { format: 'auto' }, terminal, 'pretty'],
    ['JSON elsewhere', { format: 'auto' }, pipe, 'json'],
    ['JSON in a file', { format: 'auto', file: 'x' }, terminal, 'json'],
    ['for the journal where standard error goes there', { format: 'auto' }, { ...pipe, journal: '1:2' }, 'journald'],
    ['JSON where the journal has another stream', { format: 'auto' }, { ...pipe, journal: '1:3' }, 'json'],
    ['what was asked for', { format: 'pretty' }, { ...pipe, journal: '1:2' }, 'pretty'],
  ] as const)('%s', (_, settings, stream, expected) => {
    expect(formatFor(settings, stream)).toBe(expected);
  });

  test('the journal gets the priority before each line, and neither time nor colours', async () => {
    const text = await written('journald', ({ parts: { session, broker } }) => {
      session.info({ client: 'a' }, 'client connected');
      session.warn({}, 'refused');
      broker.error({ err: new Error('of a hook') }, 'a hook failed');
    });
    const lines = text.trimEnd().split('\n');
    expect(lines[0]).toBe('<6>client connected {"part":"session","client":"a"}');
    expect(lines[1]).toBe('<4>refused {"part":"session"}');
    expect(lines[2]).toMatch(/^<3>a hook failed/);
    // Those of the stack.
    expect(lines.slice(3).length).toBeGreaterThan(2);
    for (const line of lines.slice(3)) expect(line).toMatch(/^<3>/);
  });
});

test('each part has a level of its own', async () => {
  const text = await written('json', ({ parts }) => {
    parts.store.debug({}, 'not yet');
    parts.store.info({}, 'shown');
  });
  expect(text).not.toContain('not yet');
  expect(JSON.parse(text)).toMatchObject({ part: 'store', msg: 'shown' });

  const output = new PassThrough();
  const log = await createLog({ level: 'info', format: 'json' }, output);
  await log.setLevel('pipeline', 'debug');
  await log.setLevel('session', 'error');
  for (const part of ['pipeline', 'session', 'api'] as const) {
    log.parts[part].debug({}, 'debug');
    log.parts[part].warn({}, 'warn');
  }
  const lines = (output.read() as Buffer).toString().trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line)).map(({ part, msg }) => `${part} ${msg}`)).toEqual([
    'pipeline debug',
    'pipeline warn',
    'api warn',
  ]);
});

describe('a level for a time', () => {
  const silent = async () => {
    const output = new PassThrough();
    const log = await createLog({ level: 'warn', format: 'json' }, output);
    const shown = (part: LogPart) => {
      log.parts[part].debug({}, 'x');
      return String(output.read() ?? '').includes('"msg":"x"');
    };
    return { levels: new TemporaryLevels(log, 'warn'), shown };
  };

  test('of one part leaves the others alone, and ends by itself', async () => {
    const { levels, shown } = await silent();
    const until = 1_000_000 + 20;
    expect(await levels.set('pipeline', 'debug', 0.02, 1_000_000)).toEqual({
      level: 'warn',
      until: null,
      parts: [{ part: 'pipeline', level: 'debug', until }],
    });
    expect([shown('pipeline'), shown('store')]).toEqual([true, false]);
    await expect.poll(() => shown('pipeline')).toBe(false);
    levels.close();
  });

  test('of a part lasts longer than one of all parts, and one of all parts replaces it', async () => {
    const { levels, shown } = await silent();
    await levels.set('pipeline', 'silent', 60, 0);
    const all = await levels.set(null, 'debug', 60, 0);
    expect(all).toEqual({ level: 'debug', until: 60_000, parts: [] });
    expect([shown('pipeline'), shown('store')]).toEqual([true, true]);
    await levels.set('store', 'error', 60, 0);
    expect([shown('pipeline'), shown('store')]).toEqual([true, false]);
    expect(await levels.set(null, 'warn', 60, 0)).toEqual({ level: 'warn', until: null, parts: [] });
    expect([shown('pipeline'), shown('store')]).toEqual([false, false]);
    levels.close();
  });
});

describe('in a file', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-log-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });
  const messagesIn = async (file: string) => {
    const text = await readFile(file, 'utf8');
    return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line).msg as string]));
  };
  /** What was said on standard error. */
  const said = () => {
    const texts: string[] = [];
    const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => texts.push(String(text)) > 0);
    onTestFinished(() => write.mockRestore());
    return texts;
  };

  test('goes on in a new one when the old one was moved away, and loses no line', async () => {
    const file = join(folder, 'sluice.log');
    const { parts, reopen, close } = await createLog({ level: 'info', format: 'auto', file });
    parts.broker.info({}, 'first');
    await rename(file, `${file}.1`);
    parts.broker.info({}, 'second');
    await Promise.all([reopen(), reopen()]);
    expect(await messagesIn(`${file}.1`)).toEqual(['first', 'second']);
    parts.broker.info({}, 'third');
    await close();
    expect(await messagesIn(file)).toEqual(['third']);
    expect((await stat(file)).mode & 0o077).toBe(0);
  });

  test('goes on in the old one, and says so, when there can be no new one', async () => {
    const texts = said();
    const file = join(folder, 'logs', 'sluice.log');
    await mkdir(join(folder, 'logs'));
    const { parts, reopen, close } = await createLog({ level: 'info', format: 'auto', file });
    const moved = join(folder, 'moved');
    await rename(join(folder, 'logs'), moved);
    await reopen();
    expect(texts.join('')).toMatch(/^The log \S+ cannot be opened anew: there is no such file; it goes on in the file/);
    parts.broker.info({}, 'afterwards');
    // And none is closed twice, now that it succeeds.
    await mkdir(join(folder, 'logs'));
    await reopen();
    parts.broker.info({}, 'in the new one');
    await close();
    expect(await messagesIn(join(moved, 'sluice.log'))).toEqual(['afterwards']);
    expect(await messagesIn(file)).toEqual(['in the new one']);
    expect(texts).toHaveLength(1);
  });

  test.runIf(existsSync('/dev/full'))('a full disk is said on standard error, and ends nothing', async () => {
    const texts = said();
    const { parts, close } = await createLog({ level: 'info', format: 'auto', file: '/dev/full' });
    parts.broker.info({}, 'x');
    await expect
      .poll(() => texts.join(''))
      .toMatch(/^The log cannot be written to \/dev\/full: the disk is full \(ENOSPC\)/);
    parts.broker.info({}, 'y');
    await close();
    expect(texts.join('')).toContain('The last lines of the log are lost: the disk is full (ENOSPC)');
  });

  test('one that cannot be opened keeps the broker from starting, and says which setting it is', async () => {
    const file = join(folder, 'no', 'sluice.log');
    const config: ConfigInput = { listeners: [{ kind: 'tcp', port: 0 }], store: { kind: 'memory' }, log: { file } };
    await expect(createBroker({ config })).rejects.toThrow(
      /^Cannot open the log \S+no\/sluice\.log: there is no such file; see log\.file$/,
    );
  });
});
