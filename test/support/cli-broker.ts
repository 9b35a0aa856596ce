/** A broker on a data directory of its own for the tests of one file, and the commands of `sluice` to it. */

import { run } from '../../src/cli/run.ts';
import type { ConfigInput, Hooks } from '../../src/index.ts';
import { type TestBroker, testBroker } from './broker.ts';
import { FakeIo, sluice } from './fake-io.ts';

export interface CliBroker extends TestBroker {
  /** Runs a command to its end: its exit code, and what it writes. */
  ask(...argv: string[]): Promise<string>;
  /** The same with both outputs apart. */
  tell(...argv: string[]): Promise<{ code: number; out: string; err: string }>;
  /** One that goes on until it ends or is told to. */
  begin(...argv: string[]): { io: FakeIo; code: Promise<number> };
}

/** Called once in a file, outside of its tests. */
export function cliBroker(config: ConfigInput = {}, hooks?: Hooks): CliBroker {
  const broker = testBroker({ sysIntervalSeconds: 0, ...config }, hooks, 'level');
  const toIt = (argv: readonly string[]) => [...argv, '--data-dir', broker.directory];
  const tell = (...argv: string[]) => sluice(...toIt(argv));
  return Object.create(broker, {
    tell: { value: tell },
    ask: {
      value: async (...argv: string[]) => {
        const { code, out, err } = await tell(...argv);
        return `${code} ${out}${err}`;
      },
    },
    begin: {
      value: (...argv: string[]) => {
        const io = new FakeIo();
        return { io, code: run(toIt(argv), io) };
      },
    },
  }) as CliBroker;
}
