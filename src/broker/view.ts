/**
 * What a running broker has: sessions, connections, subscriptions, retained messages and queues, page by page.
 *
 * Pages are made in the share of the broker's own jobs: however many somebody asks for, clients are served in between.
 */
import { type Page, type PageRequest, Pages, type Walk } from '../base/pages.ts';
import { CommandFailure, RequestError } from '../contracts/failures.ts';
import type {
  ClientFilter,
  ClientView,
  ConnectionView,
  InflightView,
  QueuedItem,
  QueuedLook,
  QueuedView,
  RetainedFilter,
  RetainedView,
  SessionView,
  SubscriberView,
  SubscriptionFilter,
  SubscriptionView,
} from '../contracts/views.ts';
import type { ClientSession } from '../core/client-session.ts';
import { type ParsedFilter, parseFilter } from '../protocol/topic.ts';
import type { BrokerContext } from './broker-context.ts';
import { clientTest, type FilteredClient } from './client-filter.ts';
import { Connection } from './connection.ts';

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
      clock: () => scheduler.clock(),
      randomBytes,
      work: (step) => scheduler.jobs.queueBackground(step),
    });
  }

  /**
   * Of connected and absent clients, in no particular order. Those of the program have client identifiers that begin
   * with U+0000. A page after the first goes on with the filter of the first.
   */
  async sessions(request: PageRequest & ClientFilter = {}): Promise<Page<SessionView>> {
    const { core } = this.#context;
    const test = clientTest(request);
    const isWanted = (session: ClientSession) => test(ofSession(session));
    const { clientId } = request;
    const walk = () => {
      if (!isGiven(clientId)) return core.view.sessions(isWanted);
      const session = core.findSession(clientId);
      return oneOrNone(session === undefined || !isWanted(session) ? null : core.view.session(session));
    };
    return this.#pages.take('sessions', walk, request);
  }

  /** With and without CONNECT, the oldest first. Whose client is not known has neither name nor version. */
  async connections(request: PageRequest & ClientFilter = {}): Promise<Page<ConnectionView>> {
    const test = clientTest(request);
    const isWanted = (connection: Connection) => test(ofConnection(connection));
    const { clientId } = request;
    const walk = () => {
      if (!isGiven(clientId)) return walkConnections(this.#connections, isWanted);
      const connection = connectionOf(this.#context.core.findSession(clientId));
      return oneOrNone(connection === null || !isWanted(connection) ? null : connectionView(connection));
    };
    return this.#pages.take('connections', walk, request);
  }

  /** Of all sessions, of one, or those with one filter. */
  async subscriptions(request: PageRequest & SubscriptionFilter = {}): Promise<Page<SubscriptionView>> {
    const { core } = this.#context;
    const { clientId, topicFilter } = request;
    const walk = () => {
      if (!isGiven(clientId)) {
        return isGiven(topicFilter) ? core.view.subscriptionsWith(topicFilter) : core.view.subscriptions();
      }
      const session = core.findSession(clientId);
      if (session === undefined) return oneOrNone<SubscriptionView>(null);
      return core.view.subscriptionsOf(session, topicFilter ?? null);
    };
    return this.#pages.take('subscriptions', walk, request);
  }

  /** Those whose topics the filter matches; all by default. */
  async retained(request: PageRequest & RetainedFilter = {}): Promise<Page<RetainedView>> {
    const { topicFilter = null } = request;
    if (topicFilter !== null) checkFilter(topicFilter);
    return this.#pages.take('retained', () => this.#context.core.view.retained(topicFilter), request);
  }

  /** Subscriptions that a message to this topic matches, and whose clients may have it. */
  async subscribers(topic: string, request?: PageRequest): Promise<Page<SubscriberView>> {
    return this.#pages.take('subscribers', () => this.#context.core.view.subscribers(topic), request);
  }

  /** What waits for a client, in order. Rejects if it has no session. */
  async queue(clientId: string, request?: PageRequest): Promise<Page<QueuedView>> {
    const { core } = this.#context;
    const session = this.#sessionOf(clientId);
    const page = await this.#pages.take(`queue ${session.sid}`, () => core.view.queue(session), request);
    return {
      ...page,
      items: await withTopics(page.items, (after) => core.view.lookAtQueue(session, after, lookBytes)),
    };
  }

  /** What is in flight to a client, in the order of sending, and from it. Rejects if it has no session. */
  async inFlight(clientId: string, request?: PageRequest): Promise<Page<InflightView>> {
    const { core } = this.#context;
    const session = this.#sessionOf(clientId);
    return this.#pages.take(`inflight ${session.sid}`, () => core.view.inFlight(session), request);
  }

  /** Rejects if it has no session. */
  async client(clientId: string): Promise<ClientView> {
    const session = this.#sessionOf(clientId);
    const connection = connectionOf(session);
    const details = this.#context.core.view.details(session);
    return { ...details, connection: connection === null ? null : openConnectionView(connection) };
  }

  #sessionOf(clientId: string): ClientSession {
    return sessionOf(this.#context, clientId);
  }

  tick(): void {
    this.#pages.tick();
  }
}

/** Messages are read from disk to show their topics about so many bytes at a time, and so many times for a page. */
const lookBytes = 1_048_576;
const looksPerPage = 16;

/** `look`: what is on disk behind a message number. Of what is too large together, the last ones stay as they are. */
async function withTopics(
  items: readonly QueuedItem[],
  look: (after: number) => Promise<readonly QueuedLook[]>,
): Promise<QueuedView[]> {
  const onDisk = items.filter(({ topic }) => topic === null);
  const found = new Map<number, QueuedLook>();
  let after = (onDisk[0]?.messageId ?? 0) - 1;
  for (let left = looksPerPage; left > 0 && onDisk.length > 0 && after < onDisk.at(-1)!.messageId; left--) {
    const looked = await look(after);
    if (looked.length === 0) break;
    for (const each of looked) found.set(each.messageId, each);
    after = looked.at(-1)!.messageId;
  }
  return items.map(({ messageId, ...item }) => {
    const { topic, qos } = found.get(messageId) ?? item;
    return { ...item, topic, qos };
  });
}

/** Throws a CommandFailure if there is none. */
export function sessionOf({ core }: BrokerContext, clientId: string): ClientSession {
  const session = core.findSession(clientId);
  if (session !== undefined) return session;
  throw new CommandFailure('not-found', `There is no session of client ${JSON.stringify(clientId)}`);
}

/** Null: its client is away, or lives within the process. */
export function connectionOf(session: ClientSession | undefined): Connection | null {
  const channel = session?.channel ?? null;
  return channel instanceof Connection ? channel : null;
}

/** Throws a RequestError. */
export function checkFilter(topicFilter: string): ParsedFilter {
  const parsed = parseFilter(topicFilter);
  if (parsed !== null) return parsed;
  const message = `expected a topic filter, found ${JSON.stringify(topicFilter)}`;
  throw new RequestError(`topicFilter: ${message}`, [{ at: 'topicFilter', message }]);
}

const isGiven = (wanted: string | null | undefined): wanted is string => wanted !== null && wanted !== undefined;

function* oneOrNone<Item>(item: Item | null): Walk<Item> {
  if (item !== null) yield item;
}

const ofSession = ({ clientId, identity, isConnected, traits }: ClientSession): FilteredClient => ({
  clientId,
  username: identity?.username ?? null,
  address: identity?.remoteAddress ?? null,
  isConnected,
  protocolVersion: traits.version,
});

function ofConnection({ isAnswered, identity, stream, traits }: Connection): FilteredClient {
  const { clientId = null, username = null } = (isAnswered ? identity : null) ?? {};
  const protocolVersion = isAnswered ? traits.version : null;
  return { clientId, username, address: stream.remoteAddress, isConnected: isAnswered, protocolVersion };
}

function* walkConnections(
  connections: Iterable<Connection>,
  isWanted: (connection: Connection) => boolean,
): Walk<ConnectionView> {
  for (const connection of connections) yield isWanted(connection) ? connectionView(connection) : null;
}

function openConnectionView(connection: Connection): ClientView['connection'] {
  const { stream, listener, state, deadlines, heldBytes } = connection;
  const open = state.name === 'open' ? state : null;
  return {
    address: stream.remoteAddress,
    listener,
    transport: stream.kind,
    tls: stream.tlsVersion ?? null,
    connectedAt: open === null || open.connectedAt === 0 ? null : open.connectedAt,
    keepAliveSeconds: deadlines.keepAliveSeconds,
    publishing: open === null ? 0 : open.receiveMaximum - open.receiveQuota,
    isCongested: open?.session.isCongested === true,
    memoryBytes: heldBytes,
  };
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
