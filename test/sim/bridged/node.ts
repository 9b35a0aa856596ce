/** One of several brokers in a run, with its bridges: started, stopped, killed, without power, and started again. */
import type { Random } from '../../../scripts/crash/random.ts';
import { Deadline } from '../../../src/base/deadline.ts';
import { Scheduler } from '../../../src/base/scheduler.ts';
import type { Bridge, Dial } from '../../../src/bridge/bridge.ts';
import { Bridges } from '../../../src/bridge/bridges.ts';
import { filtersOfLanes } from '../../../src/bridge/lanes.ts';
import { Broker } from '../../../src/broker/broker.ts';
import type { BrokerContext } from '../../../src/broker/broker-context.ts';
import type { Connection } from '../../../src/broker/connection.ts';
import type { BridgeSettings } from '../../../src/contracts/bridge-settings.ts';
import type { Log } from '../../../src/contracts/log.ts';
import { type MessagePipeline, noPipeline } from '../../../src/contracts/pipeline.ts';
import { type BrokerSettings, defaultSettings } from '../../../src/contracts/settings.ts';
import { type ClientSession, neverExpires } from '../../../src/core/client-session.ts';
import { ReasonCode } from '../../../src/protocol/reason-codes.ts';
import { parseFilter } from '../../../src/protocol/topic.ts';
import { traitsOf } from '../../../src/protocol/traits.ts';
import { LevelStore } from '../../../src/store/level/level-store.ts';
import { type DiskHabits, SimulatedDisk } from '../disk.ts';
import { type Life, settled, Violation, type World } from '../world.ts';
import type { CableEnd } from './cable.ts';

export type NodeEnd = 'clean' | 'kill' | 'power cut';

export interface NodeOptions {
  readonly index: number;
  readonly world: World;
  readonly random: Random;
  readonly disk: DiskHabits;
  readonly bridges: readonly BridgeSettings[];
  /** What the watcher subscribes to. */
  readonly watched: readonly string[];
  readonly hasSmallSteps: boolean;
  readonly workMicroseconds: number;
  readonly dial: (node: SimulatedNode) => Dial;
  readonly failed: (error: Error) => void;
}

/** Away all the time: what comes waits for it, and is looked at in the end. */
export const watcher = 'watcher';
const stopMs = 10_000;
const settings: BrokerSettings = {
  ...defaultSettings,
  sysIntervalSeconds: 0,
  limits: { ...defaultSettings.limits, queueMessages: 1_000_000, queueBytes: 1_000_000_000 },
};

export class SimulatedNode {
  readonly index: number;
  readonly disk: SimulatedDisk;
  life: Life = { isOver: true };
  broker: Broker | null = null;
  bridges: Bridges | null = null;
  isUp = false;
  readonly #options: NodeOptions;
  #context: BrokerContext | null = null;
  #store: LevelStore | null = null;

  constructor(options: NodeOptions) {
    const { index, world, random, disk } = options;
    this.index = index;
    this.#options = options;
    const mark = { entries: 0, without: new Set<number>() };
    this.disk = new SimulatedDisk(world, random.fork(), disk, () => mark);
  }

  get name(): string {
    return `broker${this.index}`;
  }

  async start(): Promise<void> {
    const { world, random, hasSmallSteps, dial } = this.#options;
    const life = { isOver: false };
    this.life = life;
    this.disk.belongTo(life);
    this.disk.isInstant = true;
    const timers = world.timersOf(life);
    const log: Log = { debug() {}, info() {}, warn() {}, error: (fields, message) => this.#onError(fields, message) };
    const store = new LevelStore({
      ...{ directory: 'simulated', durability: 'sync', topics: [], acceptLoss: false, log, timers, disk: this.disk },
      ...{ maxCommitDelayMs: 0, cacheBytes: 10_000 },
    });
    const broker = new Broker({
      ...{ settings, store, log, clock: world, timers },
      ...(hasSmallSteps && { stepSizes: { copies: 1, storedCopies: 1, answers: 1, timers: 1, records: 1 } }),
      randomBytes: (count) => Buffer.from(Array.from({ length: count }, () => random.between(0, 255))),
      scheduler: this.#scheduler(life),
      pipeline: this.#pipeline(life),
    });
    const bridges = broker.attach((context) => {
      this.#context = context;
      return new Bridges(context, { dial: dial(this), quarantine: store.quarantine, environment: {} });
    });
    [this.broker, this.bridges, this.#store] = [broker, bridges, store];
    await broker.start();
    this.disk.isInstant = false;
    this.#watch();
    await bridges.start(this.#options.bridges);
    this.isUp = true;
    world.tell(() => `${this.name}: started`);
  }

  /** One for bridges, which takes its time. */
  #pipeline(life: Life): MessagePipeline {
    const { world, random: all } = this.#options;
    const random = all.fork();
    const keep = { verdict: 'keep' } as const;
    return {
      ...noPipeline,
      hasForBridges: () => true,
      overBridge: () => {
        if (random.isLucky(0.5)) return keep;
        return new Promise((resolve) => world.after(random.between(0, 50), () => resolve(keep), life));
      },
    };
  }

  #scheduler(life: Life): Scheduler {
    const { world, hasSmallSteps, workMicroseconds } = this.#options;
    const random = this.#options.random.fork();
    let now = 0;
    const isSlow = () => hasSmallSteps && random.isLucky(0.3);
    return new Scheduler({
      clock: () => (now += workMicroseconds === 0 ? 1 : random.between(0, workMicroseconds)),
      afterArrivals: (run) => world.after(isSlow() ? random.between(1, 5) : 0, run, life),
      ...(hasSmallSteps && { packetsPerCheck: 1 }),
    });
  }

  #onError(fields: object, message: string): void {
    this.#options.world.tell(() => `${this.name}: error: ${message} ${JSON.stringify(fields)}`);
    if (/^cannot write to the data directory|^the disk does not answer/.test(message)) return;
    const { err } = fields as { err?: Error };
    this.#options.failed(
      err instanceof Violation
        ? err
        : new Violation('no error in the log', `${message}: ${err?.stack ?? JSON.stringify(fields)}`),
    );
  }

  #watch(): void {
    if (this.#watcher !== undefined) return;
    this.#comeAndGo(watcher, this.#options.watched);
  }

  /** A session that stays subscribes to these as well. */
  #comeAndGo(clientId: string, filters: readonly string[]): void {
    const { core } = this.#context!;
    this.#context!.advanceClock();
    const { session } = core.connect({
      ...{ clientId, clean: false, expirySeconds: neverExpires, traits: traitsOf[5] },
      ...{ receiveMaximum: 65_535, packetBytesMax: Number.POSITIVE_INFINITY, will: null, identity: null, channel: {} },
    });
    const options = { qos: 2, noLocal: false, retainAsPublished: true, retainHandling: 2, identifier: 0 } as const;
    for (const filter of filters) {
      core.subscribe(session, filter, parseFilter(filter, settings.limits)!, { ...options, subscriberClass: null });
    }
    core.disconnected(session, false);
  }

  watchAlso(filters: readonly string[]): void {
    this.#options.world.tell(() => `${this.name}: ${filters.join(', ')} is watched as well`);
    this.#comeAndGo(watcher, filters);
  }

  /** Somebody who subscribes to something, until they go. */
  guest(clientId: string, filter: string): void {
    this.#options.world.tell(() => `${this.name}: ${clientId} subscribes to ${filter}`);
    this.#comeAndGo(clientId, [filter]);
  }

  /** A guest, or the watcher. */
  leave(clientId: string): void {
    const { core } = this.#context!;
    this.#context!.advanceClock();
    const session = core.findSession(clientId);
    if (session === undefined) return;
    this.#options.world.tell(() => `${this.name}: ${clientId} leaves`);
    core.endSession(session);
  }

  /** What a session has subscribed to. */
  filtersOf(clientId: string): string[] {
    return [...(this.#context!.core.findSession(clientId)?.subscriptions.keys() ?? [])];
  }

  /** What its bridges send on. */
  get filtersOut(): string[] {
    return this.all.flatMap(({ name, session }) => [
      ...this.filtersOf(session!.clientId),
      ...filtersOfLanes(this.#context!, name, session!.clientId),
    ]);
  }

  get #watcher(): ClientSession | undefined {
    return this.#context!.core.findSession(watcher);
  }

  /** All that has come, in its order: topic and payload. */
  async arrivals(): Promise<{ topic: string; payload: string; qos: number }[]> {
    const found: { topic: string; payload: string; qos: number }[] = [];
    for (let after = 0; ; ) {
      let page: Awaited<ReturnType<LevelStore['lookAtDeliveries']>> | null = null;
      this.#store!.lookAtDeliveries(this.#watcher!.sid, after, 1_000_000).then((read) => {
        page = read;
      });
      await this.#options.world.runUntil(this.#options.world.time + 10_000, () => page !== null);
      if (page === null || (page as readonly unknown[]).length === 0) return found;
      for (const { message } of page as Awaited<ReturnType<LevelStore['lookAtDeliveries']>>) {
        found.push({ topic: message.topic.name, payload: message.payload.toString(), qos: message.qos });
        after = message.id;
      }
    }
  }

  get quarantined(): number {
    return this.#store!.quarantine.count;
  }

  get all(): Bridge[] {
    return [...this.bridges!];
  }

  /** Changes while anything goes over its bridges, or waits for that. */
  get traffic(): string {
    return this.all.map((each) => `${each.view().messagesOut} ${each.view().messagesIn} ${each.view().skipped}`).join();
  }

  get waiting(): number {
    return this.all.reduce((sum, each) => sum + each.view().queued + each.view().inFlight, 0);
  }

  /** As the command `sessions delete` does. */
  deleteSession(clientId: string): void {
    const { core } = this.#context!;
    this.#context!.advanceClock();
    const session = core.sessionOf(clientId);
    if (session === undefined) return;
    this.#options.world.tell(() => `${this.name}: session ${clientId} is deleted`);
    if (!session.isConnected) return core.endSession(session);
    session.expirySeconds = 0;
    (session.channel as Connection).end(ReasonCode.AdministrativeAction, 'the session is deleted', true);
  }

  async end(how: NodeEnd, cables: readonly CableEnd[]): Promise<void> {
    const { world } = this.#options;
    const isOrderly = how === 'clean' && (await this.#close());
    this.isUp = false;
    this.life.isOver = true;
    if (!isOrderly) how === 'power cut' ? this.disk.cutPower() : this.disk.kill();
    world.tell(() => `${this.name}: ${how}${how === 'clean' && !isOrderly ? ', which the disk did not let' : ''}`);
    for (const end of cables) if (!end.isClosed) end.lost(how === 'power cut');
  }

  async #close(): Promise<boolean> {
    const { world, failed } = this.#options;
    const deadline = new Deadline(stopMs, world.timersOf(this.life).every);
    let outcome: 'written' | 'not written' | null = null;
    this.broker!.close({ deadline }).then(
      () => (outcome = 'written'),
      () => (outcome = 'not written'),
    );
    const since = world.time;
    while (outcome === null && world.time < since + stopMs + 2_000) {
      await world.runUntil(world.time + 100, () => outcome !== null);
      await settled();
    }
    if (outcome === null) failed(new Violation('the broker closes in the end', `${this.name} does not`));
    return (outcome as string | null) === 'written';
  }
}
