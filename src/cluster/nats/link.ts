/** One connection to the servers, which is made again for ever when it ends. */
import { readFileSync } from 'node:fs';
import {
  type Authenticator,
  connect,
  credsAuthenticator,
  type NatsConnection,
  type NodeConnectionOptions,
} from '@nats-io/transport-node';
import { EngineUnavailable } from '../../contracts/cluster-engine.ts';

export interface NatsOptions {
  /** `nats://[user:password@]host[:port]`, or `tls://…`; others of their cluster are found by themselves. */
  readonly servers: readonly string[];
  /** Of NATS (`.creds`), read at each connect; null: none. */
  readonly credentialsFile: string | null;
  /** For `tls://`; null: what the system trusts, and no certificate of our own. */
  readonly tls: { readonly caFile?: string; readonly certFile?: string; readonly keyFile?: string } | null;
  /** How long one request waits for its answer. */
  readonly answerMs: number;
}

export const defaultNatsOptions = { credentialsFile: null, tls: null, answerMs: 2_000 } as const;

const connectMs = 5_000;
/** A server that hangs is left after two of these without an answer. */
const pingMs = 1_000;

export class Link {
  readonly connection: NatsConnection;
  #isConnected = true;

  private constructor(connection: NatsConnection) {
    this.connection = connection;
    void this.#follow();
  }

  /** Rejects with `EngineUnavailable` if no server can be reached now; `name` is what servers list it as. */
  static async open(name: string, options: NatsOptions): Promise<Link> {
    try {
      return new Link(await connect(connectOptions(name, options)));
    } catch (error) {
      const servers = options.servers.map(withoutPassword).join(', ');
      throw new EngineUnavailable(`Cannot connect to NATS at ${servers}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /**
   * While it is not connected nothing may be sent: the client library would keep all of it, repeats included, without
   * a bound.
   */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  assertConnected(): void {
    if (!this.#isConnected) throw new EngineUnavailable('No server of NATS is connected; it is tried again by itself');
  }

  close(): Promise<void> {
    return this.connection.close();
  }

  async #follow(): Promise<void> {
    for await (const { type } of this.connection.status()) {
      if (type === 'disconnect') this.#isConnected = false;
      else if (type === 'reconnect') this.#isConnected = true;
    }
    this.#isConnected = false;
  }
}

export function connectOptions(name: string, options: NatsOptions): NodeConnectionOptions {
  const urls = options.servers.map((server) => new URL(server.includes('://') ? server : `nats://${server}`));
  const user = urls.find(({ username }) => username !== '');
  const { credentialsFile: file } = options;
  const authenticator: Authenticator | null =
    file === null ? null : (nonce) => credsAuthenticator(readFileSync(file))(nonce);
  const wantsTls = options.tls !== null || urls.some(({ protocol }) => protocol === 'tls:');
  return {
    name,
    servers: urls.map(({ host }) => host),
    timeout: connectMs,
    pingInterval: pingMs,
    maxPingOut: 2,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 200,
    // Rights may come back as they went; meanwhile the node is cut off, and behaves so.
    ignoreAuthErrorAbort: true,
    noEcho: true,
    ...(user !== undefined && { user: decodeURIComponent(user.username), pass: decodeURIComponent(user.password) }),
    ...(authenticator !== null && { authenticator }),
    ...(wantsTls && { tls: options.tls ?? {} }),
  };
}

/** For texts that people read. */
export function withoutPassword(server: string): string {
  return server.replace(/\/\/[^@/]*@/, '//');
}
