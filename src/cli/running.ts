/** For commands to a running broker. */
import { CommandError } from './usage.ts';

/** Says what to do if no broker runs on this data directory. */
export async function callBroker(directory: string, call: () => Promise<string>, otherwise = ''): Promise<string> {
  try {
    return await call();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ECONNREFUSED') throw new CommandError(message);
    throw new CommandError(`No broker is running on ${directory}; name its --data-dir${otherwise}`);
  }
}
