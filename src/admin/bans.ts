/** What `sluice bans` asks of a running broker. */
import type { BanList } from '../contracts/bans.ts';
import { addressOfBans } from '../contracts/commands/access.ts';
import type { CommandHandlers } from '../contracts/commands.ts';

export function banHandlers(list: BanList): Pick<CommandHandlers, 'bans list' | 'bans clear'> {
  return {
    'bans list': async () => ({ bans: list.bans() }),
    'bans clear': async ({ address }) => ({
      count: list.clearBans(address === 'all' ? null : addressOfBans(address)),
    }),
  };
}
