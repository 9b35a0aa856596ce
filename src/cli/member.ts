/**
 * One of the nodes that `sluice start --nodes` has started, in its own process. That process tells it to stop, so that
 * signals that reach all of them, by Ctrl-C or a service manager, do not count twice.
 */
import cluster from 'node:cluster';

/** For the node: its number, and of how many, as `2/4`. It is no setting, so its name is not that of one. */
export const memberVariable = '_SLUICE_NODE';

/** What the process that started the nodes tells them. */
export type ToMember = 'stop' | 'endAtOnce' | 'reload';

/** A node among those that `sluice start --nodes` has started. */
export interface Member {
  /** From 1. */
  readonly number: number;
  readonly of: number;
  /** It takes clients from now on. */
  tellStarted(started: FromMember): void;
  /** It has stopped: nothing of the process that started it keeps this one. */
  leave(): void;
}

/** Where it listens. */
export interface FromMember {
  readonly listeners: readonly string[];
  readonly adminListeners: readonly string[];
}

export interface MemberProcess extends Member {
  onStop(listener: () => void): () => void;
  onReload(listener: () => void): () => void;
}

/** Null: this process is none. */
export function memberOf(environment: Readonly<Record<string, string | undefined>>): MemberProcess | null {
  const [number = 0, of = 0] = (environment[memberVariable] ?? '').split('/').map(Number);
  const { worker } = cluster;
  if (worker === undefined || number === 0) return null;
  // Else Node ends this process at once when the other one has gone.
  worker.exitedAfterDisconnect = true;
  const signals = ['SIGINT', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, () => {});
  return {
    number,
    of,
    tellStarted: (started) => void process.send?.(started),
    leave() {
      if (process.connected) process.disconnect();
    },
    onStop(listener) {
      let isStopping = false;
      const stop = () => {
        if (!isStopping) listener();
        isStopping = true;
      };
      const told = (message: ToMember) => {
        if (message === 'stop') stop();
        if (message === 'endAtOnce') listener();
      };
      process.on('SIGTERM', stop).on('message', told).on('disconnect', stop);
      return () => void process.off('SIGTERM', stop).off('message', told).off('disconnect', stop);
    },
    onReload(listener) {
      const told = (message: ToMember) => {
        if (message === 'reload') listener();
      };
      process.on('message', told);
      return () => void process.off('message', told);
    },
  };
}
