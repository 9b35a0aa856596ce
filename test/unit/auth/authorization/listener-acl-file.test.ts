/** An ACL file of one listener takes the place of the common one, for the clients of that listener only. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { Authorization } from '../../../../src/auth/authorization/authorization.ts';
import { parseConfig, readConfig } from '../../../../src/config/load.ts';
import { silentLog } from '../../../../src/contracts/log.ts';
import { rulesOf } from '../../../../src/rules.ts';
import { aClient, mayPublish } from '../../../support/authorization.ts';

const parent = mkdtempSync(join(tmpdir(), 'sluice-acl-'));
afterAll(() => rmSync(parent, { recursive: true }));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(parent, 'test-'));
  writeFileSync(join(folder, 'common'), 'topic common\npattern of/%c\n');
  writeFileSync(join(folder, 'own'), 'topic own\n');
});

function authorizationOf(text: string): Authorization {
  writeFileSync(join(folder, 'sluice.yaml'), text);
  const { config, where } = readConfig(join(folder, 'sluice.yaml'), {});
  const authorization = new Authorization({ log: silentLog, changed: () => {}, pollMs: 20 });
  authorization.use(rulesOf(config, where));
  return authorization;
}

const urls = ['mqtt://127.0.0.1:1883', 'mqtt://127.0.0.1:1884', 'ws://127.0.0.1:1884/mqtt'];
const topics = ['common', 'own', 'of/client'];

/** Of the listeners in turn, the topics that a client of theirs may publish to. */
const allowed = ({ policy }: Authorization) =>
  urls.map((listener) => topics.filter((topic) => mayPublish(policy.rightsOf(aClient({ listener })), topic)));

const listeners = (aclFile: string) =>
  `listeners:\n  - { kind: tcp, port: 1883 }\n  - { kind: tcp, port: 1884, ${aclFile} }\n  - { kind: ws, port: 1884, ${aclFile} }\n`;

test('its clients are subject to it, and all others to the common one', () => {
  const authorization = authorizationOf(`${listeners('aclFile: own')}authorization: { aclFile: common }\n`);

  expect(allowed(authorization)).toEqual([['common', 'of/client'], ['own'], ['own']]);
  authorization.close();
});

test('without a common one, others may do what authorization.default says', () => {
  const authorization = authorizationOf(`${listeners('aclFile: own')}authorization: { default: allow }\n`);

  expect(allowed(authorization)[0]).toEqual(topics);
  authorization.close();
});

test('rules in YAML come before it', () => {
  const authorization = authorizationOf(
    `${listeners('aclFile: own')}authorization: { rules: [{ deny: publish, topics: [own] }], aclFile: common }\n`,
  );

  expect(allowed(authorization)).toEqual([['common', 'of/client'], [], []]);
  authorization.close();
});

test('it is read again when it has changed', async () => {
  const authorization = authorizationOf(`${listeners('aclFile: own')}authorization: { aclFile: common }\n`);
  writeFileSync(join(folder, 'own'), 'topic common\ntopic of/client\n');

  await expect.poll(() => allowed(authorization)[1]).toEqual(['common', 'of/client']);
  authorization.close();
});

test('one that is not there is told with the place of the setting', () => {
  expect(() => authorizationOf(listeners('aclFile: none'))).toThrow(
    /Cannot read the ACL file \S+none \(\S+sluice\.yaml:3:\d+: listeners\.1\.aclFile\): there is no such file/,
  );
});

test('it needs a port by which rules can tell the listener', () => {
  expect(() => parseConfig({ listeners: [{ kind: 'tcp', port: 0, aclFile: 'acl' }] })).toThrow(
    'listeners.0.aclFile: expected a port of its own beside it, not 0',
  );
});
