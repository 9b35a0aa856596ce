/** Commands about one client: what it has, and its end. */
import type { CommandHandlers } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { ClientSession } from '../core/client-session.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { BrokerContext } from './broker-context.ts';
import type { Connection } from './connection.ts';
import type { StoreWaits } from './store-waits.ts';
import { type BrokerView, connectionOf, sessionOf } from './view.ts';

/** Messages of a queue that are dropped in one step. */
const purgedPerStep = 100;
const why = 'disconnected by an operator';

export function clientHandlers(context: BrokerContext, view: BrokerView, stored: StoreWaits) {
  return {
    'clients show': ({ clientId }) => view.client(clientId),
    'clients timeline': async ({ clientId }) => ({ items: context.journal.timelines.list(clientId) }),
    'inflight list': ({ clientId, ...request }) => view.inFlight(clientId, request),
    async 'clients disconnect'({ clientId, publishWill }) {
      const session = await changeable(context, stored, clientId);
      const connection = networkConnectionOf(session);
      if (connection === null) return { wasConnected: false };
      const { staged } = context.store;
      await endConnection(connection, publishWill);
      await stored.whenStored(null, staged);
      return { wasConnected: true };
    },
    async 'sessions delete'({ clientId }) {
      const session = await changeable(context, stored, clientId);
      const connection = networkConnectionOf(session);
      const { staged } = context.store;
      if (connection === null) context.core.endSession(session);
      else {
        // Nobody can come back to it in between.
        session.expirySeconds = 0;
        await endConnection(connection, true);
      }
      await stored.whenStored(null, staged);
      return { wasConnected: connection !== null };
    },
    async 'queue purge'({ clientId }) {
      const session = await changeable(context, stored, clientId);
      const { queuedMessages } = context.core.view.session(session);
      return { count: await purge(context, session, queuedMessages) };
    },
  } satisfies Partial<CommandHandlers>;
}

/** The session of a client, once the disk takes changes to it. Rejects with a CommandFailure. */
export async function changeable(context: BrokerContext, stored: StoreWaits, clientId: string): Promise<ClientSession> {
  sessionOf(context, clientId);
  await takesChanges(context, stored);
  return sessionOf(context, clientId);
}

/** Resolves once the disk takes changes. Rejects with a CommandFailure if it refuses them. */
export async function takesChanges({ storeHealth, advanceClock }: BrokerContext, stored: StoreWaits): Promise<void> {
  if (storeHealth.isFailing) throw new CommandFailure('unavailable', 'The broker cannot write to its disk');
  await stored.storeKeepsUp();
  advanceClock();
}

/** Null: it is away. Throws a CommandFailure for a client within the process. */
function networkConnectionOf(session: ClientSession): Connection | null {
  const connection = connectionOf(session);
  if (connection !== null || !session.isConnected) return connection;
  throw new CommandFailure('conflict', 'This client lives within the process of the broker: its program closes it');
}

/** What the client has published before reaches everybody first. */
async function endConnection(connection: Connection, publishesWill: boolean): Promise<void> {
  connection.guard(() => connection.end(ReasonCode.AdministrativeAction, why, publishesWill));
  if (!connection.isClosing) await new Promise<void>((resolve) => connection.pendingPublish.whenDone(resolve));
}

/** What comes meanwhile stays, as far as the limits of the queue let it. */
function purge({ core, sink, advanceClock }: BrokerContext, session: ClientSession, most: number): Promise<number> {
  let count = 0;
  return new Promise((resolve) => {
    sink.storing(() => {
      advanceClock();
      const wanted = Math.min(purgedPerStep, most - count);
      const dropped = wanted > 0 ? core.purgeQueue(session, wanted) : 0;
      count += dropped;
      if (dropped > 0 && dropped === wanted && count < most) return true;
      resolve(count);
      return false;
    });
  });
}
