/** X-Forwarded-For: whose word counts, and where a client can only pretend. */
import { describe, expect, test } from 'vitest';
import { AddressSet } from '../../../src/base/addresses.ts';
import { clientOf } from '../../../src/net/forwarded-for.ts';

const trusted = new AddressSet(['10.0.0.0/8', 'fd00::/8']);
const proxy = '10.0.0.5:40000';
const stranger = '203.0.113.9:40000';

const cases: [what: string, peer: string, header: string | undefined, client: string][] = [
  ['no header', proxy, undefined, proxy],
  ['an empty one', proxy, '', proxy],
  ['one address', proxy, '192.0.2.7', '192.0.2.7:0'],
  ['one address from who is no proxy', stranger, '192.0.2.7', stranger],
  ["a proxy's address from who is no proxy", stranger, '10.0.0.5', stranger],
  ['what the client sent before the proxy added its address', proxy, '1.2.3.4, 192.0.2.7', '192.0.2.7:0'],
  ['a chain of proxies', proxy, '192.0.2.7, 10.0.0.7, 10.0.0.6', '192.0.2.7:0'],
  ['a chain of proxies behind a spoofed one', proxy, '10.0.0.9, 192.0.2.7, 10.0.0.6', '192.0.2.7:0'],
  ['proxies only', proxy, '10.0.0.7, 10.0.0.6', '10.0.0.7:0'],
  ['no blanks', proxy, '1.2.3.4,192.0.2.7', '192.0.2.7:0'],
  ['many blanks', proxy, '  1.2.3.4 ,\t192.0.2.7  ', '192.0.2.7:0'],
  ['IPv6', proxy, '2001:DB8::0:7', '2001:db8::7:0'],
  ['IPv6 in brackets', proxy, '[2001:db8::7]', '2001:db8::7:0'],
  ['IPv6 in brackets, with its port', proxy, '[2001:db8::7]:50000', '2001:db8::7:50000'],
  ['an IPv6 proxy', 'fd00::5:40000', '192.0.2.7', '192.0.2.7:0'],
  ['IPv4 within IPv6', '::ffff:10.0.0.5:40000', '::ffff:192.0.2.7', '192.0.2.7:0'],
  ['a port', proxy, '192.0.2.7:50000', '192.0.2.7:50000'],
  ['a name', proxy, 'client.example', proxy],
  ['"unknown" behind a proxy', proxy, '192.0.2.7, unknown, 10.0.0.6', '10.0.0.6:0'],
  ['nothing between commas', proxy, '192.0.2.7,,10.0.0.6', '10.0.0.6:0'],
  ['a comma at the end', proxy, '192.0.2.7,', proxy],
  ['two addresses without a comma', proxy, '1.2.3.4 192.0.2.7', proxy],
  ['what would spoil a log', proxy, '192.0.2.7\\r\\nforged', proxy],
  ['something like an address', proxy, '192.0.2.777', proxy],
  ['a peer that is not known', 'unknown:0', '192.0.2.7', 'unknown:0'],
];

describe('the client is', () => {
  test.each(cases)('with %s', (_what, peer, header, client) => expect(clientOf(peer, header, trusted)).toBe(client));

  test('the peer, if no proxy is trusted', () => {
    expect(clientOf(proxy, '192.0.2.7', new AddressSet([]))).toBe(proxy);
  });
});
