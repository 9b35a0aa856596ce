/** `sluice bans`: the bans of a running broker. */
import { printable } from '../base/printable.ts';
import type { Ban } from '../contracts/bans.ts';
import type { Io } from './io.ts';
import { callBroker, runningBroker, runningHelp, runningOptions } from './running.ts';
import { CommandError, readOptions } from './usage.ts';

const help = `sluice bans list             addresses and users that are banned, until when and why
sluice bans clear ADDRESS    lift the bans of this address, and of users from it
sluice bans clear all        lift all bans

${runningHelp}  --json            a line of JSON per ban, for list
`;

const options = {
  ...runningOptions,
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

export async function bans(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('bans', argv, options);
  const { stdout } = io;
  if (values.help) return void stdout.write(help);
  const broker = runningBroker(values, io);
  const [action, address, ...more] = positionals;
  if (action === 'list' && address === undefined) {
    const { bans: found } = await callBroker(broker, 'bans list', {});
    for (const ban of found) stdout.write(`${values.json ? JSON.stringify(ban) : banLine(ban)}\n`);
    if (found.length === 0 && !values.json) stdout.write('Nobody is banned\n');
    return;
  }
  if (action === 'clear' && address !== undefined && more.length === 0) {
    const request = { address: address === 'all' ? null : address };
    const { count } = await callBroker(broker, 'bans clear', request);
    return void stdout.write(`${count} let in again\n`);
  }
  throw new CommandError('Use: sluice bans list, or sluice bans clear ADDRESS; see sluice bans --help', 2);
}

function banLine({ address, user, client, why, until }: Ban): string {
  const whom = user !== null ? `, user "${printable(user)}"` : client !== null ? `, client "${printable(client)}"` : '';
  return `${address}${whom}  until ${new Date(until).toISOString()}: ${why}`;
}
