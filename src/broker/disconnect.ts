/** Ends connections that somebody has chosen, in steps, since there may be very many. */
import type { ReasonCode } from '../protocol/reason-codes.ts';
import type { BrokerContext } from './broker-context.ts';
import type { Connection } from './connection.ts';

/** Looks in one step: ending a connection takes some microseconds. */
const looksPerStep = 16;

/** Those that are open by now. Resolves with how many there were. */
export function disconnectWhere(
  { scheduler, boundary }: BrokerContext,
  connections: Iterable<Connection>,
  isMeant: (connection: Connection) => boolean,
  reasonCode: ReasonCode,
  why: string,
): Promise<number> {
  const walk = connections[Symbol.iterator]();
  let count = 0;
  return new Promise((resolve) => {
    scheduler.jobs.queueBackground(() => {
      for (let i = 0; i < looksPerStep; i++) {
        const { value: connection, done } = walk.next();
        if (done || boundary.isBroken) {
          resolve(count);
          return false;
        }
        if (connection.isClosing || !isMeant(connection)) continue;
        count++;
        connection.guard(() => connection.end(reasonCode, why));
      }
      return true;
    });
  });
}
