/**
 * A broker on LevelDB that can be killed in this process: its store is dropped as it is, and the next broker starts on
 * what is on disk at that moment.
 *
 *     const broker = await KillableBroker.start({ limits: { inflight: 2 } });
 *     …
 *     await broker.kill(); // or broker.stop()
 *     await broker.startAgain();
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock, systemTimers, type Timers } from '../../src/base/clock.ts';
import { Broker } from '../../src/broker/broker.ts';
import { silentLog } from '../../src/contracts/log.ts';
import { type BrokerSettings, defaultSettings, type Limits } from '../../src/contracts/settings.ts';
import type { ByteStream } from '../../src/contracts/transport.ts';
import { listen } from '../../src/net/listen.ts';
import { type Disk, type KeyValues, levelDisk } from '../../src/store/level/disk.ts';
import { LevelStore } from '../../src/store/level/level-store.ts';
import { type ConnectOptions, WireClient } from './wire-client.ts';

export interface KillableOptions {
  readonly limits?: Partial<Limits>;
  readonly settings?: Partial<BrokerSettings>;
  readonly clock?: Clock;
  /** False: nothing happens because time passes, so there is no commit but at the end of a turn. */
  readonly hasTicks?: boolean;
}

/** One run of the process: after its end nothing of it reaches the disk. */
class Run {
  isOver = false;
  readonly streams: ByteStream[] = [];
  database: KeyValues | null = null;

  readonly disk: Disk = {
    open: async (options) => {
      const db = await levelDisk.open(options);
      this.database = db;
      const never = new Promise<never>(() => {});
      return {
        get: (key) => db.get(key),
        getMany: (keys) => (this.isOver ? never : db.getMany(keys)),
        put: (key, value, how) => (this.isOver ? never : db.put(key, value, how)),
        del: (key, how) => (this.isOver ? never : db.del(key, how)),
        iterator: (range) => db.iterator(range),
        close: () => db.close(),
        batch: () => {
          if (this.isOver) return { put() {}, del() {}, write: () => never };
          const batch = db.batch();
          return {
            put: (key, value) => this.isOver || batch.put(key, value),
            del: (key) => this.isOver || batch.del(key),
            write: (how) => (this.isOver ? never : batch.write(how)),
          };
        },
      };
    },
  };

  timers(hasTicks: boolean): Timers {
    return {
      after: (ms, run) => systemTimers.after(ms, () => this.isOver || run()),
      every: (ms, run) => (hasTicks ? systemTimers.every(ms, () => this.isOver || run()) : () => {}),
    };
  }
}

export class KillableBroker {
  broker!: Broker;
  store!: LevelStore;
  readonly #directory: string;
  readonly #options: KillableOptions;
  #run: Run | null = null;
  #listener: Awaited<ReturnType<typeof listen>> | null = null;

  private constructor(directory: string, options: KillableOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  static async start(options: KillableOptions = {}): Promise<KillableBroker> {
    const started = new KillableBroker(await mkdtemp(join(tmpdir(), 'sluice-kill-')), options);
    await started.startAgain();
    return started;
  }

  get directory(): string {
    return this.#directory;
  }

  get port(): number {
    return this.#listener!.port;
  }

  async startAgain(): Promise<void> {
    const { limits, settings, clock = systemClock, hasTicks = true } = this.#options;
    const run = new Run();
    this.#run = run;
    const timers = run.timers(hasTicks);
    const durability = {
      durability: 'sync',
      topics: [],
      maxCommitDelayMs: 0,
      cacheBytes: 0,
      acceptLoss: false,
    } as const;
    this.store = new LevelStore({ ...durability, directory: this.#directory, log: silentLog, timers, disk: run.disk });
    const all = { ...defaultSettings, sysIntervalSeconds: 0, ...settings };
    const bounded = { ...all, limits: { ...all.limits, ...limits } };
    this.broker = new Broker({ settings: bounded, store: this.store, clock, timers });
    await this.broker.start();
    this.#listener = await listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, (url) => (stream) => {
      run.streams.push(stream);
      return this.broker.accept(stream, url);
    });
  }

  /** As SIGKILL: what was being written may be there, and nothing else that was not. */
  async kill(): Promise<void> {
    const run = this.#run!;
    run.isOver = true;
    this.#run = null;
    await this.#listener!.close();
    for (const stream of run.streams) stream.destroy();
    await run.database!.close();
  }

  /** In good order. */
  async stop(): Promise<void> {
    await this.broker.close();
    this.#run = null;
    await this.#listener!.close();
  }

  async restart(how: 'kill' | 'stop'): Promise<void> {
    await this[how]();
    await this.startAgain();
  }

  async remove(): Promise<void> {
    if (this.#run !== null) await this.stop();
    await rm(this.#directory, { recursive: true });
  }

  connect(options: ConnectOptions = {}): Promise<WireClient> {
    return WireClient.connect(this.port, options);
  }
}
