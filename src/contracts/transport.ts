/**
 * The seam between the network and the broker: what TCP, TLS and WebSocket all become.
 *
 * A transport hands each accepted connection to `accept` as a `ByteStream`; the broker answers with the receiver of its
 * bytes. WebSocket frames, TLS records and TCP segments are invisible from here. [MQTT5 4.2]
 */
import type { Share } from '../base/scheduler.ts';

/**
 * `local`: the program's own messages; `stream`: a Duplex that is no socket, handed over by the program. There are no
 * such listeners.
 */
export type TransportKind = 'tcp' | 'tls' | 'ws' | 'wss' | 'unix' | 'local' | 'stream';

/** Where a stream of the program's comes from if the program does not say: `stream:1` has this address. */
export const noAddress = 'stream';

/** What a client's certificate says of it. */
export interface ClientCertificate {
  readonly commonName: string | null;
  /** As Node writes them: `DNS:device.example`, `URI:urn:device:7`, `email:ops@example.com`. */
  readonly subjectAltNames: readonly string[];
  readonly organization: string | null;
  readonly organizationalUnit: string | null;
  /** The common name of who issued it. */
  readonly issuer: string | null;
  /** Hexadecimal. */
  readonly serialNumber: string;
  /** SHA-256, hexadecimal, with colons. */
  readonly fingerprint: string;
  /** When it ends, in milliseconds since the epoch. */
  readonly validTo: number;
}

/**
 * Each packet is a frame of its own, with a header that the writer leaves room for: so no packet is copied to make that
 * room.
 */
export interface Framing {
  /** The header's length, before a packet of so many bytes. */
  headerBytes(packetBytes: number): number;
  /** Writes it at `out[at]`; returns where it ends. */
  writeHeader(out: Buffer, at: number, packetBytes: number): number;
}

export interface ByteStream {
  readonly kind: TransportKind;
  /** `address:port`, for logs; not an identity. Of a Unix-domain socket `unix` and a number. */
  readonly remoteAddress: string;
  /** The client's certificate, if it showed one and the listener has verified it. */
  readonly certificate: ClientCertificate | null;
  /** What the program has for whoever is at the other end: see `ClientIdentity`. */
  readonly state?: unknown;
  /** `TLSv1.3`, while the connection is open; null or absent without TLS. */
  readonly tlsVersion?: string | null;
  /** Bytes given to `write` that the kernel has not taken yet. */
  readonly pendingBytes: number;
  /** Changes whenever the kernel has taken something, of one large write as well. Absent: that is not known. */
  readonly unsentBytes?: number;
  /** What has to stand before each packet that is written; absent: nothing. */
  readonly framing?: Framing;
  /** More than this in one go keeps everybody waiting, since it is encrypted at once. Absent: it does not matter. */
  readonly writeBytesMax?: number;
  /**
   * Writes all of `bytes`: whole packets, one or several, as `framing` wants them. If `pendingBytes` is 0 afterwards
   * the kernel has them all and the caller may reuse the memory; otherwise it must leave it untouched. Writing to a
   * closed stream does nothing.
   */
  write(bytes: Uint8Array): void;
  /** Stops and restarts `onBytes`. What was read already may still arrive in the same tick. */
  pause(): void;
  resume(): void;
  /** Closes once everything written has left, or after a few seconds at the latest; `onClose` follows. */
  end(): void;
  /** Closes at once; `onClose` follows. */
  destroy(): void;
}

export interface ByteReceiver {
  /** To whom the scheduler charges what these bytes cause: `unauthenticated` until it is known whose they are. */
  readonly share: Share;
  /**
   * Bytes from the peer, in `bytes[start, end)`. Valid during the call only: the buffer is used again for the next
   * read.
   */
  onBytes(bytes: Buffer, start: number, end: number): void;
  /** Of transports that may keep what they read before they hand it over: so many bytes have come. */
  onArriving?(count: number): void;
  /** `pendingBytes` fell back to 0 after it was above. */
  onDrain(): void;
  /** The peer has closed its side, or the connection broke: `onClose` follows once what was written has left. */
  onPeerEnd?(): void;
  /** Called exactly once, after which no other call comes. `error` says why, unless the peer closed in good order. */
  onClose(error: Error | null): void;
}

/**
 * The broker's side: called once per accepted connection. `null` refuses it (too many); the transport then destroys it.
 */
export type Accept = (stream: ByteStream) => ByteReceiver | null;

/** Where a connection outwards goes to. */
export interface PeerAddress {
  readonly kind: Exclude<TransportKind, 'unix' | 'local' | 'stream'>;
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  /** Of WebSocket, with its slash; else empty. */
  readonly path: string;
}

export interface ExpiringFile {
  readonly kind: 'certificate' | 'authority' | 'revocations';
  /** The setting and the file: `tls.certFile /etc/sluice/server.pem`. */
  readonly name: string;
  readonly file: string;
  /** Whose it is, and who vouches for it; of revocations null, and who revoked. */
  readonly subject: string | null;
  readonly issuer: string | null;
  /** As Node writes them: `DNS:mqtt.example`, `IP Address:10.0.0.5`. */
  readonly subjectAltNames: readonly string[];
  /** When its validity begins, in milliseconds since the epoch. */
  readonly from: number;
  /** When its validity ends, in milliseconds since the epoch. */
  readonly until: number;
}

export interface Listener {
  readonly kind: TransportKind;
  /** Of a Unix-domain socket its path. */
  readonly host: string;
  /** What was bound; differs from what was asked for if that was 0. Of a Unix-domain socket 0. */
  readonly port: number;
  /** As a client would write it: `mqtt://127.0.0.1:1883`, `wss://0.0.0.0:8084/mqtt`, `unix:///run/sluice/mqtt.sock`. */
  readonly url: string;
  /** False once it is closed. */
  readonly isListening: boolean;
  /** What ends some day of the files in use: certificates, authorities, revocation lists. None without TLS. */
  readonly expiring: readonly ExpiringFile[];
  /**
   * Reads certificates, keys, authorities and revocation lists anew, for new connections. Rejects, saying what is wrong
   * with them, and then the old ones stay in use. Without TLS there is nothing to do.
   */
  reloadCertificates(): Promise<void>;
  /** Stops accepting. Open connections stay: they are the broker's to close. Resolves when the port is free. */
  close(): Promise<void>;
}
