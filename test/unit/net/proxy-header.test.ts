/**
 * PROXY headers of both versions, whole, cut anywhere, and wrong in every way that can be thought of.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProxyHeader, ProxyHeaderError } from '../../../src/net/proxy-header.ts';
import { headerV1, headerV2 } from './proxy-headers.ts';

/** Feeds it in pieces that end at the given places; returns how much of it belonged to the header. */
function fed(header: ProxyHeader, bytes: Buffer, ...cuts: number[]): number {
  let at = 0;
  for (const end of [...cuts, bytes.length]) {
    if (header.isComplete) break;
    // In the middle of a larger buffer, as it comes from the socket.
    const padded = Buffer.concat([Buffer.from('###'), bytes.subarray(at, end), Buffer.from('###')]);
    at += header.take(padded, 3, 3 + end - at) - 3;
  }
  return at;
}

const sound: [name: string, header: Buffer, peer: { address: string; port: number } | null][] = [
  ['v1, IPv4', headerV1('TCP4 192.0.2.7 198.51.100.1 50000 1883'), { address: '192.0.2.7', port: 50_000 }],
  ['v1, IPv6', headerV1('TCP6 2001:DB8:0:0::7 2001:db8::1 1 8883'), { address: '2001:db8::7', port: 1 }],
  ['v1 of the greatest length', headerV1(`UNKNOWN ${'ffff:f...f:ffff '.repeat(5)}65535`.padEnd(99, '5')), null],
  ['v1, unknown', headerV1('UNKNOWN'), null],
  ['v2, IPv4', headerV2({ source: '192.0.2.7', port: 50_000 }), { address: '192.0.2.7', port: 50_000 }],
  ['v2, IPv6', headerV2({ source: '2001:db8::7', port: 65_535 }), { address: '2001:db8::7', port: 65_535 }],
  ['v2, IPv4 within IPv6', headerV2({ source: '::ffff:192.0.2.7', port: 5 }), { address: '192.0.2.7', port: 5 }],
  [
    'v2 with TLVs up to the limit',
    headerV2({ source: '192.0.2.7', port: 1, tlvs: Buffer.alloc(4_084, '\r\nPROXY ') }),
    { address: '192.0.2.7', port: 1 },
  ],
  ['v2, LOCAL', headerV2({ command: 0x20, family: 0, addresses: Buffer.alloc(0) }), null],
  ['v2, LOCAL with addresses to ignore', headerV2({ source: '192.0.2.7', port: 1, command: 0x20 }), null],
  ['v2, unspecified with TLVs', headerV2({ family: 0, addresses: Buffer.alloc(7) }), null],
  ['v2, Unix sockets', headerV2({ family: 0x31, addresses: Buffer.alloc(216, 'a') }), null],
];

describe('a sound header', () => {
  for (const [name, bytes, peer] of sound) {
    test(`${name}: is read whole and cut at every byte, and takes nothing of what follows`, () => {
      const stream = Buffer.concat([bytes, Buffer.from('\x10\r\nPROXY')]);
      const step = bytes.length > 300 ? 97 : 1;
      for (let cut = 0; cut <= stream.length; cut += step) {
        const header = new ProxyHeader();
        expect(fed(header, stream, cut)).toBe(bytes.length);
        expect(header).toMatchObject({ isComplete: true, peer });
      }
      const trickled = new ProxyHeader();
      expect(fed(trickled, stream, ...stream.keys())).toBe(bytes.length);
      expect(trickled).toMatchObject({ isComplete: true, peer });
    });

    test(`${name}: is not complete before its last byte`, () => {
      for (let end = 0; end < bytes.length; end += bytes.length > 300 ? 97 : 1) {
        const header = new ProxyHeader();
        expect(fed(header, bytes.subarray(0, end))).toBe(end);
        expect(header.isComplete).toBe(false);
      }
    });
  }
});

const fixed = (...bytes: number[]) => Buffer.concat([headerV2({}).subarray(0, 12), Buffer.from(bytes)]);

/** With the byte, counted from 1, that is the first which no header has there. */
const wrong: [name: string, bytes: Buffer, at: number, why: string][] = [
  ['an MQTT CONNECT', Buffer.from('100c00044d515454040200000000', 'hex'), 1, 'no PROXY header'],
  ['a TLS record', Buffer.from('16030100', 'hex'), 1, 'no PROXY header'],
  ['an HTTP request', Buffer.from('POST / HTTP/1.1\r\n'), 2, 'no PROXY header'],
  ['small letters', Buffer.from('proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n'), 1, 'no PROXY header'],
  ['a tab behind PROXY', Buffer.from('PROXY\tTCP4'), 6, 'no PROXY header'],
  ['a signature that breaks off', Buffer.from('\r\n\r\n\0\r\nQUIT\r\n'), 12, 'no PROXY header'],
  ['a line that is too long', headerV1(`UNKNOWN ${'x'.repeat(100)}`), 107, 'longer than 107 bytes'],
  ['a line that ends in LF only', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n'), 31, 'CR LF'],
  ['CR within the line', Buffer.from('PROXY UNKNOWN\rx\n'), 15, 'CR LF'],
  ['version 1 of the second form', fixed(0x11, 0x11, 0, 12), 16, 'version and command 0x11'],
  ['an unknown command', fixed(0x22, 0x11, 0, 12), 16, 'version and command 0x22'],
  ['datagrams', fixed(0x21, 0x12, 0, 12), 16, 'family and transport 0x12'],
  ['an unknown family', fixed(0x21, 0x41, 0, 12), 16, 'family and transport 0x41'],
  ['no room for IPv4 addresses', fixed(0x21, 0x11, 0, 11), 16, '11 bytes do not hold'],
  ['no room for IPv6 addresses', fixed(0x21, 0x21, 0, 35), 16, '35 bytes do not hold'],
  ['more than is taken', fixed(0x21, 0x11, 0x10, 0x01), 16, '4097 bytes of addresses and more'],
  ['as much as can be said', fixed(0x20, 0x00, 0xff, 0xff), 16, '65535 bytes of addresses and more'],
  ...[
    '',
    'TCP4',
    'TCP4 ',
    'TCP5 1.2.3.4 1.2.3.4 1 1',
    'tcp4 1.2.3.4 1.2.3.4 1 1',
    'UDP4 1.2.3.4 1.2.3.4 1 1',
    'UNKNOWNS',
    'TCP4 1.2.3.4 1.2.3.4 1',
    'TCP4 1.2.3.4 1.2.3.4 1 1 1',
    'TCP4  1.2.3.4 1.2.3.4 1 1',
    'TCP4 1.2.3.4 1.2.3.4 1 1 ',
    'TCP4 ::1 ::1 1 1',
    'TCP6 1.2.3.4 1.2.3.4 1 1',
    'TCP6 fe80::1%eth0 fe80::2 1 1',
    'TCP4 1.2.3 1.2.3.4 1 1',
    'TCP4 1.2.3.256 1.2.3.4 1 1',
    'TCP4 01.2.3.4 1.2.3.4 1 1',
    'TCP4 1.2.3.4 x 1 1',
    'TCP4 1.2.3.4 1.2.3.4 65536 1',
    'TCP4 1.2.3.4 1.2.3.4 1 65536',
    'TCP4 1.2.3.4 1.2.3.4 -1 1',
    'TCP4 1.2.3.4 1.2.3.4 +1 1',
    'TCP4 1.2.3.4 1.2.3.4 01 1',
    'TCP4 1.2.3.4 1.2.3.4 1e3 1',
    'TCP4 1.2.3.4 1.2.3.4 1 \u0661',
    'TCP4 1.2.3.4\0 1.2.3.4 1 1',
  ].map((line): [string, Buffer, number, string] => {
    const bytes = headerV1(line);
    return [`the line "${line}"`, bytes, bytes.length, 'malformed'];
  }),
];

describe('what is no header is refused, at the first byte that tells:', () => {
  test.each(wrong)('%s', (_name, bytes, at, why) => {
    const header = new ProxyHeader();
    expect(fed(header, bytes.subarray(0, at - 1))).toBe(at - 1);
    expect(header.isComplete).toBe(false);
    expect(() => fed(header, bytes.subarray(at - 1, at))).toThrow(ProxyHeaderError);
    expect(() => fed(new ProxyHeader(), bytes)).toThrow(why);
  });

  test('whatever comes is a header, is refused, or is short', () => {
    const start = fc.constantFrom(Buffer.from('PROXY '), headerV2({}).subarray(0, 12), Buffer.alloc(0));
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 200 }), (prefix, rest) => {
        const bytes = Buffer.concat([prefix, rest]);
        const header = new ProxyHeader();
        try {
          const taken = fed(header, bytes);
          if (!header.isComplete) expect(taken).toBe(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(ProxyHeaderError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
