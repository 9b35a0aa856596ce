/** No secret of a configuration is shown to anybody. */
import { expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { isSecret, maskedConfig } from '../../../src/config/masked.ts';
import { schema } from '../../../src/config/schema.ts';
import { type SchemaNode, unwrapped } from '../../../src/config/schema-node.ts';

interface Setting {
  readonly path: string;
  readonly node: unknown;
}

function* settingsOf(node: unknown, path = ''): Generator<Setting> {
  const { shape = {}, element, options = [] }: Partial<SchemaNode> = unwrapped(node);
  for (const [name, child] of Object.entries(shape)) {
    const at = path === '' ? name : `${path}.${name}`;
    yield { path: at, node: child };
    yield* settingsOf(child, at);
  }
  if (element !== undefined) yield* settingsOf(element, `${path}.0`);
  for (const option of options) if (typeof option === 'object') yield* settingsOf(option, path);
}

/** A name that sounds like a secret, and is none. */
const noSecrets = [
  /(File|Env|Header)$/, // where a secret is, or goes
  /(^|\.)authorization(\.|$)/,
  /\.token$/, // which field of CONNECT has it
  /\.(password-file|passwords?)$/,
];

test('every setting that sounds like a secret is marked as one, or known to be none', () => {
  const settings = [...settingsOf(schema)];
  expect(settings.length).toBeGreaterThan(200);
  const suspicious = settings.filter(
    ({ path, node }) =>
      /pass(word|phrase)|secret|token|credential|apikey|privatekey|authorization/i.test(path.split('.').at(-1)!) &&
      !isSecret(node) &&
      !noSecrets.some((known) => known.test(path)),
  );
  expect(suspicious.map(({ path }) => path)).toEqual([]);
});

test('every setting that is marked is masked, and others are as they are', () => {
  const marked = [...settingsOf(schema)].filter(({ node }) => isSecret(node)).map(({ path }) => path);
  expect(marked).toEqual(['pipelines.0.stages.0.plugin.options', 'bridges.0.password', 'telemetry.otlp.headers']);
  const config = parseConfig({
    pipelines: [
      {
        name: 'enrich',
        filter: 'a/#',
        stages: [{ plugin: { file: 'p.js', options: { url: 'https://x', password: 'hush' } } }, { decode: 'json' }],
      },
    ],
    bridges: [
      {
        name: 'up',
        addresses: ['mqtt://peer.example'],
        username: 'ada',
        password: 'hush',
        topics: [{ filter: 'a', direction: 'out' }],
      },
    ],
    telemetry: { otlp: { url: 'http://127.0.0.1:4318', headers: { authorization: 'hush' } } },
    limits: { queueMessages: 7 },
  });
  const shown = maskedConfig(config);
  expect(JSON.stringify(shown)).not.toContain('hush');
  expect(shown.bridges[0]).toEqual({ ...config.bridges[0], password: '***' });
  expect(shown.pipelines[0]!.stages[0]).toEqual({ plugin: { file: 'p.js', options: '***' } });
  const without = { pipelines: [], bridges: [], telemetry: null };
  expect({ ...shown, ...without }).toEqual({ ...config, ...without });
});

test('a URL is shown without its user and the values of its query', () => {
  const kind = 'http' as const;
  const config = parseConfig({ authentication: [{ kind, url: 'https://auth.example/check?key=hush&of=a#top' }] });
  const [{ url }] = maskedConfig(config).authentication as unknown as [{ url: string }];
  expect(url).toBe('https://auth.example/check?key=***&of=***#top');
  const given = { listeners: 'mqtts://ada:hush@other.example:8883/x' } as unknown as typeof config;
  expect(maskedConfig(given).listeners).toBe('mqtts://***@other.example:8883/x');
});
