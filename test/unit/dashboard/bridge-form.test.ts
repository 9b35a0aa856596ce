/** Which settings of a bridge its form has, and what it makes of them. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { bridge } from '../../../src/contracts/bridge-settings.ts';
import {
  moreFields,
  type Settings,
  settingAt,
  settingsToSend,
  withSetting,
} from '../../../src/dashboard/pages/bridges/more-settings.ts';

/** Fields of `form.tsx` itself. */
const usual = ['name', 'addresses', 'version', 'clientId', 'username', 'password', 'start', 'topics'];
const made: Settings = { name: 'up', addresses: ['mqtts://a'], topics: [{ filter: 'a/#' }] };

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
}

function pathsOf(schema: Schema, before = ''): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, each]) =>
    each.properties === undefined ? [before + name] : pathsOf(each, `${before}${name}.`),
  );
}

test('every setting of a bridge has a field', () => {
  const all = pathsOf(z.toJSONSchema(bridge, { io: 'input' }) as Schema);
  const more = Object.values(moreFields).flatMap((fields) => fields.map(({ path }) => path));
  expect(all.length).toBeGreaterThan(30);
  expect([...usual, ...more].sort()).toEqual(all.sort());
});

test('a setting is put where it belongs, and taken out again with the group that it leaves empty', () => {
  const changed = withSetting(made, 'queue.maxBytes', 5_000);
  expect(changed).toEqual({ ...made, queue: { maxBytes: 5_000 } });
  expect(settingAt(changed, 'queue.maxBytes')).toBe(5_000);
  expect(settingAt(made, 'queue.maxBytes')).toBeUndefined();
  expect(withSetting(changed, 'queue.maxBytes', undefined)).toEqual(made);
  expect(withSetting({ ...made, maxInflight: 3 }, 'maxInflight', undefined)).toEqual(made);
});

test('a file with the password takes the place of the password', () => {
  const changed = withSetting({ ...made, password: '***' }, 'passwordFile', '/run/secret');
  expect(changed).toEqual({ ...made, passwordFile: '/run/secret' });
});

test('settings for TLS are sent only with an address that has it', () => {
  const secured = withSetting(made, 'tls.verifyName', false);
  expect(settingsToSend(secured)).toEqual(secured);
  expect(settingsToSend({ ...secured, addresses: ['mqtt://a'] })).toEqual({ ...made, addresses: ['mqtt://a'] });
});
