/** The broker's own log, with what strangers may put into it. */
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { createLog, programLog } from '../../../src/admin/log.ts';

const evil = 'x\r\n2026-01-01 INFO: all is well\u001b[2J\u001b]0;title\u0007\u009b31m\u202e';

async function written(format: 'pretty' | 'json', write: (log: Awaited<ReturnType<typeof createLog>>) => void) {
  const output = new PassThrough();
  const log = await createLog({ level: 'info', format }, output);
  write(log);
  await expect.poll(() => output.readableLength).toBeGreaterThan(0);
  return (output.read() as Buffer).toString();
}

/** Colours are pino-pretty's own. */
const withoutColours = (text: string) => text.replaceAll(/\u001b\[\d+m/g, '');

test.each(['pretty', 'json'] as const)('nothing of a stranger gets through to the terminal (%s)', async (format) => {
  const text = await written(format, (log) => log.warn({ client: evil, topic: evil }, `refused: ${evil}`));
  const lines = withoutColours(text).trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  for (const line of lines) expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  expect(text).toContain('all is well');
});

test('nor in the text of an error', async () => {
  const text = await written('pretty', (log) => log.error({ err: new Error(evil) }, 'a hook failed'));
  expect(withoutColours(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/);
  expect(text).toContain('log.test.ts');
});

test('a client identifier of 65,535 characters does not fill the log', async () => {
  const text = await written('json', (log) => log.info({ client: 'x'.repeat(65_535) }, 'y'.repeat(65_535)));
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

  const text = await written('json', (log) => {
    for (const err of thrown) log.error({ err }, 'a hook failed');
  });

  const lines = text.trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(thrown.map(() => 'a hook failed'));
});
