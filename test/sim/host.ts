/** The broker's process in one run: started, closed, killed, without power, and started again on what the disk has. */
import type { Random } from '../../scripts/crash/random.ts';
import { Deadline } from '../../src/base/deadline.ts';
import { Scheduler } from '../../src/base/scheduler.ts';
import { Broker } from '../../src/broker/broker.ts';
import type { Connection } from '../../src/broker/connection.ts';
import type { AuthenticationAnswer, AuthenticationRequest, Awaitable, Hooks } from '../../src/contracts/hooks.ts';
import type { Log } from '../../src/contracts/log.ts';
import { type SessionStore, StoreError } from '../../src/contracts/session-store.ts';
import { partsOf } from '../../src/core/core.ts';
import type { Pipelines } from '../../src/pipeline/pipelines.ts';
import { LevelStore } from '../../src/store/level/level-store.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import type { SimulatedDisk } from './disk.ts';
import type { Judge } from './judge.ts';
import { Wire } from './network.ts';
import { aPipeline } from './pipeline.ts';
import { watchChunks, watchCore } from './probe.ts';
import type { Profile } from './profile.ts';
import { listenRudely, PlantedError, RudeError, senselessHooks } from './program.ts';
import { checkRestored } from './state.ts';
import { type Life, settled, Violation, type World } from './world.ts';

/** The limit of an orderly stop, and what the broker may take beyond it for closing a disk that does not answer. */
const stopMs = 10_000;
const lastChanceMs = 1_500;

export class Host {
  broker: Broker | null = null;
  life: Life = { isOver: true };
  isUp = false;
  /** It is being closed, and tells its clients. */
  isClosing = false;
  /** What went wrong where nobody could throw it. */
  failure: Error | null = null;
  readonly #world: World;
  readonly #judge: Judge;
  readonly #profile: Profile;
  readonly #random: Random;
  readonly #disk: SimulatedDisk;
  #pipelines: Pipelines | null = null;

  constructor(judge: Judge, random: Random, disk: SimulatedDisk) {
    this.#judge = judge;
    this.#world = judge.world;
    this.#profile = judge.profile;
    this.#random = random;
    this.#disk = disk;
  }

  /** What is wrong is thrown into the broker otherwise, which would take it for its own bug. */
  guard(look: () => void): void {
    try {
      look();
    } catch (error) {
      this.failure ??= error as Error;
    }
  }

  async start(): Promise<void> {
    const { settings, durability, pipeline, hasRudeListeners } = this.#profile;
    const life = { isOver: false };
    this.life = life;
    this.#disk.belongTo(life);
    this.#disk.forgetMarks();
    this.#disk.isInstant = true;
    const timers = this.#world.timersOf(life);
    const log: Log = { debug() {}, info() {}, warn() {}, error: (fields, message) => this.#onError(fields, message) };
    const store =
      durability === 'none'
        ? new MemoryStore()
        : new LevelStore({
            ...{ directory: 'simulated', durability, topics: [], acceptLoss: false, log, timers, disk: this.#disk },
            ...{ maxCommitDelayMs: this.#profile.maxCommitDelayMs, cacheBytes: this.#profile.cacheBytes },
            ...{ recordsInRow: this.#profile.recordsInRow, unwrittenBytes: settings.limits.unwrittenBytes },
            longListMin: this.#profile.longListMin,
          });
    this.#watchReading(store);
    this.#watchCommits(store);
    this.#pipelines = pipeline === 'none' ? null : aPipeline(pipeline, this.#world, this.#random.fork(), life);
    const broker = new Broker({
      ...{ settings, store, log, clock: this.#world, timers },
      ...(this.#judge.rules !== null && { access: this.#judge.rules.policy }),
      hooks: this.#hooks(life),
      ...(this.#pipelines !== null && { pipeline: this.#pipelines }),
      ...(this.#profile.hasSmallSteps && {
        stepSizes: { copies: 1, storedCopies: 1, answers: 1, timers: 1, subscriptions: 1, records: 1, retained: 1 },
      }),
      randomBytes: (count) => Buffer.from(Array.from({ length: count }, () => this.#random.between(0, 255))),
      scheduler: this.#scheduler(life),
    });
    if (hasRudeListeners) listenRudely(broker.events, this.#random.fork());
    const probe = broker.accept(
      new Wire(this.#world, this.#random, this.#profile.wire, life, 4, 'probe', noEnds),
      'sim',
    );
    const { context } = probe as Connection;
    const { core: door, counters, chunks, connections } = context;
    const core = partsOf(door);
    probe!.onClose(null);
    watchCore(core, broker, this.#judge);
    watchChunks(chunks, this.#judge);
    this.#judge.drops.restarted(context);
    this.#judge.store = store instanceof LevelStore ? store : null;
    this.#judge.restarted(core, counters, connections as ReadonlySet<Connection>);
    this.broker = broker;
    await broker.start();
    this.#disk.isInstant = false;
    this.isUp = true;
    this.isClosing = false;
    this.#judge.wills.afterEvent();
    checkRestored(this.#judge);
    this.#world.tell(() => 'broker: started');
  }

  /**
   * Work takes time here as the clock is read: a few microseconds or, in some runs, up to half of what a client may
   * take of a round.
   */
  #scheduler(life: Life): Scheduler {
    const random = this.#random.fork();
    const most = this.#profile.workMicroseconds;
    let now = 0;
    // Where messages go to some at a time, more can come in between, and the process can end.
    const isSlow = () => this.#profile.hasSmallSteps && random.isLucky(0.3);
    return new Scheduler({
      // Never nothing: a step that always has more to do would not come to the end of its round.
      clock: () => (now += most === 0 ? 1 : random.between(0, most)),
      afterArrivals: (run) => this.#world.after(isSlow() ? random.between(1, 5) : 0, run, life),
      ...(this.#profile.hasSmallSteps && { packetsPerCheck: 1 }),
    });
  }

  #hooks(life: Life): Hooks {
    const { authentication, hasSenselessHooks } = this.#profile;
    return {
      ...(authentication !== 'none' && { authenticate: (request) => this.#authenticate(request, life) }),
      ...(hasSenselessHooks && senselessHooks(this.#world, this.#random.fork(), life)),
    };
  }

  /** Everybody may come in, at once or a little later. */
  #authenticate({ client }: AuthenticationRequest, life: Life): Awaitable<AuthenticationAnswer> {
    const answer = { outcome: 'accept', username: client.clientId } as const;
    if (this.#profile.authentication === 'sync' || this.#random.isLucky(0.3)) return answer;
    const ms = this.#random.between(0, 200);
    return new Promise((resolve) => this.#world.after(ms, () => resolve(answer), life));
  }

  /** Promises that follow one another without end would stop the simulation as they would stop the broker. */
  #watchReading(store: SessionStore): void {
    const read = store.readDeliveries.bind(store);
    let empty = 0;
    store.readDeliveries = (sid, after, bytesMax, done) => {
      read(sid, after, bytesMax, (deliveries, damaged) => {
        empty = deliveries.length + damaged.messages > 0 ? 0 : empty + 1;
        if (empty < 50) return done(deliveries, damaged);
        this.failure ??= new Violation(
          'the broker comes to rest',
          `it asks the store again and again for session ${sid}`,
        );
      });
    };
  }

  #watchCommits(store: SessionStore): void {
    const commit = store.commit.bind(store);
    store.commit = (done) => {
      commit(() => {
        this.#judge.commits++;
        done();
      });
    };
  }

  #onError(fields: object, message: string): void {
    this.#world.tell(() => `broker: error: ${message} ${JSON.stringify(fields)}`);
    if (/^cannot write to the data directory|^the disk does not answer/.test(message)) return;
    const { err, hook } = fields as { err?: Error; hook?: string };
    if (err instanceof RudeError || err instanceof PlantedError) return;
    if (hook !== undefined && this.#profile.hasSenselessHooks) return;
    this.failure ??=
      err instanceof Violation
        ? err
        : new Violation('no error in the log', `${message}: ${err?.stack ?? JSON.stringify(fields)}`);
  }

  async stop(how: 'clean' | 'kill' | 'power cut'): Promise<void> {
    this.#judge.drops.check();
    // If the disk does not take everything in time, a stop is like a crash.
    const isOrderly = how === 'clean' && (await this.#close());
    this.isUp = false;
    this.life.isOver = true;
    const judge = this.#judge;
    const crash = () => (how === 'power cut' ? this.#disk.cutPower() : this.#disk.kill());
    const { durability } = this.#profile;
    const written = isOrderly ? judge.mark : crash();
    const mark = durability === 'none' ? { ...written, entries: 0 } : written;
    this.#world.tell(() => `broker: ${how}; the disk has ${mark.entries} of ${judge.log.length} decisions`);
    for (const link of judge.links) link.wire.lost();
    judge.links.clear();
    judge.rewind(mark, isOrderly);
    if (durability === 'none') judge.decisions.forgetRecords();
  }

  async startAgain(): Promise<void> {
    this.#disk.state = 'takes';
    this.#judge.reopened();
    await this.start();
  }

  /** As `startApp` does, whatever the disk is like. False: it has not taken everything. */
  async #close(): Promise<boolean> {
    const since = this.#world.time;
    const deadline = new Deadline(stopMs, this.#world.timersOf(this.life).every);
    const at: { outcome: 'written' | 'not written' | null } = { outcome: null };
    this.isClosing = true;
    const failed = (error: Error) => {
      at.outcome = 'not written';
      if (!(error instanceof StoreError && error.code === 'not_written')) this.failure ??= error;
    };
    this.broker!.close({ closePipeline: async () => this.#pipelines?.close(), deadline }).then(() => {
      at.outcome = 'written';
    }, failed);
    while (at.outcome === null) {
      if (this.#world.time > since + stopMs + lastChanceMs)
        throw new Violation('the broker closes in the end', `it has not within ${stopMs / 1000} s, its limit`);
      await this.#world.runUntil(this.#world.time + 100, () => at.outcome !== null || this.failure !== null);
      await settled();
      if (this.failure !== null) throw this.failure;
    }
    this.#judge.wills.afterEvent();
    if (this.#disk.state !== 'takes' && this.#profile.durability !== 'none') return false;
    if (at.outcome !== 'written')
      throw new Violation('an orderly stop writes everything', 'though the disk takes writes');
    this.#judge.wills.checkStopped();
    return true;
  }
}

const noEnds = {
  ...{ onWritten() {}, onPacket() {}, onGone() {}, onEnded() {} },
  ...{ beforeArrival: () => null, afterArrival() {} },
};
