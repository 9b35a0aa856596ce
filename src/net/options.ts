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
  /** Connections that the kernel keeps for us until they are accepted; it may allow fewer. Default 4096. */
  readonly backlog?: number | undefined;
}

interface WebSocketAddress extends Address {
  readonly path: string;
  /** Browsers' origins that may connect; empty: all. A client without an Origin header is no browser. */
  readonly origins: readonly string[];
  /** Well under the 60 s after which common proxies cut an idle connection. */
  readonly pingIntervalSeconds: number;
  /** How long the TLS handshake and the HTTP upgrade may take, together. */
  readonly handshakeTimeoutSeconds: number;
  /** Largest WebSocket message, in bytes; 64 KiB are taken in any case, since a message may hold many packets. */
  readonly messageBytesMax: number;
}

export interface TcpOptions extends Address {
  readonly kind: 'tcp';
}

export interface TlsListenerOptions extends Address {
  readonly kind: 'tls';
  readonly tls: TlsOptions;
  readonly handshakeTimeoutSeconds: number;
}

export interface WsOptions extends WebSocketAddress {
  readonly kind: 'ws';
}

export interface WssOptions extends WebSocketAddress {
  readonly kind: 'wss';
  readonly tls: TlsOptions;
}

export type WebSocketOptions = WsOptions | WssOptions;
export type ListenerOptions = TcpOptions | TlsListenerOptions | WebSocketOptions;
