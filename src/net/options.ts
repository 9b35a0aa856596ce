/** Where to listen, and how. The configuration's `listeners` have this shape. */
export interface CertificateOptions {
  /** PEM: the certificate, then those that lead to its authority. */
  readonly certFile: string;
  /** PEM; may be encrypted with the passphrase. */
  readonly keyFile: string;
  /** The file that holds the passphrase, or the environment variable. */
  readonly passphraseFile?: string | undefined;
  readonly passphraseEnv?: string | undefined;
}

export interface NamedCertificateOptions extends CertificateOptions {
  /**
   * For clients that ask for these names (SNI), as `mqtt.example` or `*.example`. Default: those in the certificate.
   */
  readonly serverNames?: readonly string[] | undefined;
}

/** The certificate here is for clients that ask for no name, or for one that no certificate has. */
export interface TlsOptions extends CertificateOptions {
  readonly certificates?: readonly NamedCertificateOptions[] | undefined;
  /** Certificates of the authorities whose client certificates are accepted. */
  readonly caFile?: string | undefined;
  /** What these authorities revoked: one list for each of them. */
  readonly crlFile?: string | undefined;
  /** Whether clients are asked for a certificate. One that does not hold is turned away in any case. */
  readonly clientCertificate?: 'none' | 'optional' | 'required' | undefined;
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined;
  /** Cipher suites in OpenSSL's words, in the place of those that are the default. */
  readonly ciphers?: string | undefined;
}

interface Address {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Connections that the kernel keeps for us until they are accepted; it may allow fewer. Default 4096. */
  readonly backlog?: number | undefined;
  /** How long the PROXY header, the TLS handshake and the HTTP upgrade may take, together. Default 10. */
  readonly handshakeTimeoutSeconds?: number | undefined;
  /** Every connection begins with a PROXY header, versions 1 or 2, and comes from one of `trustedProxies`. */
  readonly proxyProtocol?: boolean | undefined;
  /**
   * Addresses and networks whose word counts on where a client is: by a PROXY header or, in HTTP, by X-Forwarded-For.
   */
  readonly trustedProxies?: readonly string[] | undefined;
}

interface WebSocketAddress extends Address {
  /** Where in HTTP it is, for old clients and new ones; the first one is told. */
  readonly paths: readonly string[];
  /** One alone, in the place of these. */
  readonly path?: string | undefined;
  /** Web pages that may connect. Of this and `isOpen`, see `origins.ts`. */
  readonly origins: readonly string[];
  /** Asked at each request of a web page: it may change while the listener runs. */
  readonly isOpen: () => boolean;
  /** Well under the 60 s after which common proxies cut an idle connection. */
  readonly pingIntervalSeconds: number;
}

export interface TcpOptions extends Address {
  readonly kind: 'tcp';
}

export interface TlsListenerOptions extends Address {
  readonly kind: 'tls';
  readonly tls: TlsOptions;
}

export interface WsOptions extends WebSocketAddress {
  readonly kind: 'ws';
}

export interface WssOptions extends WebSocketAddress {
  readonly kind: 'wss';
  readonly tls: TlsOptions;
}

/** A Unix-domain socket, for clients on this machine. */
export interface UnixOptions {
  readonly kind: 'unix';
  /** Its path, absolute. */
  readonly socket: string;
  /** Its permissions, as octal digits. */
  readonly mode: string;
  readonly backlog?: number | undefined;
}

export type WebSocketOptions = WsOptions | WssOptions;
/** Of what has an address with a port. */
export type InetOptions = TcpOptions | TlsListenerOptions | WebSocketOptions;
export type ListenerOptions = InetOptions | UnixOptions;

/** Of a connection outwards. */
export interface ClientTlsOptions {
  /** Authorities that vouch for the server. Default: those that Node has. */
  readonly caFile?: string | undefined;
  /** PEM: the certificate that is shown to the server, and its key. Default: none. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly passphraseFile?: string | undefined;
  readonly passphraseEnv?: string | undefined;
  /** The name that is asked for (SNI), and that the certificate must have. Default: the host. */
  readonly serverName?: string | undefined;
  /** Protocols to choose from (ALPN). Default: none are named. */
  readonly alpn?: readonly string[] | undefined;
  /** False: the certificate may have any name, as long as an authority vouches for it. Default: true. */
  readonly verifyName?: boolean | undefined;
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined;
  readonly ciphers?: string | undefined;
}
