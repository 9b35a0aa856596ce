/**
 * A broker on a data directory of its own, anew for each test of a file, which the test can stop and start again on it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { type ConfigInput, createBroker, type SluiceBroker } from '../../src/index.ts';
import { type ConnectOptions, WireClient } from './wire-client.ts';

export interface RestartableBroker {
  readonly port: number;
  /** Stops it as an operator would, and starts it again. */
  restart(): Promise<void>;
  /** A client of MQTT 5 whose session stays. */
  connect(clientId: string, options?: ConnectOptions): Promise<WireClient>;
}

/** Called once in a file, outside of its tests. */
export function restartableBroker(config: Pick<ConfigInput, 'limits'> = {}): RestartableBroker {
  let directory = '';
  let broker: SluiceBroker | null = null;
  const start = async () => {
    const store = { kind: 'level', directory } as const;
    const listeners = [{ kind: 'tcp', port: 0 }] as const;
    broker = await createBroker({ config: { ...config, listeners: [...listeners], log: { level: 'silent' }, store } });
  };
  const port = () => broker!.listeners[0]!.port;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sluice-restart-'));
    await start();
  });
  afterEach(async () => {
    await broker?.close();
    await rm(directory, { recursive: true });
  });
  return {
    get port() {
      return port();
    },
    async restart() {
      await broker!.close();
      await start();
    },
    connect(clientId, options = {}) {
      const properties = { sessionExpiryInterval: 1_000 };
      return WireClient.connect(port(), { version: 5, clientId, clean: false, properties, ...options });
    },
  };
}
