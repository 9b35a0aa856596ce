/** PROXY headers, sound and others, as the protocol's text describes them. */
import { isIPv4, SocketAddress } from 'node:net';

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
  const address = isIPv4(source) ? Buffer.from(source.split('.').map(Number)) : groups(source);
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

function groups(address: string): Buffer {
  const mapped = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(new SocketAddress({ address, family: 'ipv6' }).address);
  const last = mapped?.slice(2).map((each) => Number(each).toString(16).padStart(2, '0')) ?? [];
  const text = mapped === null ? address : `${mapped[1]}${last[0]}${last[1]}:${last[2]}${last[3]}`;
  const [left = [], right = []] = text.split('::').map((half) => half.split(':').filter((each) => each !== ''));
  const all = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
