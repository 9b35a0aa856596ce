/** What a client that speaks no MQTT is told, and the log with it. */
import { expect, test } from 'vitest';
import { otherProtocol } from '../../../src/codec/other-protocol.ts';

const of = (bytes: Buffer) => otherProtocol(bytes, 0, bytes.length);

test.each([
  ['a TLS 1.3 ClientHello', Buffer.from('1603010200010001fc0303', 'hex'), /looks like TLS/],
  ['a request of a browser', Buffer.from('GET / HTTP/1.1\r\n'), /looks like HTTP/],
  ['HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n'), /looks like HTTP/],
])('%s is known', (_, bytes, what) => expect(of(bytes)).toMatch(what));

test.each([
  ['CONNECT', Buffer.from('101000044d5154540402003c0004', 'hex')],
  ['one byte of what may be TLS', Buffer.from('16', 'hex')],
  ['a CONNECT with reserved flags', Buffer.from('161000044d515454', 'hex')],
  ['other text', Buffer.from('GETTING\n')],
  ['nothing', Buffer.alloc(0)],
])('%s is none of them', (_, bytes) => expect(of(bytes)).toBe(null));
