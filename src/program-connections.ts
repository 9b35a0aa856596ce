/**
 * Connections that the program brings: a Duplex that it hands over, and the WebSockets of its own HTTP server.
 */
import type { Duplex } from 'node:stream';
import { addressOf, isLoopbackHost, isNetwork } from './base/addresses.ts';
import type { Broker } from './broker/broker.ts';
import { ConfigError } from './config/error.ts';
import { assertKnownKeys } from './config/known-keys.ts';
import type { Audit } from './contracts/audit.ts';
import { everything } from './contracts/listener-limits.ts';
import type { Log } from './contracts/log.ts';
import { type ByteStream, noAddress } from './contracts/transport.ts';
import { acceptDuplex, assertUsable, whereFrom } from './net/duplex-stream.ts';
import { addressOf as socketAddress } from './net/handshakes.ts';
import { ListenerLog } from './net/listener-log.ts';
import { attachWebSockets, type OwnHttpServer } from './net/websocket.ts';

export type { OwnHttpServer } from './net/websocket.ts';

export interface HandleOptions {
  /** `address:port` of the client, for limits, penalties, rules and logs. Default: the socket's, or none. */
  readonly remoteAddress?: string;
  /** What hooks and events find as `client.state`, of any type that the program likes. */
  readonly state?: unknown;
}

export interface AttachOptions {
  /** Where in HTTP MQTT is. Default: `/mqtt`. */
  readonly path?: string;
  /** Web pages that may connect, as a listener's `origins`. Default: none are listed. */
  readonly origins?: readonly string[];
  /** Proxies that say where a client is by X-Forwarded-For, as a listener's `trustedProxies`. Default: none. */
  readonly trustedProxies?: readonly string[];
  /** Default: 25. */
  readonly pingIntervalSeconds?: number;
}

export interface Attachment {
  /** What the broker calls it, in rules and logs: `ws://attached/mqtt`. */
  readonly url: string;
  /** Takes no more connections. Open ones stay, and so does the server. */
  close(): void;
}

/** The URL that connections have which `handle` was given. */
const handedOver = 'stream://program';

interface Parts {
  readonly broker: Broker;
  readonly log: Log;
  readonly audit: Audit | null;
  /** Tells authentication of a URL. */
  readonly attachTo: (url: string) => void;
  /** Whether a client needs no credentials. */
  readonly isOpen: () => boolean;
  /** Anybody may connect from anywhere: `allowAnonymous`. */
  readonly allowsAnybody: boolean;
}

export class ProgramConnections {
  readonly #parts: Parts;
  readonly #listenerLog: ListenerLog;
  readonly #ends = new Set<() => void>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#listenerLog = new ListenerLog(parts.log, parts.audit);
    this.#listenerLog.listener = handedOver;
    parts.attachTo(handedOver);
  }

  handle(duplex: Duplex, options: HandleOptions = {}): void {
    assertKnownKeys('handle', options, ['remoteAddress', 'state']);
    assertUsable(duplex);
    const remoteAddress = options.remoteAddress ?? whereFrom(duplex) ?? `${noAddress}:0`;
    const accept = (stream: ByteStream) => this.#accept(stream, handedOver, this.#listenerLog);
    this.#listenerLog.contain(duplex, () => acceptDuplex(duplex, remoteAddress, accept, options.state));
  }

  attach(server: OwnHttpServer, options: AttachOptions = {}): Attachment {
    assertKnownKeys('attach', options, ['path', 'origins', 'trustedProxies', 'pingIntervalSeconds']);
    const { path = '/mqtt', origins = [], trustedProxies = [], pingIntervalSeconds = 25 } = options;
    if (typeof server?.on !== 'function') throw new TypeError('attach: expected a server of node:http or node:https');
    if (!/^\/[^?#\s]*$/.test(path))
      throw new ConfigError(`attach: the path ${JSON.stringify(path)} does not begin with /`);
    const wrong = trustedProxies.find((each) => !isNetwork(each));
    if (wrong !== undefined) throw new ConfigError(`attach: trustedProxies: ${wrong} is no address or network`);
    if (!(pingIntervalSeconds >= 1 && pingIntervalSeconds <= 3_600)) {
      throw new ConfigError(`attach: pingIntervalSeconds: ${pingIntervalSeconds} is not within 1 and 3600`);
    }
    const url = `ws://attached${path}`;
    const listenerLog = new ListenerLog(this.#parts.log, this.#parts.audit);
    listenerLog.listener = url;
    this.#parts.attachTo(url);
    const { isOpen } = this.#parts;
    const end = attachWebSockets(
      server,
      { paths: [path], origins, trustedProxies, pingIntervalSeconds, isOpen, host: '' },
      {
        accept: (stream) => this.#accept(stream, url, listenerLog),
        handshakes: { finish: socketAddress, whereFrom: socketAddress },
        listenerLog,
      },
    );
    const close = () => {
      end();
      this.#ends.delete(close);
    };
    this.#ends.add(close);
    return { url, close };
  }

  /** As for listeners: who needs no credentials comes from this machine, unless the configuration says otherwise. */
  #accept(stream: ByteStream, url: string, listenerLog: ListenerLog) {
    const { broker, isOpen, allowsAnybody } = this.#parts;
    const address = addressOf(stream.remoteAddress);
    const isNear = address === noAddress || isLoopbackHost(address);
    if (isNear || allowsAnybody || !isOpen()) return broker.accept(stream, url, everything);
    const how = 'set `authentication` or the hook `authenticate`, or say `allowAnonymous: true` if that is meant';
    listenerLog.refuse(stream.remoteAddress, `it comes from another machine, and no authentication is set; ${how}`);
    return null;
  }

  /** Servers of the program are left alone from now on. */
  close(): void {
    for (const end of this.#ends) end();
  }
}
