/** PROXY headers, sound and others, as the protocol's text describes them. */
import { isIPv4 } from 'node:net';
import { addressBytes } from '../../../src/base/addresses.ts';

export const headerV1 = (line: string) => Buffer.from(`PROXY ${line}\r\n`);

export interface HeaderV2 {
  readonly source?: string;
  readonly port?: number;
  /** Version and command in one byte. */
  readonly command?: number;
  /** Address family and transport in one byte. */
  readonly family?: number;
  /** In the place of what `source` and `port` say. */
  readonly addresses?: Buffer;
  readonly tlvs?: Buffer;
}

export function headerV2(options: HeaderV2): Buffer {
  const { source = '192.0.2.7', port = 50_000, command = 0x21, tlvs = Buffer.alloc(0) } = options;
  const address = addressBytes(source);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(port);
  ports.writeUInt16BE(1_883, 2);
  const { addresses = Buffer.concat([address, Buffer.alloc(address.length), ports]) } = options;
  const head = Buffer.from('\r\n\r\n\0\r\nQUIT\n....', 'latin1');
  head[12] = command;
  head[13] = options.family ?? (isIPv4(source) ? 0x11 : 0x21);
  head.writeUInt16BE(addresses.length + tlvs.length, 14);
  return Buffer.concat([head, addresses, tlvs]);
}
