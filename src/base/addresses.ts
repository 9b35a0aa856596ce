/**
 * IP addresses and networks (CIDR: `10.0.0.0/8`, `fd00::/8`; a single address is a network of one), and sets of them.
 *
 * An IPv4 address within IPv6 (`::ffff:10.0.0.1`, as a socket for both families names its peers) counts as the IPv4
 * address.
 */
import { BlockList, isIP, SocketAddress } from 'node:net';
import { assert } from './assert.ts';

interface Network {
  readonly address: string;
  readonly prefixLength: number;
  readonly family: 'ipv4' | 'ipv6';
}

export class AddressSet {
  readonly #list = new BlockList();

  /** Each must be one that `isNetwork` accepts. */
  constructor(networks: readonly string[]) {
    for (const text of networks) {
      const network = networkOf(text);
      assert(network !== null, `not a network: ${text}`);
      this.#list.addSubnet(network.address, network.prefixLength, network.family);
    }
  }

  /** Anything that is no address is in no set. */
  has(text: string): boolean {
    const address = socketAddressOf(text);
    return address !== null && this.#list.check(address);
  }
}

const loopback = new AddressSet(['127.0.0.0/8', '::1']);

/** Whether a host's name or address means this machine alone. */
export const isLoopbackHost = (host: string) => host.toLowerCase() === 'localhost' || loopback.has(host);

const last = { text: '', address: null as SocketAddress | null };

/** The last one is remembered: it is often looked for in many sets, one after the other. */
function socketAddressOf(text: string): SocketAddress | null {
  if (text === last.text) return last.address;
  const address = canonicalAddress(text);
  last.text = text;
  last.address =
    address === null ? null : new SocketAddress({ address, family: isIP(address) === 6 ? 'ipv6' : 'ipv4' });
  return last.address;
}

export const isNetwork = (text: string) => networkOf(text) !== null;

/** The one way to write an address, without zone; null for what is none. */
export function canonicalAddress(text: string): string | null {
  const family = isIP(text);
  if (family !== 6) return family === 4 ? text : null;
  const { address } = new SocketAddress({ address: text.split('%')[0]!, family: 'ipv6' });
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1] ?? address;
}

/** The 4 or 16 bytes of an address. */
export function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  // A URL writes IPv6 addresses in hexadecimal only.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [left = [], right = []] = canonical.split('::').map((half) => half.split(':').filter((each) => each !== ''));
  const zeros = Array<string>(8 - left.length - right.length).fill('0');
  const groups = [...left, ...zeros, ...right].map((group) => group.padStart(4, '0'));
  return Buffer.from(groups.join(''), 'hex');
}

function networkOf(text: string): Network | null {
  const [, address = '', length] = /^([^/]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  // What a mapped address would mean with a prefix length is not obvious: say it as IPv4.
  const canonical = canonicalAddress(address);
  if (canonical === null || isIP(canonical) !== isIP(address)) return null;
  const isIPv6 = isIP(address) === 6;
  const bits = isIPv6 ? 128 : 32;
  const prefixLength = length === undefined ? bits : Number(length);
  return prefixLength > bits ? null : { address: canonical, prefixLength, family: isIPv6 ? 'ipv6' : 'ipv4' };
}

/** The address in `address:port`, whose IPv6 addresses may stand in brackets. */
export function addressOf(remoteAddress: string): string {
  const address = remoteAddress.slice(0, remoteAddress.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return canonicalAddress(address) ?? address;
}

/**
 * Whether an `address:port` is in this network, which `isNetwork` accepts: for whoever asks about very many. IPv4
 * addresses are compared as numbers.
 */
export function networkTest(network: string): (remoteAddress: string) => boolean {
  const set = new AddressSet([network]);
  const { address, prefixLength, family } = networkOf(network)!;
  const inSet = (remoteAddress: string) => set.has(addressOf(remoteAddress));
  if (family === 'ipv6') return inSet;
  const shift = 32 - prefixLength;
  const prefix = Math.floor(ipv4Number(`${address}:`) / 2 ** shift);
  return (remoteAddress) => {
    const number = ipv4Number(remoteAddress);
    return number === -1 ? inSet(remoteAddress) : Math.floor(number / 2 ** shift) === prefix;
  };
}

const [zero, nine, dot, colon] = [0x30, 0x39, 0x2e, 0x3a];

/** Of the address in `address:port`; -1: it is not one of IPv4. */
function ipv4Number(remoteAddress: string): number {
  let [number, part, parts] = [0, -1, 0];
  for (let i = 0; i < remoteAddress.length; i++) {
    const code = remoteAddress.charCodeAt(i);
    if (code >= zero && code <= nine) part = Math.max(part, 0) * 10 + code - zero;
    else if ((code !== dot && code !== colon) || part < 0 || part > 255) return -1;
    else {
      number = number * 256 + part;
      part = -1;
      parts++;
      if (code === colon) return parts === 4 ? number : -1;
    }
  }
  return -1;
}

/**
 * What counts as one source of connections: an IPv4 address, or an IPv6 network of 64 bits, within which anybody has as
 * many addresses as they like. What is no address counts by its name.
 */
export function sourceOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  // The last 32 bits may be written as IPv4.
  const groups = left.length + right.length + (address.includes('.') ? 1 : 0);
  const all = [...left, ...new Array<string>(8 - groups).fill('0'), ...right];
  const network = all.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(':')}::/64`;
}
