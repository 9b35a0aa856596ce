import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-config-'));
afterAll(() => rmSync(directory, { recursive: true }));

function load(text: string) {
  const file = join(directory, 'config.yaml');
  writeFileSync(file, text);
  return loadConfig(file, {});
}

describe('what is wrong is told with what to do', () => {
  test.each([
    ['[{ kind: jwt }]', /authentication\.0: expected exactly one of secretFile, secretEnv, keyFile, jwksFile, jwksUrl/],
    ['[{ kind: jwt, keyFile: a, jwksUrl: "https://a" }]', /expected exactly one of secretFile/],
    ['[{ kind: jwt, secretEnv: SLUICE_X }]', /secretEnv: expected a name that does not begin with SLUICE_/],
    ['[{ kind: jwt, keyFile: a, algorithms: [none] }]', /algorithms\.0: expected one of HS256, /],
    ['[{ kind: http, url: "ftp://a" }]', /url: expected a URL, with https:\/\/ or http:\/\//],
    ['[{ kind: http, url: "http://a", secretFile: a, secretEnv: b }]', /expected one of secretFile and secretEnv/],
    ['[{ kind: http, url: "http://a", secretHeader: "a: b" }]', /secretHeader: expected the name of a header/],
    [
      '[{ kind: http, url: "http://ada:x@a" }]',
      /url: expected a URL without a name and a password; secrets come from a/,
    ],
    ['[{ kind: http, url: "http://a", caFile: a }]', /caFile: expected it only beside a url with https:\/\//],
    ['[{ kind: jwt, jwksUrl: "http://a", caFile: a }]', /caFile: expected it only beside a jwksUrl with https:\/\//],
    ['[{ kind: jwt, keyFile: a, caFile: a }]', /caFile: expected it only beside a jwksUrl with https:\/\//],
    ['[{ kind: ldap }]', /kind: expected one of the kinds password-file, jwt, certificate, http and scram-sha-256/],
    ['[{ kind: scram-sha-256, file: a }, { kind: scram-sha-256, file: b }]', /one scram-sha-256 at most/],
    ['[{ kind: password-file, flie: a }]', /authentication\.0\.flie: there is no such setting; did you mean file\?/],
  ])('%s', (text, why) => {
    expect(() => load(`authentication: ${text}\n`)).toThrow(why);
    expect(() => load(`listeners: [{ kind: tcp, authentication: ${text} }]\n`)).toThrow(/listeners\.0\.authentication/);
  });
});

test('files are meant from the folder of the configuration', () => {
  const file = [{ kind: 'jwt', jwksFile: 'keys/set.json' }];
  const config = load(JSON.stringify({ authentication: file, listeners: [{ kind: 'tcp', authentication: file }] }));
  const absolute = { jwksFile: join(directory, 'keys/set.json') };
  expect([config.authentication, config.listeners[0]?.authentication]).toMatchObject([[absolute], [absolute]]);
});
