/**
 * What a running broker has: sessions, connections, subscriptions, retained messages and queues, page by page.
 *
 * Pages are made in the share of the broker's own jobs: however many somebody asks for, clients are served in between.
 */
import { type Page, type PageRequest, Pages, type Walk } from '../base/pages.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { ConnectionView, QueuedView, RetainedView, SessionView, SubscriptionView } from '../contracts/views.ts';
import type { BrokerContext } from './broker-context.ts';
import type { Connection } from './connection.ts';

export class BrokerView {
  readonly #context: BrokerContext;
  readonly #pages: Pages;
  readonly #connections: ReadonlySet<Connection>;

  constructor(context: BrokerContext, connections: ReadonlySet<Connection>) {
    this.#context = context;
    this.#connections = connections;
    const { core, randomBytes, scheduler } = context;
    this.#pages = new Pages({
      now: () => core.now,
      randomBytes,
      work: (step) => scheduler.jobs.queueBackground(step),
    });
  }

  /**
   * Of connected and absent clients, in no particular order. Those of the program have client identifiers that begin
   * with U+0000.
   */
  sessions(request?: PageRequest): Promise<Page<SessionView>> {
    return this.#pages.take('sessions', () => this.#context.core.view.sessions(), request);
  }

  /** With and without CONNECT, the oldest first. */
  connections(request?: PageRequest): Promise<Page<ConnectionView>> {
    return this.#pages.take('connections', () => walkConnections(this.#connections), request);
  }

  /** Of all sessions. */
  subscriptions(request?: PageRequest): Promise<Page<SubscriptionView>> {
    return this.#pages.take('subscriptions', () => this.#context.core.view.subscriptions(), request);
  }

  retained(request?: PageRequest): Promise<Page<RetainedView>> {
    return this.#pages.take('retained', () => this.#context.core.view.retained(), request);
  }

  /** What waits for a client, in order. Rejects if it has no session. */
  async queue(clientId: string, request?: PageRequest): Promise<Page<QueuedView>> {
    const { core } = this.#context;
    const session = core.findSession(clientId);
    if (session === undefined) {
      throw new CommandFailure('not-found', `There is no session of client ${JSON.stringify(clientId)}`);
    }
    return this.#pages.take(`queue ${session.sid}`, () => core.view.queue(session), request);
  }

  tick(): void {
    this.#pages.tick();
  }
}

function* walkConnections(connections: Iterable<Connection>): Walk<ConnectionView> {
  for (const connection of connections) yield connectionView(connection);
}

function connectionView(connection: Connection): ConnectionView {
  const { stream, listener, state, isAnswered, identity, heldBytes } = connection;
  // Before somebody has vouched for it, a user name may be a secret.
  const known = isAnswered ? identity : null;
  return {
    address: stream.remoteAddress,
    listener,
    transport: stream.kind,
    tls: stream.tlsVersion ?? null,
    // Its CONNACK may wait for the disk.
    state: state.name === 'open' && !isAnswered ? 'authenticating' : state.name,
    clientId: known?.clientId ?? null,
    username: known?.username ?? null,
    memoryBytes: heldBytes,
  };
}
