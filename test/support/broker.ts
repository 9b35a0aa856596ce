/**
 * A broker for the tests of one file, in this process, on ports of its own.
 *
 *     const broker = testBroker({ limits: { receiveMaximum: 2 } });
 *     broker.both('… [MQTT5 3.1.0-2] [MQTT3 3.1.0-2]', async (version) => { … });
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, test } from 'vitest';
import { type ConfigInput, createBroker, type Hooks, type SluiceBroker } from '../../src/index.ts';
import { type ConnectOptions, WireClient } from './wire-client.ts';

export interface TestBroker {
  /** The running broker; only within tests. */
  readonly sluice: SluiceBroker;
  readonly port: number;
  /** Of its data; empty: it has none. */
  readonly directory: string;
  connect(options?: ConnectOptions): Promise<WireClient>;
  open(version?: 3 | 4 | 5): Promise<WireClient>;
  /** The same test for 3.1.1 and 5.0, whose statements differ in number only. */
  both(title: string, run: (version: 4 | 5) => Promise<void>): void;
}

/** `kind`: where its data is; a fresh directory with `level`. */
export function testBroker(config: ConfigInput = {}, hooks?: Hooks, kind: 'memory' | 'level' = 'memory'): TestBroker {
  let directory = '';
  let sluice: SluiceBroker | null = null;
  beforeAll(async () => {
    if (kind === 'level') directory = await mkdtemp(join(tmpdir(), 'sluice-test-'));
    const store = kind === 'level' ? { kind, directory } : { kind };
    sluice = await createBroker({
      config: { listeners: [{ kind: 'tcp', port: 0 }], log: { level: 'silent' }, store, ...config },
      ...(hooks === undefined ? {} : { hooks }),
    });
  });
  afterAll(async () => {
    await sluice?.close();
    if (directory !== '') await rm(directory, { recursive: true });
  });
  const broker: TestBroker = {
    get sluice() {
      return sluice!;
    },
    get directory() {
      return directory;
    },
    get port() {
      return sluice!.listeners[0]!.port;
    },
    connect: (options) => WireClient.connect(broker.port, options),
    open: (version) => WireClient.open(broker.port, version),
    both(title, run) {
      for (const version of [4, 5] as const) test(`${title} (${version === 5 ? '5.0' : '3.1.1'})`, () => run(version));
    },
  };
  return broker;
}
