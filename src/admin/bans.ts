/** What carries out commands about bans. */
import type { Ban, BanList, SharedBans } from '../contracts/bans.ts';
import { addressOfBans } from '../contracts/commands/access.ts';
import type { CommandHandlers } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';

type Handlers = Pick<CommandHandlers, 'bans list' | 'bans create' | 'bans clear'>;

const addressOf = (given: string | null) => (given === null ? null : addressOfBans(given));

/** While the servers of a cluster do not answer, whoever asks is not kept longer. */
const sharedMs = 3_000;

/** `shared`: null where the broker is in no cluster. */
export function banHandlers(list: BanList, shared: SharedBans | null = null): Handlers {
  return {
    'bans list': async () => ({ bans: list.bans() }),
    async 'bans create'({ address, user, client, disconnect, ...wanted }) {
      if ((address === null && user === null && client === null) || (user !== null && client !== null)) {
        throw new CommandFailure('conflict', 'A ban is of an address, a user or a client, of the last two only one');
      }
      const ban = list.ban({ ...wanted, address: addressOf(address), user, client });
      if (ban === null) throw new CommandFailure('conflict', 'There are too many bans of operators; clear some first');
      const disconnected = disconnect ? await list.disconnectBanned(ban) : 0;
      await inTime(shared?.add(ban, disconnect), 'The ban holds at this node');
      return { ban, disconnected };
    },
    async 'bans clear'({ address, user, client }) {
      if (address === null && user === null && client === null) {
        throw new CommandFailure('conflict', 'Which bans? Name an address, a user or a client, or say all');
      }
      const whom = { address: address === 'all' ? null : addressOf(address), user, client };
      await inTime(shared?.refresh(), 'No ban is lifted');
      const bans: readonly Ban[] = list.bansOf(whom);
      const count = list.clearBans(whom);
      await inTime(shared?.lift(bans), 'The bans are lifted at this node');
      return { count };
    },
  };
}

async function inTime(work: Promise<void> | undefined, done: string): Promise<void> {
  if (work === undefined) return;
  let late: NodeJS.Timeout | undefined;
  const isLate = new Promise<'late'>((resolve) => {
    late = setTimeout(resolve, sharedMs, 'late');
  });
  const silent = `${done}; other nodes will know it only if the servers of the cluster, which do not answer, still get it`;
  try {
    if ((await Promise.race([work, isLate])) === 'late') throw new CommandFailure('unavailable', silent);
  } catch (cause) {
    if (cause instanceof CommandFailure) throw cause;
    throw new CommandFailure('unavailable', `${done}, and other nodes do not know it: ${(cause as Error).message}`, {
      cause,
    });
  } finally {
    clearTimeout(late);
    // Who waited for it has been told.
    work.catch(() => {});
  }
}
