/** `sluice access explain`, on the sample in `config/`, which is checked by that. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sluice } from '../../support/fake-io.ts';

const sample = join(import.meta.dirname, '../../../config/access.yaml');
const explain = (...argv: string[]) => sluice('access', 'explain', '--config', sample, ...argv);

describe('the sample', () => {
  const north = '--attribute token.site=north --group operators';
  test.each([
    ['--username ada publish x/y', 'allowed', 0],
    ['--username ada receive $x/y', 'allowed', 0],
    ['--username s1 --group sensors publish sensors/s1/temperature', 'allowed', 2],
    ['--username s1 --group sensors publish sensors/s2/temperature', 'refused (0x87)', 'default'],
    ['--username s1 --group sensors --qos 2 publish sensors/s1/temperature', 'refused (0x87)', 'default'],
    ['--username s1 --group sensors --retain publish sensors/s1/raw/x', 'refused (0x87)', 1],
    ['--username s1 --group sensors publish sensors/s1/raw/x', 'allowed', 2],
    ['--username s1 --group sensors subscribe to/s1/#', 'granted, QoS 2', 3],
    ['--username s1/# --group sensors publish sensors/s1/x', 'refused (0x87)', 2],
    ['--username store-7 subscribe $share/store/sensors/#', 'granted, QoS 2', 4],
    ['--username store-7 subscribe sensors/#', 'refused (0x87)', 'default'],
    [`${north} publish plant/line1/set`, 'allowed', 6],
    [`${north} publish plant/admin/x`, 'refused (0x87)', 5],
    ['--group operators publish plant/line1/set', 'refused (0x87)', 'default'],
    ['--group contractors --address 10.1.2.3 subscribe plant/#', 'granted, QoS 2', 7],
    ['--group contractors --address fd12::1 receive plant/line1', 'allowed', 7],
    ['--group contractors --address fd12::1 receive plant/admin', 'refused (0x87)', 5],
    ['--group contractors --address 192.0.2.1 subscribe plant/#', 'refused (0x87)', 'default'],
    ['--attribute certificate.commonName=x --listener mqtts://h:8883 publish services/x/y', 'allowed', 8],
    ['--attribute certificate.commonName=x publish services/x/y', 'refused (0x87)', 'default'],
    ['subscribe public/#', 'granted, QoS 0', 9],
  ])('%s: %s', async (argv, decision, rule) => {
    const { code, out, err } = await explain(...argv.split(' '));
    const place = rule === 'default' ? 'authorization.default' : `authorization.rules.${rule}:`;
    expect(`${out}${err}`).toMatch(decision);
    expect(`${out}${err}`).toContain(place);
    expect(code).toBe(decision.startsWith('refused') ? 1 : 0);
  });

  test('names the place of the rule, and says what a subscription will bring', async () => {
    const { out } = await explain('--username', 'ada', 'subscribe', 'plant/x');
    const line =
      readFileSync(sample, 'utf8')
        .split('\n')
        .findIndex((text) => text.includes('{ allow: all')) + 1;
    const rule = `${sample}:${line}:7: authorization.rules.0: allow all every topic`;
    expect(out).toBe(`granted, QoS 2: ${rule}\ndelivered: ${rule}\n`);
    expect((await explain('--username', 'ada', 'subscribe', '#')).out).toContain('asked about again');
    const { out: own } = await explain('--username', 'ada', 'publish', '$SYS/x');
    expect(own).toBe("refused (0x87): $SYS and $share topics are the broker's own to publish\n");
    expect((await explain('--username', 'ada', 'publish', '$x/y')).out).toMatch(
      /^refused \(0x87\): .*allowedDollarPrefixes/,
    );
    expect((await explain('publish', 'a/#')).out).toBe('refused (0x90): a topic name holds no wildcards\n');
    expect((await explain('publish', '')).err).toBe('TOPIC: expected at least 1, found ""\n');
  });
});

test('with clientIds: own it says who does not come in under that identifier', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-access-'));
  const file = join(directory, 'own.yaml');
  writeFileSync(
    file,
    `clientIds: own\nallowedDollarPrefixes: [$x]\nauthorization:\n  rules: [{ allow: all, topics: ["dev/\${clientId}/#", "$x/#"] }]\n`,
  );
  const ask = async (...argv: string[]) => {
    const { out, err } = await sluice('access', 'explain', '--config', file, ...argv);
    return out + err;
  };
  expect(await ask('--client-id', 'ada', 'publish', 'dev/ada/x')).toBe(
    'refused (0x85): with clientIds: own, such a client does not come in; its identifier would have to begin with ":"\n',
  );
  expect(await ask('--client-id', ':ada', 'publish', 'dev/:ada/x')).toContain('allowed');
  expect(await ask('--client-id', 'bob', '--username', 'ada', 'publish', 'dev/bob/x')).toContain('begin with "ada:"');
  expect(await ask('--username', 'ada', 'publish', 'dev/ada/x')).toContain('allowed');
  expect(await ask('--username', 'ada', 'publish', '$x/1')).toContain('allowed');
  rmSync(directory, { recursive: true });
});

test('an address that is none is told, and not taken for one that no rule knows', async () => {
  expect(await explain('--address', '10.0.0.300', 'publish', 'a')).toEqual({
    code: 2,
    out: '',
    err: '--address: expected an address, as 10.0.0.5 or fd00::5, found "10.0.0.300"\n',
  });
});

describe('a configuration with an ACL file', () => {
  let directory: string;
  const file = () => join(directory, 'sluice.yaml');
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
    writeFileSync(file(), 'authorization: { aclFile: acl }\n');
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test('is explained by its lines, and checked with them', async () => {
    writeFileSync(join(directory, 'acl'), 'user ada\ntopic read a/#\n');
    const argv = ['access', 'explain', '--config', file(), '--username', 'ada'];
    const acl = join(directory, 'acl');
    expect((await sluice(...argv, 'receive', 'a/b')).out).toBe(`allowed: ${acl}:2: topic read a/#\n`);
    expect(await sluice(...argv, 'subscribe', 'b')).toMatchObject({
      code: 1,
      out: `granted, QoS 2: ${acl}: with an ACL file, every subscription is granted; what may be read is delivered\nrefused (0x87): no rule matches, so authorization.default decides: deny\n`,
      err: '',
    });
    expect((await sluice('config', 'check', file())).code).toBe(0);
    writeFileSync(acl, 'topic\n');
    const problem = `${acl}:1:6: expected a topic\n`;
    expect(await sluice('config', 'check', file())).toEqual({ code: 1, out: '', err: problem });
    expect(await sluice(...argv, 'receive', 'a/b')).toEqual({ code: 1, out: '', err: problem });
  });
});

test.each([
  [['publish', 'a'], 'There is no sluice access publish. It takes: explain'],
  [['explain', '--config', sample, 'publish'], 'sluice access explain ACTION TOPIC: TOPIC is missing'],
  [['explain', '--config', sample, 'read', 'a'], 'ACTION: expected one of publish, subscribe, receive, found "read"'],
  [['explain', '--config', sample, '--qos', '3', 'publish', 'a'], '--qos: expected one of 0, 1, 2, found 3'],
  [
    ['explain', '--config', sample, '--attribute', 'x', 'publish', 'a'],
    '--attribute, item 1: expected NAME=TEXT, found "x"',
  ],
])('sluice access %j is told what is wrong', async (argv, problem) => {
  const { code, err } = await sluice('access', ...argv);
  expect(err).toContain(problem);
  expect(code).toBe(2);
});
