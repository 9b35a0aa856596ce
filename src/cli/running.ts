/** For commands to a running broker. */
import { callControl } from '../admin/control.ts';
import { type CommandAnswer, type CommandName, type CommandRequest, checkedRequest } from '../contracts/commands.ts';
import { CommandError } from './usage.ts';

/** Says what is wrong with the request, or what to do if no broker runs on this data directory. */
export async function callBroker<Name extends CommandName>(
  directory: string,
  name: Name,
  request: CommandRequest<Name>,
  otherwise = '',
): Promise<CommandAnswer<Name>> {
  try {
    checkedRequest(name, request);
  } catch (error) {
    throw new CommandError((error as Error).message, 2);
  }
  try {
    return await callControl(directory, name, request);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ECONNREFUSED') throw new CommandError(message);
    throw new CommandError(`No broker is running on ${directory}; name its --data-dir${otherwise}`);
  }
}
