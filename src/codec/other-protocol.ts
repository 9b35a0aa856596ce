/** Clients of other protocols, told by their first bytes: who has mixed up two ports finds out by the log. */
const tlsHandshake = 0x16;
/** All versions that are used say 3 there. [RFC 8446 5.1] */
const tlsMajorVersion = 3;
const httpRequest = /^(GET|HEAD|POST|PUT|DELETE|OPTIONS|CONNECT|PATCH|PRI) /;
const longestMethod = 8;

/** What begins in `bytes[at, end)` instead of a CONNECT packet; null if it may be one, or is not known. */
export function otherProtocol(bytes: Buffer, at: number, end: number): string | null {
  if (bytes[at] === tlsHandshake && end > at + 1 && bytes[at + 1] === tlsMajorVersion) {
    return 'this looks like TLS, and the listener takes plain MQTT: connect without TLS, or to a listener of kind tls';
  }
  if (httpRequest.test(bytes.toString('latin1', at, Math.min(end, at + longestMethod)))) {
    return 'this looks like HTTP, and the listener takes plain MQTT: web pages connect to a listener of kind ws or wss';
  }
  return null;
}
