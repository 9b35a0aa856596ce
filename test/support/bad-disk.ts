/**
 * LevelDB on a disk that refuses writes, or hangs: then a write neither succeeds nor fails until the disk is well
 * again.
 *
 *     const disk = new BadDisk();
 *     const broker = await brokerOn(disk);
 *     disk.mood = 'refusing';
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Broker } from '../../src/broker/broker.ts';
import type { AccessPolicy } from '../../src/contracts/access.ts';
import { type Log, silentLog } from '../../src/contracts/log.ts';
import { type BrokerSettings, defaultSettings } from '../../src/contracts/settings.ts';
import { listen } from '../../src/net/listen.ts';
import { type Disk, type KeyValues, levelDisk, type OpenOptions } from '../../src/store/level/disk.ts';
import { LevelStore } from '../../src/store/level/level-store.ts';
import { type ConnectOptions, WireClient } from './wire-client.ts';

export type Mood = 'well' | 'refusing' | 'hanging';

export class BadDisk implements Disk {
  #mood: Mood = 'well';
  #hanging: (() => void)[] = [];
  /** Writes that were begun, whatever became of them. */
  writes = 0;

  get mood(): Mood {
    return this.#mood;
  }

  /** What hangs goes on when the disk is well again, and fails when it refuses. */
  set mood(mood: Mood) {
    this.#mood = mood;
    if (mood === 'hanging') return;
    for (const goOn of this.#hanging.splice(0)) goOn();
  }

  async open(options: OpenOptions): Promise<KeyValues> {
    const db = await levelDisk.open(options);
    return {
      get: (key) => db.get(key),
      getMany: (keys) => db.getMany(keys),
      put: (key, value, how) => this.#write(() => db.put(key, value, how)),
      del: (key, how) => this.#write(() => db.del(key, how)),
      iterator: (range) => db.iterator(range),
      close: () => db.close(),
      batch: () => {
        const batch = db.batch();
        return {
          put: (key, value) => batch.put(key, value),
          del: (key) => batch.del(key),
          write: (how) => this.#write(() => batch.write(how)),
        };
      },
    };
  }

  async #write(write: () => Promise<void>): Promise<void> {
    this.writes++;
    if (this.#mood === 'hanging') await new Promise<void>((resolve) => this.#hanging.push(resolve));
    if (this.#mood === 'refusing') throw new Error('no space left on device');
    return write();
  }
}

/** A broker on this disk, in a fresh directory. */
export interface BrokerOnDisk {
  readonly broker: Broker;
  readonly store: LevelStore;
  readonly port: number;
  readonly directory: string;
  connect(options?: ConnectOptions): Promise<WireClient>;
  /** Closes the broker, which may fail, and removes the directory. */
  dispose(): Promise<void>;
}

export interface OnDiskOptions {
  readonly settings?: Partial<BrokerSettings>;
  readonly access?: AccessPolicy;
  readonly log?: Log;
  /** Default: the listeners' own. */
  readonly unwrittenBytes?: number;
}

export async function brokerOn(disk: BadDisk, options: OnDiskOptions = {}): Promise<BrokerOnDisk> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-disk-'));
  const { log = silentLog } = options;
  const settings = { ...defaultSettings, sysIntervalSeconds: 0, ...options.settings };
  const { unwrittenBytes } = settings.limits;
  const how = { durability: 'sync', topics: [], maxCommitDelayMs: 0, cacheBytes: 0, acceptLoss: false } as const;
  const store = new LevelStore({ ...how, directory, unwrittenBytes, log, disk });
  const broker = new Broker({
    settings,
    store,
    log,
    ...(options.access === undefined ? {} : { access: options.access }),
  });
  await broker.start();
  const listener = await listen(
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
    (url) => (stream) => broker.accept(stream, url),
  );
  return {
    broker,
    store,
    directory,
    port: listener.port,
    connect: (how) => WireClient.connect(listener.port, how),
    async dispose() {
      disk.mood = 'well';
      await listener.close();
      await broker.close().catch(() => {});
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
