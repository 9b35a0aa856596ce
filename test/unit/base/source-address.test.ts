import { expect, test } from 'vitest';
import { addressOf, sourceOf } from '../../../src/base/addresses.ts';

test.each([
  ['192.0.2.7:1883', '192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7:50000', '192.0.2.7', '192.0.2.7'],
  ['::1:50000', '::1', '0:0:0:0::/64'],
  ['[2001:db8::1]:50000', '2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8:0:1:aaaa:bbbb:cccc:dddd:50000', '2001:db8:0:1:aaaa:bbbb:cccc:dddd', '2001:db8:0:1::/64'],
  ['2001:0DB8::0001:50000', '2001:db8::1', '2001:db8:0:0::/64'],
  ['fe80::1%eth0:50000', 'fe80::1', 'fe80:0:0:0::/64'],
  ['64:ff9b::192.0.2.7:50000', '64:ff9b::c000:207', '64:ff9b:0:0::/64'],
  ['unknown:0', 'unknown', 'unknown'],
])('%s is the address %s, and counts as %s', (remoteAddress, address, source) => {
  expect(addressOf(remoteAddress)).toBe(address);
  expect(sourceOf(address)).toBe(source);
});
