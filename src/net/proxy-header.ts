/**
 * The PROXY protocol, versions 1 and 2: the header by which a proxy says from where a connection really comes.
 * (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt)
 *
 * It is read byte by byte, so it does not matter how it was cut, and fails at the first byte that no header has there.
 * Memory is bounded by what a header may hold; what follows the addresses in version 2 (TLVs) is skipped, not kept.
 */
import { isIP } from 'node:net';
import { canonicalAddress } from '../base/addresses.ts';

export interface ProxiedPeer {
  readonly address: string;
  readonly port: number;
}

/** The peer sent something else than a header. */
export class ProxyHeaderError extends Error {
  override readonly name = 'ProxyHeaderError';
}

const prefixV1 = Buffer.from('PROXY ');
const signatureV2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** With its line end. */
const lineBytesMax = 107;
/** Of version 2, up to the length of what follows. */
const fixedBytes = 16;
/** Addresses and TLVs; a client certificate in a TLV takes 2 KB or so. */
const variableBytesMax = 4_096;
const [carriageReturn, lineFeed] = [0x0d, 0x0a];

/** Bytes of both addresses and both ports, by address family and transport. */
const addressBytes: Readonly<Record<number, number>> = { 17: 12, 33: 36 };
/** Unspecified, and Unix sockets: the header says nothing of an address. */
const familiesWithout: readonly number[] = [0x00, 0x31];

export class ProxyHeader {
  /** Null until it is complete, and then too if the proxy does not know or speaks for itself (LOCAL). */
  peer: ProxiedPeer | null = null;
  isComplete = false;
  readonly #bytes = Buffer.allocUnsafe(lineBytesMax);
  #length = 0;
  /** Of version 2, once its fixed part is known: bytes to keep in all, and to skip behind them. */
  #kept = fixedBytes;
  #toSkip = 0;

  /** Takes what belongs to the header from `bytes[start, end)`; returns where that ends. */
  take(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && !this.isComplete) {
      if (this.#length === this.#kept) {
        const skipped = Math.min(this.#toSkip, end - at);
        this.#toSkip -= skipped;
        at += skipped;
        this.isComplete = this.#toSkip === 0;
      } else {
        this.#bytes[this.#length++] = bytes[at++]!;
        this.#look();
      }
    }
    return at;
  }

  /** At the newest byte. */
  #look(): void {
    const isText = this.#bytes[0] === prefixV1[0];
    const start = isText ? prefixV1 : signatureV2;
    const last = this.#length - 1;
    if (last < start.length) {
      if (this.#bytes[last] !== start[last]) throw new ProxyHeaderError('what came is no PROXY header');
      // Both versions have at least this much, so `#kept` is right for the first one as well.
      this.#kept = isText ? lineBytesMax : fixedBytes;
    } else if (isText) this.#lookAtLine();
    else if (this.#length === fixedBytes) this.#readFixed();
    else if (this.#length === this.#kept) this.#readAddresses();
  }

  #lookAtLine(): void {
    const isEnd = this.#bytes[this.#length - 1] === lineFeed;
    const follows = this.#bytes[this.#length - 2] === carriageReturn;
    if (isEnd !== follows) throw new ProxyHeaderError('the line of the PROXY header does not end in CR LF');
    if (isEnd) {
      this.peer = peerOfLine(this.#bytes.toString('latin1', prefixV1.length, this.#length - 2));
      this.isComplete = true;
    } else if (this.#length === lineBytesMax) {
      throw new ProxyHeaderError(`the PROXY header is longer than ${lineBytesMax} bytes`);
    }
  }

  #readFixed(): void {
    const [versionAndCommand, family] = [this.#bytes[12]!, this.#bytes[13]!];
    const length = this.#bytes.readUInt16BE(14);
    if (length > variableBytesMax) {
      throw new ProxyHeaderError(
        `the PROXY header has ${length} bytes of addresses and more, ${variableBytesMax} are taken`,
      );
    }
    if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21) {
      throw new ProxyHeaderError(`version and command ${hex(versionAndCommand)} of the PROXY header are unknown`);
    }
    const isLocal = versionAndCommand === 0x20;
    const needed = isLocal || familiesWithout.includes(family) ? 0 : addressBytes[family];
    if (needed === undefined) {
      throw new ProxyHeaderError(`family and transport ${hex(family)} of the PROXY header are not those of TCP`);
    }
    if (length < needed) throw new ProxyHeaderError(`${length} bytes do not hold the addresses of the PROXY header`);
    this.#kept += needed;
    this.#toSkip = length - needed;
    this.isComplete = length === 0;
  }

  #readAddresses(): void {
    const isIPv4 = this.#kept - fixedBytes === addressBytes[0x11];
    const source = this.#bytes.subarray(fixedBytes, fixedBytes + (isIPv4 ? 4 : 16));
    const address = isIPv4 ? source.join('.') : canonicalAddress(source.toString('hex').match(/.{4}/g)!.join(':'))!;
    this.peer = { address, port: this.#bytes.readUInt16BE(this.#kept - 4) };
    this.isComplete = this.#toSkip === 0;
  }
}

const hex = (byte: number) => `0x${byte.toString(16).padStart(2, '0')}`;

/** `TCP4 192.0.2.7 192.0.2.1 50000 1883` */
function peerOfLine(text: string): ProxiedPeer | null {
  const words = text.split(' ');
  // What follows is to be ignored.
  if (words[0] === 'UNKNOWN') return null;
  const [protocol, source = '', target = '', sourcePort = '', targetPort = ''] = words;
  const family = protocol === 'TCP4' ? 4 : protocol === 'TCP6' ? 6 : null;
  const isSound =
    words.length === 5 &&
    [source, target].every((each) => isIP(each) === family && !each.includes('%')) &&
    [sourcePort, targetPort].every((each) => /^(0|[1-9]\d{0,4})$/.test(each) && Number(each) <= 65_535);
  if (!isSound) throw new ProxyHeaderError('the line of the PROXY header is malformed');
  return { address: canonicalAddress(source)!, port: Number(sourcePort) };
}
