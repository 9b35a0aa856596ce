/** What of a changed configuration takes effect by a reload, and what at the next start. */
import { expect, test } from 'vitest';
import { afterReload, changesOf } from '../../../src/config/changes.ts';
import { ConfigInForce } from '../../../src/config/in-force.ts';
import { parseConfig } from '../../../src/config/load.ts';
import type { ConfigInput } from '../../../src/config/schema.ts';

const passwords = { kind: 'password-file' as const, file: '/etc/users' };
const bridge = { name: 'a', addresses: ['mqtt://b'], password: 'hush', topics: [{ filter: 'c' }] };
const pipeline = (name: string) => ({ name, filter: 'a/#', stages: [{ decode: 'json' as const }] });

function changes(from: ConfigInput, to: ConfigInput): string[] {
  return changesOf(parseConfig(from), parseConfig(to)).map(
    ({ path, from: one, to: other, takesEffect }) =>
      `${path}: ${JSON.stringify(one)} -> ${JSON.stringify(other)} (${takesEffect})`,
  );
}

test.each<[string, ConfigInput, ConfigInput, string[]]>([
  ['nothing', {}, {}, []],
  ['a limit', {}, { limits: { queueMessages: 7 } }, ['limits.queueMessages: 10000 -> 7 (restart)']],
  [
    'a pipeline more',
    { pipelines: [pipeline('a')] },
    { pipelines: [] },
    [
      `pipelines: ${JSON.stringify([{ name: 'a', on: 'publish', filter: 'a/#', stages: [{ decode: 'json' }] }])} -> [] (reload)`,
    ],
  ],
  [
    'the name of a pipeline',
    { pipelines: [pipeline('a')] },
    { pipelines: [pipeline('b')] },
    ['pipelines.0.name: "a" -> "b" (reload)'],
  ],
  [
    'the service that is asked what clients may do, and a rule',
    { authorization: { http: { url: 'http://a/', timeoutMs: 5 } } },
    { authorization: { http: { url: 'http://a/', timeoutMs: 6 }, default: 'allow' } },
    ['authorization.default: "deny" -> "allow" (reload)', 'authorization.http.timeoutMs: 5 -> 6 (restart)'],
  ],
  [
    'the first authentication',
    {},
    { authentication: [passwords] },
    [`authentication: [] -> ${JSON.stringify([passwords])} (restart)`],
  ],
  [
    'its file',
    { authentication: [passwords] },
    { authentication: [{ ...passwords, file: '/etc/others' }], allowAnonymous: true },
    ['allowAnonymous: false -> true (reload)', 'authentication.0.file: "/etc/users" -> "/etc/others" (reload)'],
  ],
  [
    'the ACL file of a listener, also without any authentication',
    { listeners: [{ kind: 'tcp', port: 1, aclFile: '/etc/acl' }] },
    { listeners: [{ kind: 'tcp', port: 1, aclFile: '/etc/other' }] },
    ['listeners.0.aclFile: "/etc/acl" -> "/etc/other" (reload)'],
  ],
  [
    'a port',
    { listeners: [{ kind: 'tcp', port: 1 }] },
    { listeners: [{ kind: 'tcp', port: 2 }] },
    [expect.stringMatching(/^listeners: \[.*\(restart\)$/) as unknown as string],
  ],
  [
    'a setting of a listener',
    { listeners: [{ kind: 'tcp', port: 1 }], authentication: [passwords] },
    {
      listeners: [{ kind: 'tcp', port: 1, allowAnonymous: true, trustedProxies: ['10.0.0.1'], proxyProtocol: true }],
      authentication: [passwords],
    },
    [
      'listeners.0.proxyProtocol: false -> true (restart)',
      'listeners.0.trustedProxies: [] -> ["10.0.0.1"] (restart)',
      'listeners.0.allowAnonymous: undefined -> true (reload)',
    ],
  ],
  [
    'another store',
    {},
    { store: { kind: 'memory' } },
    [expect.stringMatching(/^store: \{"kind":"level".*-> \{"kind":"memory"\} \(restart\)$/) as unknown as string],
  ],
])('%s', (_, from, to, expected) => {
  expect(changes(from, to)).toEqual(expected);
});

test('after a reload only what needs a restart is left', () => {
  const from = parseConfig({ authentication: [passwords] });
  const to = parseConfig({
    authentication: [],
    listeners: [{ kind: 'tcp', authentication: [passwords], allowAnonymous: true }, { kind: 'ws' }],
    allowAnonymous: true,
    authenticationLimits: { cacheSeconds: 5, hashesWaiting: 9 },
    pipelines: [pipeline('a')],
    limits: { queueMessages: 7 },
  });
  const left = changesOf(afterReload(from, to), to).map(({ path }) => path);
  expect(left).toEqual(['limits.queueMessages', 'authenticationLimits.hashesWaiting']);
});

test('a file that is not valid any more is a problem, and no change', () => {
  const config = parseConfig({});
  const inForce = new ConfigInForce({
    written: config,
    effective: config,
    reread: () => parseConfig({ limits: { queueMessages: 0 } }),
  });
  expect(inForce.view()).toEqual({
    config,
    deviations: [],
    origins: [],
    changes: [],
    problem: 'configuration: limits.queueMessages: expected at least 1, found 0',
  });
  const unread = new ConfigInForce({ written: config, effective: config, reread: undefined });
  expect(unread.view()).toEqual({ config, deviations: [], origins: [], changes: null, problem: null });
});

test('what is in force says what of it is not as by default, without its secrets', () => {
  const config = parseConfig({ limits: { queueMessages: 7 }, bridges: [bridge] });
  const { deviations } = new ConfigInForce({ written: config, effective: config, reread: undefined }).view();
  expect(deviations).toEqual([
    { path: 'limits.queueMessages', default: 10_000 },
    { path: 'bridges', default: [] },
  ]);
});

test('what is not valid is told without its secrets', () => {
  const options = { password: 'hush' };
  const wrong = [
    { pipelines: [{ name: 'a', filter: 'a', stages: [{ plugin: { file: 1, options } }] }] },
    { pipelines: [{ name: 'a', filter: 'a', stages: { plugin: { options } } }] },
    { authentication: [{ kind: 'http', url: 'https://user:hush@host/' }] },
  ];
  for (const each of wrong) {
    const reread = () => parseConfig(each as never);
    const { problem } = new ConfigInForce({ written: parseConfig({}), effective: parseConfig({}), reread }).view();
    expect(problem).toContain('expected');
    expect(problem).not.toContain('hush');
  }
});
