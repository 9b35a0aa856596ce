import { socketBeside, socketIn } from '../admin/control-socket.ts';
import { isServed } from '../base/socket-file.ts';

/** Whether a broker with this data directory takes commands. */
export function takesCommands(directory: string, isInMemory: boolean): Promise<boolean> {
  let path: string;
  try {
    path = isInMemory ? socketBeside(directory) : socketIn(directory);
  } catch {
    return Promise.resolve(false);
  }
  return isServed(path);
}
