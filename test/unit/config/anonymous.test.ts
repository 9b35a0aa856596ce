import { expect, test } from 'vitest';
import { assertSafeToListen } from '../../../src/config/anonymous.ts';
import { parseConfig } from '../../../src/config/load.ts';

const listeningOn = (...hosts: string[]) =>
  parseConfig({ listeners: hosts.map((host) => ({ kind: 'tcp' as const, host })) });

test.each(['127.0.0.1', '127.8.9.1', '::1', '0:0:0:0:0:0:0:1', 'localhost', 'LOCALHOST'])(
  '%s is this machine',
  (host) => {
    assertSafeToListen(listeningOn(host));
  },
);

test.each(['0.0.0.0', '::', '192.168.1.2', '127.example.com', '127.0.0.1.example.com', 'localhost.example.com'])(
  '%s may be reached from other machines',
  (host) => {
    expect(() => assertSafeToListen(listeningOn(host))).toThrow(/^Not listening on .*:1883: anybody could connect/);
  },
);

test('all open listeners are told at once, and what to do', () => {
  expect(() => assertSafeToListen(listeningOn('0.0.0.0', '127.0.0.1', '::'))).toThrow(
    /^Not listening on 0\.0\.0\.0:1883, \[::\]:1883: .* say allowAnonymous: true or --allow-anonymous; else use 127\.0\.0\.1, or say under authentication: /,
  );
});

test('a listener that was allowed to be anonymous is not in the way', () => {
  const config = parseConfig({
    listeners: [
      { kind: 'tcp', host: '0.0.0.0', allowAnonymous: true },
      { kind: 'ws', host: '0.0.0.0' },
    ],
  });
  expect(() => assertSafeToListen(config)).toThrow(/^Not listening on 0\.0\.0\.0:8083:/);
});

const passwords = { kind: 'password-file', file: 'passwords' } as const;

test.each([
  ['for all listeners', { authentication: [passwords], listeners: [{ kind: 'tcp' as const, host: '0.0.0.0' }] }],
  ['of a listener', { listeners: [{ kind: 'tcp' as const, host: '0.0.0.0', authentication: [passwords] }] }],
])('authentication %s makes it safe', (_, config) => {
  assertSafeToListen(parseConfig(config));
});

test('allowAnonymous: false of a listener holds against the one for all', () => {
  const config = parseConfig({
    allowAnonymous: true,
    listeners: [{ kind: 'tcp', host: '0.0.0.0', allowAnonymous: false }],
  });
  expect(() => assertSafeToListen(config)).toThrow(/^Not listening on/);
});
