/**
 * A broker that is no node of the simulated cluster, and lives through the whole run: a bridge of the cluster takes all
 * messages there, and brings what is published there. Its connections break off at any time.
 */
import type { Random } from '../../../scripts/crash/random.ts';
import { Scheduler } from '../../../src/base/scheduler.ts';
import type { Dial } from '../../../src/bridge/bridge.ts';
import { Broker } from '../../../src/broker/broker.ts';
import type { MemoryServers } from '../../../src/cluster/memory/engine.ts';
import { bridge } from '../../../src/contracts/bridge-settings.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { Cable } from '../bridged/cable.ts';
import type { Life, World } from '../world.ts';
import { whileAwake } from './node.ts';

export const beyondName = 'beyond';
/** What is published beyond to `in` comes to `a/in`. */
const bridgeToBeyond = bridge.parse({
  ...{ name: 'out', addresses: ['mqtt://beyond'], clientId: 'the-bridge', queue: { whenFull: 'drop-oldest' } },
  ...{ connectTimeoutSeconds: 3, keepAliveSeconds: 5, reconnect: { minimumMs: 100, maximumMs: 1_000 } },
  topics: [
    { filter: 'in', direction: 'in', localPrefix: 'a/', qos: 2 },
    { filter: 'a/#', direction: 'out', qos: 2 },
  ],
});

export class BrokerBeyond {
  /** Of each node of the cluster. */
  readonly bridges = [bridgeToBeyond];
  /** What has come, in its order, and what was published: topic and payload. */
  readonly got: string[] = [];
  readonly sent: string[] = [];
  readonly qos: 1 | 2;
  readonly #world: World;
  readonly #servers: MemoryServers;
  readonly #random: Random;
  readonly #broker: Broker;
  readonly #life: Life = { isOver: false };
  #cables: { readonly cable: Cable; readonly node: string }[] = [];

  constructor(world: World, servers: MemoryServers, random: Random) {
    this.#world = world;
    this.#servers = servers;
    this.#random = random;
    this.qos = random.isLucky(0.5) ? 1 : 2;
    const timers = world.timersOf(this.#life);
    let now = 0;
    this.#broker = new Broker({
      settings: { ...defaultSettings, sysIntervalSeconds: 0 },
      ...{ store: new MemoryStore(), clock: world, timers },
      randomBytes: (count) => Buffer.from(Array.from({ length: count }, () => random.between(0, 255))),
      scheduler: new Scheduler({ clock: () => ++now, afterArrivals: (run) => timers.after(0, run) }),
    });
  }

  async start(): Promise<void> {
    await this.#broker.start();
    const note = ({ topic, payload }: { topic: string; payload: Buffer }) => void this.got.push(`${topic} ${payload}`);
    this.#broker.subscribe('a/#', note);
  }

  publish(): void {
    const payload = `${beyondName}:${this.sent.length + 1}`;
    this.sent.push(`a/in ${payload}`);
    void this.#broker.publish('in', { payload: Buffer.from(payload), qos: this.qos });
  }

  dialOf(node: string): Dial {
    return ({ timeoutMs }, accept, failed) => {
      let isOver = false;
      const later = (ms: number, run: () => void) => {
        const whenAwake = () => this.#servers.whenAwake(node, () => isOver || run());
        this.#world.after(ms, whenAwake);
      };
      if (this.#random.isLucky(0.1)) later(timeoutMs, () => failed(new Error('no connection in time')));
      else later(this.#random.between(0, 20), () => this.#connect(node, accept));
      return () => {
        isOver = true;
      };
    };
  }

  #connect(node: string, accept: Parameters<Dial>[1]): void {
    const cable = new Cable({
      ...{ world: this.#world, random: this.#random.fork(), habits: { latencyMs: 20, pieces: 0.1 } },
      ...{ lives: [this.#life, this.#life], names: [node, beyondName] },
    });
    this.#cables = this.#cables.filter((each) => !each.cable.isOver);
    this.#cables.push({ cable, node });
    const [own, far] = cable.ends;
    const receiver = accept(own);
    own.receiver = receiver === null ? null : whileAwake(this.#servers, node, receiver);
    far.receiver = this.#broker.accept(far, 'sim');
    if (far.receiver === null) far.destroy();
  }

  /** Connections break off. */
  cut(): void {
    this.#world.tell(() => 'the link of the bridge is cut');
    for (const { cable } of this.#cables) cable.cut();
  }

  /** The process at the other end is gone. */
  died(node: string): void {
    for (const each of this.#cables) if (each.node === node) each.cable.ends[0].lost(false);
  }
}
