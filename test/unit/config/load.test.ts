import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { assertSafeToListen } from '../../../src/config/anonymous.ts';
import { ConfigError } from '../../../src/config/error.ts';
import { loadConfig, parseConfig } from '../../../src/config/load.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-config-'));
afterAll(() => rmSync(directory, { recursive: true }));
const samples = resolve(import.meta.dirname, '../../../config');

let files = 0;
function fileWith(text: string): string {
  const file = join(directory, `${++files}.yaml`);
  writeFileSync(file, text);
  return file;
}

/** The problems, one per line, with the file's name left out. */
function problemsOf(text: string, environment: Record<string, string> = {}): string[] {
  const file = fileWith(text);
  try {
    loadConfig(file, environment);
  } catch (error) {
    return (error as Error).message.replaceAll(`${file}:`, '').split('\n');
  }
  return [];
}

describe('what is wrong is told with line, column, path and what was expected', () => {
  const cases: Record<string, [yaml: string, problems: string[]]> = {
    'an unknown key, with the nearest name': [
      'limits:\n  packetByte: 5\n',
      ['2:3: limits.packetByte: there is no such setting; did you mean packetBytes?'],
    ],
    'an unknown key where a list or a word may stand': [
      'tests: [{ name: n, topic: a, payload: "", expect: [{ colour: red }] }]\n',
      ['1:54: tests.0.expect.0.colour: there is no such setting'],
    ],
    'a wrong type': [
      'limits:\n  packetBytes: many\n',
      ['2:3: limits.packetBytes: expected a whole number, found "many"'],
    ],
    'a number out of range': ['maximumQoS: 3\n', ['1:1: maximumQoS: expected one of 0, 1, 2, found 3']],
    'too small a number': ['limits: { topicLevels: 0 }\n', ['1:11: limits.topicLevels: expected at least 1, found 0']],
    'a duplicate key': [
      'sysIntervalSeconds: 1\nsysIntervalSeconds: 2\n',
      ['2:1: sysIntervalSeconds: stands here a second time, after line 1; remove one'],
    ],
    'a duplicate key inside a list, beside other problems': [
      'listeners:\n  - kind: tcp\n  - kind: ws\n    port: 1\n    port: x\nfoo: 1\n',
      [
        '5:5: listeners.1.port: stands here a second time, after line 4; remove one',
        '5:5: listeners.1.port: expected a whole number, found "x"',
        '6:1: foo: there is no such setting; did you mean log?',
      ],
    ],
    'an alias without its anchor': [
      'limits: *none\n',
      [' Unresolved alias (the anchor must be set before the alias): none'],
    ],
    'a tag': ['limits: !custom\n  inflight: 3\n', ['1:9: Unresolved tag: !custom']],
    'no settings at all': ['hello\n', ['1:1: (the whole file): expected object, found text']],
    'an unknown key of a store without a kind': [
      'store: { directry: here }\n',
      ['1:10: store.directry: there is no such setting; did you mean directory?'],
    ],
    'a number beyond all bounds, once': [
      'limits: { sessions: 1e30 }\n',
      ['1:11: limits.sessions: expected at most 9007199254740991, found 1e+30'],
    ],
    'a listener of an unknown kind': [
      'listeners:\n  - kind: udp\n',
      ['2:5: listeners.0.kind: expected tcp, tls, ws or wss, found "udp"'],
    ],
    'a missing certificate': ['listeners:\n  - kind: tls\n', ['2:5: listeners.0.tls: expected object, it is missing']],
    'an unknown key of a listener': [
      'listeners:\n  - kind: ws\n    orgins: []\n',
      ['3:5: listeners.0.orgins: there is no such setting; did you mean origins?'],
    ],
    'an unknown key inside of a listener': [
      'listeners:\n  - { kind: tls, tls: { certificate: a, certFile: b, keyFile: c } }\n',
      ['2:25: listeners.0.tls.certificate: there is no such setting; did you mean certificates?'],
    ],
    'client certificates without an authority': [
      'listeners:\n  - { kind: tls, tls: { certFile: a, keyFile: b, clientCertificate: optional } }\n',
      [
        '2:50: listeners.0.tls.clientCertificate: expected a caFile with the authority of the client certificates, found "optional"',
      ],
    ],
    'an authority that nobody is asked for': [
      'listeners:\n  - { kind: wss, tls: { certFile: a, keyFile: b, caFile: c, crlFile: d } }\n',
      ['caFile', 'crlFile'].map((name, index) => {
        const asked = 'clientCertificate: optional or required beside it, or nobody is asked for a certificate';
        return `2:${[50, 61][index]}: listeners.0.tls.${name}: expected ${asked}, found "${'cd'[index]}"`;
      }),
    ],
    'two passphrases': [
      'listeners:\n  - { kind: tls, tls: { certFile: a, keyFile: b, passphraseFile: c, passphraseEnv: D } }\n',
      ['2:69: listeners.0.tls.passphraseEnv: expected either passphraseFile or passphraseEnv, found "D"'],
    ],
    'a server name that is none': [
      'listeners:\n  - kind: tls\n    tls: { certFile: a, keyFile: b, certificates: [{ certFile: c, keyFile: d, serverNames: [a.*] }] }\n',
      [
        '3:93: listeners.0.tls.certificates.0.serverNames.0: expected a host name, which may begin with "*.", found "a.*"',
      ],
    ],
    'a PROXY header from nobody': [
      'listeners:\n  - { kind: tcp, proxyProtocol: true }\n',
      [
        '2:18: listeners.0.proxyProtocol: expected trustedProxies beside it: the addresses that the header is taken from, found true',
      ],
    ],
    'proxies with nothing to tell': [
      'listeners:\n  - { kind: tcp, trustedProxies: [10.0.0.5] }\n',
      [
        '2:18: listeners.0.trustedProxies: expected proxyProtocol: true beside it, or there is nothing to be told by a proxy, found ["10.0.0.5"]',
      ],
    ],
    'a handshake that does not take place': [
      'listeners:\n  - { kind: tcp, handshakeTimeoutSeconds: 5 }\n',
      [
        '2:18: listeners.0.handshakeTimeoutSeconds: expected limits.connectTimeoutSeconds instead: without TLS, HTTP or a PROXY header there is no handshake, found 5',
      ],
    ],
    'a network that is none': [
      'listeners:\n  - { kind: ws, trustedProxies: [10.0.0.0/33, proxy] }\n',
      ['10.0.0.0/33', 'proxy'].map((found, index) => {
        const expected = 'expected an address, or a network such as 10.0.0.0/8';
        return `2:${[34, 47][index]}: listeners.0.trustedProxies.${index}: ${expected}, found "${found}"`;
      }),
    ],
    'several at once': [
      'retainAvailable: 1\nlog: { level: loud }\n',
      [
        '1:1: retainAvailable: expected boolean, found 1',
        '2:8: log.level: expected one of trace, debug, info, warn, error, silent, found "loud"',
      ],
    ],
  };
  for (const [title, [yaml, problems]] of Object.entries(cases)) {
    test(title, () => expect(problemsOf(yaml)).toEqual(problems));
  }

  test('whatever stands in the place of whatever is told as a problem, or is fine', () => {
    const places = (value: unknown, path: (string | number)[] = []): (string | number)[][] => {
      if (typeof value !== 'object' || value === null) return [path];
      return [path, ...Object.entries(value).flatMap(([key, inner]) => places(inner, [...path, key]))];
    };
    const base = {
      ...structuredClone(parseConfig({})),
      listeners: [
        { kind: 'tls', tls: { certFile: 'a', keyFile: 'b' } },
        { kind: 'ws', origins: ['http://c'] },
      ],
      store: { kind: 'level', topics: [{ filter: '#', durability: 'os' }] },
    };
    const change = fc.record({
      path: fc.constantFrom(...places(base)),
      key: fc.constantFrom('kind', 'tls', 'colour', '__proto__', '0', 'constructor'),
      isAdded: fc.boolean(),
      value: fc.jsonValue({ maxDepth: 2 }),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4, size: 'max' }), (changes) => {
        const root: Record<string, unknown> = { it: structuredClone(base) };
        for (const { path, key, isAdded, value } of changes) {
          const full = ['it', ...path, ...(isAdded ? [key] : [])];
          let parent: unknown = root;
          for (const step of full.slice(0, -1)) parent = (parent as Record<PropertyKey, unknown> | null)?.[step];
          if (typeof parent !== 'object' || parent === null) continue;
          Object.defineProperty(parent, full.at(-1)!, { value, enumerable: true, configurable: true, writable: true });
        }
        try {
          parseConfig(root.it as never);
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
          expect((error as Error).message).not.toBe('');
        }
      }),
      // What was made is changed above, so it cannot be made smaller.
      { endOnFailure: true, numRuns: 2_000 },
    );
  });

  test('YAML that cannot be read', () => {
    expect(problemsOf('limits: [1, 2\n')[0]).toMatch(/^2:1: Flow sequence in block collection must be/);
  });

  test('a file that does not exist', () => {
    expect(() => loadConfig(join(directory, 'none.yaml'), {})).toThrow(
      /Cannot read .*none.yaml: there is no such file/,
    );
  });
});

describe('environment variables', () => {
  test('come over the file, at any depth', () => {
    const file = fileWith('limits: { packetBytes: 1000 }\nlisteners: [{ kind: tcp, port: 5 }]\n');
    const config = loadConfig(file, {
      SLUICE_LIMITS_PACKET_BYTES: '2000',
      SLUICE_LISTENERS_0_PORT: '0',
      SLUICE_MAXIMUM_QOS: '1',
      SLUICE_STORE_CACHE_BYTES: '0',
      UNRELATED: 'x',
    });
    expect(config.limits.packetBytes).toBe(2_000);
    expect(config.listeners[0]).toMatchObject({ port: 0 });
    expect(config.store).toMatchObject({ kind: 'level', cacheBytes: 0 });
  });

  test('one that names no setting is refused, with the nearest', () => {
    expect(problemsOf('', { SLUICE_LIMITS_PACKET_BYTE: '1' })).toEqual([
      'environment variable SLUICE_LIMITS_PACKET_BYTE: there is no such setting; did you mean SLUICE_LIMITS_PACKET_BYTES?',
    ]);
  });

  test('a wrong value is told by the variable', () => {
    expect(problemsOf('', { SLUICE_SYS_INTERVAL_SECONDS: 'often' })).toEqual([
      'environment variable SLUICE_SYS_INTERVAL_SECONDS: expected a whole number, found "often"',
    ]);
  });
});

describe('the result', () => {
  test('it is frozen all through', () => {
    const config = parseConfig({});
    expect(Object.isFrozen(config) && Object.isFrozen(config.limits) && Object.isFrozen(config.listeners[0])).toBe(
      true,
    );
  });

  test('relative file names are meant from the folder of the file', () => {
    const config = loadConfig(fileWith('store: { directory: here }\n'), {});
    expect(config.store).toMatchObject({ directory: join(directory, 'here') });
  });

  test('so are those of certificates, all of them', () => {
    const text =
      'listeners: [{ kind: tls, tls: { certFile: a, keyFile: /b, passphraseFile: c, caFile: d, crlFile: e, ' +
      'clientCertificate: required, certificates: [{ certFile: f, keyFile: g, passphraseFile: h }] } }]\n';
    const [listener] = loadConfig(fileWith(text), {}).listeners;
    const here = (name: string) => join(directory, name);
    expect(listener).toMatchObject({
      tls: {
        ...{ certFile: here('a'), keyFile: '/b', passphraseFile: here('c'), caFile: here('d'), crlFile: here('e') },
        certificates: [{ certFile: here('f'), keyFile: here('g'), passphraseFile: here('h') }],
      },
    });
  });

  test('other machines are refused unless that is written down', () => {
    const open = { listeners: [{ kind: 'tcp', host: '0.0.0.0' }] } as const;
    expect(() => assertSafeToListen(parseConfig({ listeners: [...open.listeners] }))).toThrow(
      /say allowAnonymous: true/,
    );
    assertSafeToListen(parseConfig({ listeners: [...open.listeners], allowAnonymous: true }));
    assertSafeToListen(parseConfig({}));
  });
});

describe('the samples', () => {
  for (const name of readdirSync(samples).filter((each) => each.endsWith('.yaml'))) {
    test(`${name} is valid`, () => {
      loadConfig(join(samples, name), {});
    });
  }

  test('the full one says the defaults', () => {
    const defaults = parseConfig({ store: { directory: join(samples, 'data') } });
    expect(loadConfig(join(samples, 'sluice.yaml'), {})).toEqual(defaults);
  });
});

test('files are meant from the folder of the configuration, where a setting of a pipeline names one', () => {
  const file = fileWith(`pipelines:
  - name: p
    filter: a
    stages:
      - decode: { protobuf: { file: a.proto, type: A } }
      - convert: { from: { avro: { file: b.avsc } }, to: json }
      - validate: { jsonSchema: c.json }
      - set: { fields: { file: d } }
      - rename: { file: e }
      - plugin: { file: f.js, options: { file: g } }
`);
  const [pipeline] = loadConfig(file, {}).pipelines;
  expect(pipeline?.stages).toMatchObject([
    { decode: { protobuf: { file: join(directory, 'a.proto'), type: 'A' } } },
    { convert: { from: { avro: { file: join(directory, 'b.avsc') } }, to: 'json' } },
    { validate: { jsonSchema: join(directory, 'c.json') } },
    { set: { fields: { file: 'd' } } },
    { rename: { file: 'e' } },
    { plugin: { file: join(directory, 'f.js'), options: { file: 'g' } } },
  ]);
});

test('a listener has several paths, or one alone as before there were several', () => {
  const listenerOf = (settings: string) =>
    loadConfig(fileWith(`listeners: [{ kind: ws${settings} }]`), {}).listeners[0];

  expect(listenerOf('')).toMatchObject({ paths: ['/mqtt', '/', '/ws'] });
  expect(listenerOf(', path: /only')).toMatchObject({ path: '/only' });
  expect(listenerOf(', paths: [/a, /b]')).toMatchObject({ paths: ['/a', '/b'] });
  expect(() => listenerOf(', path: /only, paths: [/a]')).toThrow(/listeners\.0\.path: expected either path or paths/);
  for (const wrong of ['paths: []', 'paths: [mqtt]', 'path: mqtt']) expect(() => listenerOf(`, ${wrong}`)).toThrow();
});

test.each(['telemetry/#/x', '$share/g/a', ''])(
  'store.topics: "%s" is no topic filter that a message can match',
  (filter) => {
    const topics = [{ filter, durability: 'os' as const }];
    expect(() => parseConfig({ store: { kind: 'level', topics } })).toThrow(/store\.topics/);
  },
);

test.each(['é'.repeat(32_768), 'a\0b', '\ud800'])(
  'a responseInformation that no packet can hold is refused',
  (text) => {
    expect(() => parseConfig({ responseInformation: text })).toThrow(
      /responseInformation: expected at most 65,535 bytes/,
    );
  },
);
