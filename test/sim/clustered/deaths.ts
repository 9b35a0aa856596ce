/**
 * Nodes that die, or stand still for so long that others take them for dead: at any time, while a session moves, and
 * while others take in what a dead node has left behind. Some come anew in their place.
 */
import type { Random } from '../../../scripts/crash/random.ts';
import type { MemoryServers } from '../../../src/cluster/memory/engine.ts';
import type { World } from '../world.ts';
import type { SimulatedNode } from './node.ts';

export interface DeathsOptions {
  readonly world: World;
  readonly random: Random;
  readonly servers: MemoryServers;
  readonly nodes: readonly SimulatedNode[];
  /** Another node comes in. */
  readonly startNode: () => void;
}

/** In one run. */
const mostDeaths = 3;
/** An engine finds out that late, at most, that a process is gone. */
const unnoticedMsMax = 8_000;
const lateAtLast = 0.5;
/** Others see no change of its record for longer than they wait. */
const longPauseMs = [5_500, 9_000] as const;

export class Deaths {
  readonly #options: DeathsOptions;
  #left: number;
  /** Nodes that stand still count as dead for who dies next: there must be an heir. */
  readonly #paused = new Set<SimulatedNode>();
  #hasEnded = false;

  constructor(options: DeathsOptions) {
    this.#options = options;
    this.#left = options.random.isLucky(0.7) ? options.random.between(1, mostDeaths) : 0;
  }

  get living(): readonly SimulatedNode[] {
    return this.#options.nodes.filter((node) => node.isAlive);
  }

  /** It stands still for long. */
  isPaused(node: SimulatedNode): boolean {
    return this.#paused.has(node);
  }

  /** From time to time. */
  maybe(): void {
    if (this.#options.random.isLucky(0.12)) this.#strike(this.#any());
  }

  /** A client has just begun to connect to this node, which may have to fetch its session. */
  clientCame(node: SimulatedNode): void {
    const { random, world } = this.#options;
    if (this.#left === 0 || !random.isLucky(0.05)) return;
    const victim = random.isLucky(0.5) ? node : this.#any();
    world.after(random.between(0, 60), () => this.#strike(victim));
  }

  end(): void {
    this.#hasEnded = true;
  }

  #any(): SimulatedNode | undefined {
    const { living } = this;
    return living[this.#options.random.between(0, living.length - 1)];
  }

  #strike(victim: SimulatedNode | undefined): void {
    const others = this.living.filter((each) => each !== victim && !this.#paused.has(each));
    if (victim === undefined || !victim.isAlive || others.length === 0 || this.#left === 0 || this.#hasEnded) return;
    this.#left--;
    const { random, world, startNode } = this.#options;
    if (random.isLucky(0.3)) this.#pauseForLong(victim);
    else this.#kill(victim);
    if (random.isLucky(0.5)) world.after(random.between(10, 6_000), () => this.#hasEnded || startNode());
    if (random.isLucky(0.5)) this.#whenDeclared(victim, () => this.#strike(this.#any()));
  }

  #kill(victim: SimulatedNode): void {
    const { random, world, servers } = this.#options;
    const die = () => {
      // Meanwhile others may have died: one of them must live.
      if (!victim.isAlive || !this.living.some((each) => each !== victim && !this.#paused.has(each))) return;
      world.tell(() => `${victim.name}: dies`);
      victim.die(random.isLucky(0.5) ? 0 : random.between(1, unnoticedMsMax));
    };
    if (random.isLucky(0.5)) return die();
    // What it asks for last arrives when others have its sessions.
    const { faults } = servers;
    const before = faults.lateRequest;
    faults.lateRequest = lateAtLast;
    world.after(random.between(50, 500), () => {
      if (!this.#hasEnded) faults.lateRequest = before;
      die();
    });
  }

  #pauseForLong(victim: SimulatedNode): void {
    const { random, world, servers } = this.#options;
    world.tell(() => `${victim.name}: stands still for long`);
    servers.pause(victim.name);
    this.#paused.add(victim);
    world.after(random.between(...longPauseMs), () => {
      world.tell(() => `${victim.name}: goes on`);
      this.#paused.delete(victim);
      if (!victim.isKilled) servers.resume(victim.name);
    });
  }

  /** Others know of its death, and are about to take in its sessions. */
  #whenDeclared(victim: SimulatedNode, then: () => void): void {
    const { random, world } = this.#options;
    const look = () => {
      if (this.#hasEnded) return;
      const isDeclared = this.living.some(({ cluster }) => cluster.membership.nodes.get(victim.name)?.state === 'dead');
      if (isDeclared) world.after(random.between(0, 60), then);
      else world.after(5, look);
    };
    look();
  }
}
