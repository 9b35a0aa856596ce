/** Where to listen, and how. The configuration's `listeners` have this shape. */
export interface TlsOptions {
  readonly certFile: string;
  readonly keyFile: string;
  /** Certificates of the authorities whose client certificates are accepted. */
  readonly caFile?: string | undefined;
  /** Asks clients for a certificate, and turns those away that have none from `caFile`. */
  readonly requestClientCertificate?: boolean | undefined;
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined;
}

interface Address {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

export interface TcpOptions extends Address {
  readonly kind: 'tcp';
}

export interface TlsListenerOptions extends Address {
  readonly kind: 'tls';
  readonly tls: TlsOptions;
  readonly handshakeTimeoutSeconds: number;
}

export interface WebSocketOptions extends Address {
  readonly kind: 'ws' | 'wss';
  readonly tls?: TlsOptions | undefined;
  readonly path: string;
  /** Browsers' origins that may connect; empty: all. A client without an Origin header is no browser. */
  readonly origins: readonly string[];
  /** Well under the 60 s after which common proxies cut an idle connection. */
  readonly pingIntervalSeconds: number;
  /** How long a TLS handshake and the HTTP upgrade may take. */
  readonly handshakeTimeoutSeconds: number;
  /** Largest WebSocket message, in bytes. */
  readonly messageBytesMax: number;
}

export type ListenerOptions = TcpOptions | TlsListenerOptions | WebSocketOptions;
