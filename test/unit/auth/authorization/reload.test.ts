/**
 * Rules that change while clients stay: by a reload, or because the ACL file changes on disk.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type App, startApp } from '../../../../src/app.ts';
import { Authorization, prepareRules } from '../../../../src/auth/authorization/authorization.ts';
import { readConfig } from '../../../../src/config/load.ts';
import { type Log, silentLog } from '../../../../src/contracts/log.ts';
import { aClient } from '../../../support/authorization.ts';
import { WireClient } from '../../../support/wire-client.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('an ACL file that changes', () => {
  let authorization: Authorization;
  let changes: number;
  let told: string[];
  const log: Log = {
    ...silentLog,
    error: (fields: object) => void told.push(String((fields as { cause?: string }).cause)),
  };

  function watch(file: string): void {
    changes = 0;
    told = [];
    authorization = new Authorization({ log, changed: () => changes++, pollMs: 20 });
    authorization.use(prepareRules({ rules: [], aclFile: file, default: 'deny' }, String));
  }
  afterEach(() => authorization.close());

  const mayReceive = (topic: string) => authorization.policy.rightsOf(aClient()).receive(topic);

  test('is read again when it was written, renamed into its place, or another link leads to it', async () => {
    const file = join(directory, 'acl');
    writeFileSync(file, 'topic a');
    watch(file);
    expect([mayReceive('a'), mayReceive('b'), changes]).toEqual([true, false, 1]);
    writeFileSync(file, 'topic a\ntopic b');
    await expect.poll(() => mayReceive('b')).toBe(true);
    expect([mayReceive('a'), changes]).toEqual([true, 2]);

    writeFileSync(join(directory, 'new'), 'topic c');
    renameSync(join(directory, 'new'), file);
    await expect.poll(() => mayReceive('c')).toBe(true);
    expect(mayReceive('a')).toBe(false);
  });

  test('is read again when a directory on the way to it becomes another one', async () => {
    for (const [name, topic] of Object.entries({ one: 'a', two: 'b' })) {
      mkdirSync(join(directory, name));
      writeFileSync(join(directory, name, 'acl'), `topic ${topic}`);
    }
    const link = join(directory, 'current');
    symlinkSync('one', link);
    watch(join(link, 'acl'));
    expect(mayReceive('a')).toBe(true);
    symlinkSync('two', join(directory, 'next'));
    renameSync(join(directory, 'next'), link);
    await expect.poll(() => mayReceive('b')).toBe(true);
    expect(mayReceive('a')).toBe(false);
  });

  test('leaves the old rules in force while it is broken or gone, and says why', async () => {
    const file = join(directory, 'acl');
    writeFileSync(file, 'topic a');
    watch(file);
    writeFileSync(file, 'topic b\nnonsense');
    await expect.poll(() => told.length).toBe(1);
    expect(told[0]).toBe(`${file}:2:1: expected "user", "topic" or "pattern", found "nonsense"`);
    unlinkSync(file);
    await expect.poll(() => told.length).toBe(2);
    expect(told[1]).toContain('there is no such file');
    expect([mayReceive('a'), mayReceive('b'), changes]).toEqual([true, false, 1]);
    writeFileSync(file, 'topic b');
    await expect.poll(() => mayReceive('b')).toBe(true);
  });

  test('is not looked at any more once other rules are in force', async () => {
    const file = join(directory, 'acl');
    writeFileSync(file, 'topic a');
    watch(file);
    authorization.use(prepareRules({ rules: [{ allow: 'all', topics: ['own'] }], default: 'deny' }, String));
    writeFileSync(file, 'nonsense');
    const other = join(directory, 'other');
    writeFileSync(other, 'topic a');
    const second = new Authorization({ log: silentLog, changed: () => changes++, pollMs: 20 });
    second.use(prepareRules({ rules: [], aclFile: other, default: 'deny' }, String));
    changes = 0;
    writeFileSync(other, 'topic another');
    await expect.poll(() => changes).toBe(1);
    second.close();
    expect([told, mayReceive('own')]).toEqual([[], true]);
  });

  test('that cannot be read keeps the broker from starting', () => {
    const file = join(directory, 'none');
    const settings = { rules: [], aclFile: file, default: 'deny' } as const;
    expect(() => prepareRules(settings, String)).toThrow(
      `Cannot read the ACL file ${file} (authorization.aclFile): there is no such file`,
    );
    writeFileSync(file, Buffer.from([0x74, 0xff]));
    expect(() => prepareRules(settings, String)).toThrow(`The ACL file ${file} is not UTF-8`);
  });
});

describe('a running broker', () => {
  let app: App;
  const file = () => join(directory, 'sluice.yaml');
  const write = (rules: string) =>
    writeFileSync(
      file(),
      `listeners: [{ kind: tcp, port: 0 }]\nstore: { kind: memory }\nlog: { level: silent }\n` +
        `authorization:\n  aclFile: acl\n  rules:\n    ${rules}\n`,
    );

  beforeEach(async () => {
    writeFileSync(join(directory, 'acl'), 'pattern to/%u');
    write('- { allow: all, topics: [a/#] }');
    const reread = () => readConfig(file(), {});
    const { config, where } = reread();
    app = await startApp(config, { reread, where });
  });
  afterEach(() => app.close());

  const connect = (version: 4 | 5, username: string) =>
    WireClient.connect(app.listeners[0]!.port, { version, username });

  test.each([4, 5] as const)('applies new rules to subscriptions that are there (version %i)', async (version) => {
    const reader = await connect(version, 'reader');
    const writer = await connect(version, 'writer');
    await reader.subscribe('a/#');
    await writer.publish('a/1', 'before', { qos: 1 });
    expect((await reader.next('publish')).topic).toBe('a/1');

    write(
      '- { deny: subscribe, topics: [a/secret], for: { username: reader } }\n    - { allow: all, topics: [a/#, b] }',
    );
    expect(await app.reload()).toContain('rules');
    await writer.publish('a/secret', 'x', { qos: 1 });
    await writer.publish('a/2', 'x', { qos: 1 });
    expect((await reader.next('publish')).topic).toBe('a/2');
    expect((await reader.subscribe('b')).granted).toEqual([0]);
    expect((await reader.subscribe('a/secret')).granted).toEqual([version === 5 ? 0x87 : 0x80]);
    expect((await reader.subscribe('anything')).granted).toEqual([0]); // as with Mosquitto: there is an ACL file
  });

  test('keeps its rules when the new ones are wrong, and says what is', async () => {
    const writer = await connect(5, 'writer');
    write('- { allow: all, topics: [a/#/b] }');
    await expect(app.reload()).rejects.toThrow(
      `${file()}:7:30: authorization.rules.0.topics.0: expected a topic filter`,
    );
    write('- { allow: all, topics: [a/#] }');
    writeFileSync(join(directory, 'acl'), 'topic');
    await expect(app.reload()).rejects.toThrow(`${join(directory, 'acl')}:1:6: expected a topic`);
    expect((await writer.publish('a/1', 'x', { qos: 1 }))?.reasonCode ?? 0).toBeLessThan(0x80);
    expect((await writer.publish('b', 'x', { qos: 1 }))?.reasonCode).toBe(0x87);
    expect((await writer.publish('to/writer', 'x', { qos: 1 }))?.reasonCode ?? 0).toBeLessThan(0x80);
  });

  test('can be given its first rules while clients are connected', async () => {
    writeFileSync(file(), 'listeners: [{ kind: tcp, port: 0 }]\nstore: { kind: memory }\nlog: { level: silent }\n');
    await app.reload();
    const reader = await connect(5, 'reader');
    const writer = await connect(5, 'writer');
    await reader.subscribe('#');
    await writer.publish('x', '1', { qos: 1 });
    expect((await reader.next('publish')).topic).toBe('x');
    write('- { allow: all, topics: [a/#] }');
    await app.reload();
    expect((await writer.publish('x', '2', { qos: 1 }))?.reasonCode).toBe(0x87);
    await writer.publish('a/1', '3', { qos: 1 });
    expect((await reader.next('publish')).topic).toBe('a/1');
  });
});
