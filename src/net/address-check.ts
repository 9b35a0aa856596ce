/**
 * Whether an address can be listened on, found without listening there: whoever waits for the port, or connects again,
 * would find it open and then closed.
 */
import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import type { ListenerAddress } from '../contracts/listener-url.ts';

type InetAddress = Exclude<ListenerAddress, { readonly kind: 'unix' }>;

/** A machine that drops what it sends to itself never tells. The address is bound by then. */
const answerMsMax = 1_000;
const loopbacks: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/**
 * What `listen` would fail with, or null. A socket is bound to the address, which is what may fail, and connects to
 * itself, which no other process sees: Node binds only on the way to something else.
 */
export async function problemOf({ host, port }: InetAddress): Promise<NodeJS.ErrnoException | null> {
  let address: string;
  try {
    address = (await lookup(host)).address;
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
  const socket = connect({ host: loopbacks[address] ?? address, port, localAddress: address, localPort: port });
  return new Promise((resolve) => {
    const settle = (problem: NodeJS.ErrnoException | null): void => {
      // It would keep the port for a minute if it were closed.
      socket.resetAndDestroy();
      resolve(problem);
    };
    socket.setTimeout(answerMsMax, () => settle(null));
    socket.once('connect', () => settle(null));
    socket.on('error', (problem: NodeJS.ErrnoException) => settle(isOfBinding(problem) ? problem : null));
  });
}

/** libuv tells of a port that is taken when the socket connects. */
const isOfBinding = ({ syscall, code }: NodeJS.ErrnoException): boolean => syscall === 'bind' || code === 'EADDRINUSE';

export const taken = (): NodeJS.ErrnoException =>
  Object.assign(new Error('listen EADDRINUSE: address already in use'), { code: 'EADDRINUSE' });

/** Whether two listeners of one configuration want the same port: their sockets could both be bound to it. */
export function clash(one: InetAddress, other: ListenerAddress): boolean {
  if (other.kind === 'unix' || one.port === 0 || one.port !== other.port) return false;
  return one.host === other.host || one.host in loopbacks || other.host in loopbacks;
}
