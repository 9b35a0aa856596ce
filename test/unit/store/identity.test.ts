/** Who a session's client is, in its record: small, and the same again. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ClientIdentity } from '../../../src/contracts/hooks.ts';
import { ByteReader, ByteWriter } from '../../../src/store/level/bytes.ts';
import { readIdentity, writeIdentity } from '../../../src/store/level/identity.ts';

const out = new ByteWriter();

function written(identity: ClientIdentity, clientId = identity.clientId): Buffer {
  out.begin();
  writeIdentity(out, identity, clientId);
  return Buffer.from(out.finish());
}

const device: ClientIdentity = {
  clientId: 'device-7',
  username: 'device-7',
  protocolVersion: 5,
  transport: 'tls',
  remoteAddress: '10.1.2.3:54321',
  listener: 'mqtts://0.0.0.0:8883',
  groups: ['sensors'],
  attributes: { 'certificate.commonName': 'device-7' },
};

test('comes back as it was', () => {
  const name = fc.string({ unit: 'grapheme' });
  const identities = fc.record({
    clientId: name,
    username: fc.option(fc.oneof(name, fc.constantFrom('same'))),
    protocolVersion: fc.constantFrom(3 as const, 4 as const, 5 as const),
    transport: fc.constantFrom('tcp' as const, 'tls' as const, 'ws' as const, 'wss' as const, 'local' as const),
    remoteAddress: name,
    listener: name,
    groups: fc.array(name),
    attributes: fc.dictionary(fc.oneof(name, fc.constant('__proto__')), name, { noNullPrototype: true }),
  });
  fc.assert(
    fc.property(identities, fc.constantFrom('own', 'same', 'another'), (identity, whose) => {
      const clientId = whose === 'own' ? identity.clientId : whose;
      expect(readIdentity(new ByteReader(written(identity, clientId)), clientId)).toEqual(identity);
    }),
  );
});

test('names once who is called as its client, and takes a fraction of its JSON', () => {
  const value = written(device);
  expect(value.includes('device-7', value.indexOf('device-7') + 1)).toBe(false);
  const plain = { ...device, groups: [], attributes: {} };
  expect(written(plain).length).toBeLessThan(JSON.stringify(plain).length / 3);
});

test('shares with others of its kind what they have in common', () => {
  const read = () => readIdentity(new ByteReader(written({ ...device, groups: [], attributes: {} })), device.clientId);
  expect(read().groups).toBe(read().groups);
  expect(read().attributes).toBe(read().attributes);
  expect(read().username).toBe(device.clientId);
});
