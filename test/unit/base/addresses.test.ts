import { describe, expect, test } from 'vitest';
import {
  AddressSet,
  addressBytes,
  addressOf,
  canonicalAddress,
  isNetwork,
  networkTest,
} from '../../../src/base/addresses.ts';

test('an address has one way to be written', () => {
  const written: [string, string | null][] = [
    ['192.0.2.7', '192.0.2.7'],
    ['2001:DB8:0:0:0:0:0:7', '2001:db8::7'],
    ['::FFFF:192.0.2.7', '192.0.2.7'],
    ['::ffff:c000:207', '192.0.2.7'],
    ['fe80::1%eth0', 'fe80::1'],
    ['192.0.2.07', null],
    ['192.0.2', null],
    ['localhost', null],
    ['', null],
    ['2001:db8::7::', null],
  ];
  expect(written.map(([text]) => [text, canonicalAddress(text)])).toEqual(written);
});

test('an address has 4 or 16 bytes', () => {
  const bytes: [string, string][] = [
    ['192.0.2.7', 'c0000207'],
    ['::', '00'.repeat(16)],
    ['::1', `${'00'.repeat(15)}01`],
    ['2001:db8::7', '20010db8000000000000000000000007'],
    ['1::', `0001${'00'.repeat(14)}`],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['::ffff:192.0.2.7', '00000000000000000000ffffc0000207'],
  ];
  for (const [address, hex] of bytes) expect(addressBytes(address).toString('hex')).toBe(hex);
});

describe('a set of networks', () => {
  const set = new AddressSet(['10.0.0.0/8', '192.0.2.7', 'fd00::/8', '::1']);

  test.each(['10.255.0.1', '::ffff:10.0.0.1', '::ffff:a00:1', '192.0.2.7', 'fd12::1', 'FD12:0::1%eth0', '::1'])(
    'has %s',
    (address) => expect(set.has(address)).toBe(true),
  );

  test.each(['11.0.0.1', '192.0.2.8', 'fe80::1', '::2', '::', 'unknown', '', '10.0.0.1:80', '10.0.0.1, 10.0.0.2'])(
    'does not have %s',
    (address) => expect(set.has(address)).toBe(false),
  );

  test('of none has nothing, and of all everything', () => {
    expect(new AddressSet([]).has('127.0.0.1')).toBe(false);
    const all = new AddressSet(['0.0.0.0/0', '::/0']);
    expect(all.has('203.0.113.9') && all.has('2001:db8::9')).toBe(true);
  });

  test.each([
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/08',
    '10.0.0.0/',
    '/8',
    'host',
    'host/8',
    '10.0.0.0/8/8',
    '::ffff:10.0.0.1',
  ])('%s is no network', (text) => {
    expect(isNetwork(text)).toBe(false);
    expect(() => new AddressSet([text])).toThrow(text);
  });
});

test('an IPv6 address whose end may be written as IPv4, or that names a zone, is a network of one', () => {
  for (const address of ['::1:2107', '::0.1.33.7', 'fe80::1%eth0']) {
    expect(isNetwork(address), address).toBe(true);
    expect(new AddressSet([address]).has(address), address).toBe(true);
  }
  expect(isNetwork('::ffff:10.0.0.1')).toBe(false);
});

test('whoever asks about very many addresses hears the same as from a set', () => {
  const networks = ['10.0.0.0/8', '192.0.2.1', '0.0.0.0/0', '192.0.2.0/31', '255.255.255.255/32', 'fd00::/8', '::1'];
  const addresses = ['10.1.2.3', '11.0.0.0', '192.0.2.1', '192.0.2.2', '0.0.0.0', '255.255.255.255', '[fd00::1]'];
  const others = ['[::1]', '[::ffff:10.0.0.1]', '10.0.0', '10.0.0.256', '10..0.1', 'a socket', ''];
  for (const network of networks) {
    const [isIn, set] = [networkTest(network), new AddressSet([network])];
    for (const address of [...addresses, ...others]) {
      expect(isIn(`${address}:1883`), `${address} in ${network}`).toBe(set.has(addressOf(`${address}:1883`)));
    }
    expect(isIn('')).toBe(false);
  }
});
