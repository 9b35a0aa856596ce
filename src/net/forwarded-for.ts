/**
 * X-Forwarded-For: the addresses that proxies wrote down, each that of whom it got the request from.
 *
 * Anybody can send such a header, so it is read from the right, where the proxy next to us wrote, and only as far as
 * the word of who wrote counts: the first address that is no trusted proxy's is the client's.
 */
import { type AddressSet, canonicalAddress } from '../base/addresses.ts';

/** `peer` (`address:port`) is who sent us the request; so is the result, with port 0 where the header has none. */
export function clientOf(peer: string, header: string | undefined, trusted: AddressSet): string {
  const entries = header === undefined ? [] : header.split(',').reverse();
  let client = peer;
  let address = peer.slice(0, peer.lastIndexOf(':'));
  for (const entry of entries) {
    if (!trusted.has(address)) break;
    const next = addressAndPort(entry.trim());
    // What cannot be read ends the chain: nobody to the left of it is vouched for.
    if (next === null) break;
    address = next.address;
    client = `${address}:${next.port}`;
  }
  return client;
}

/** Some proxies add the port: `192.0.2.7:50000`, `[2001:db8::7]:50000`. */
function addressAndPort(entry: string): { address: string; port: string } | null {
  const [, bracketed, plain, port = '0'] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(entry) ?? [];
  const address = canonicalAddress(bracketed ?? plain ?? entry);
  return address === null ? null : { address, port };
}
