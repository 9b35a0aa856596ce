/** What `sluice bans` asks of a running broker. */
import type { BanList } from '../contracts/bans.ts';
import type { Handlers } from './control.ts';

export function banHandlers(list: BanList): Handlers {
  return {
    /** A line of JSON, an array of `Ban`. */
    async 'bans list'() {
      return JSON.stringify(list.bans());
    },
    /** The argument: an address, or nothing for all. */
    async 'bans clear'(argument) {
      return String(list.clearBans(argument === '' ? null : argument));
    },
  };
}
