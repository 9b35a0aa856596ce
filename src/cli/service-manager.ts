/**
 * Tells systemd, for a unit with `Type=notify`: that the broker takes clients, that it stops, and that it is alive
 * (`WatchdogSec=`). Elsewhere nothing happens.
 *
 * Node has no datagrams of Unix sockets, so `systemd-notify` sends them (`NotifyAccess=all`). The shell that runs it is
 * made once, while this process is small: making a process out of a large one stops its event loop.
 */
import { type ChildProcess, spawn } from 'node:child_process';

export interface ServiceManager {
  /** The start is over. */
  ready(status: string): void;
  /** The stop has begun; nobody is told any more that this process is alive. */
  stopping(): void;
}

const none: ServiceManager = { ready: () => {}, stopping: () => {} };

/** Ends when this process has gone. A line is one message, as sd_notify(3) has it. */
const script = 'while read -r line; do systemd-notify "$line"; done';

/** `environment`: NOTIFY_SOCKET and WATCHDOG_USEC, as systemd sets them. */
export function serviceManager(environment: Readonly<Record<string, string | undefined>>): ServiceManager {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, PATH } = environment;
  if (NOTIFY_SOCKET === undefined) return none;
  const sender = spawn('sh', ['-c', script], { stdio: ['pipe', 'ignore', 'inherit'], env: { NOTIFY_SOCKET, PATH } });
  // Without it systemd ends the start when its time is up, and says so.
  sender.on('error', () => {});
  sender.stdin.on('error', () => {});
  keepNobody(sender);
  let watchdog: NodeJS.Timeout | undefined;
  const send = (line: string) => sender.stdin.write(`${line}\n`);
  return {
    ready(status) {
      send('READY=1');
      send(`STATUS=${status}`);
      const aliveMs = Number(WATCHDOG_USEC) / 1_000 / 3;
      if (aliveMs > 0) watchdog = setInterval(() => send('WATCHDOG=1'), aliveMs).unref();
    },
    stopping() {
      clearInterval(watchdog);
      send('STOPPING=1');
      sender.stdin.end();
    },
  };
}

/** Neither the child nor its pipe keeps this process alive. */
function keepNobody(sender: ChildProcess): void {
  sender.unref();
  (sender.stdin as unknown as { unref?(): void }).unref?.();
}
