/**
 * One run of several brokers with bridges between them, on simulated disks, networks and clocks. The same seed gives
 * the same run. What is published at one must come, once for each way that leads there, to all that bridges lead to.
 */
import { Random } from '../../../scripts/crash/random.ts';
import type { Dial } from '../../../src/bridge/bridge.ts';
import { ReasonCode } from '../../../src/protocol/reason-codes.ts';
import { matches } from '../../../src/protocol/topic.ts';
import { settled, Violation, World } from '../world.ts';
import { Cable } from './cable.ts';
import { type NodeEnd, SimulatedNode, watcher } from './node.ts';
import { copiesOf, drawTopology, filtersToWatch, keyOf, type Topology, topicsAt } from './topology.ts';

export interface BridgedResult {
  readonly seed: number;
  /** Null: everything held. */
  readonly violation: Error | null;
  readonly lines: readonly string[];
  readonly hash: string;
  readonly events: number;
  readonly messages: number;
  readonly topology: Topology;
}

export interface BridgedOptions {
  readonly isTraced?: boolean;
}

export async function runBridged(seed: number, { isTraced = false }: BridgedOptions = {}): Promise<BridgedResult> {
  const run = new Bridged(new Random(seed), isTraced);
  let violation: Error | null = null;
  const onRejection = (error: unknown) => {
    violation ??= error as Error;
  };
  process.on('unhandledRejection', onRejection);
  try {
    await run.play();
  } catch (error) {
    violation = error as Error;
  }
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', onRejection);
  const { world, topology, published } = run;
  const told = { lines: world.lines ?? [], hash: world.hash(), events: world.events, messages: published.length };
  return { seed, violation: violation ?? run.failure, topology, ...told };
}

interface Published {
  readonly key: string;
  readonly broker: number;
  readonly topic: string;
  readonly qos: 1 | 2;
  /** It was promised that it is stored. */
  isTaken: boolean;
}

/** A bridge has its peer, and goes on having it. */
const settleMs = 60_000;
/** By then each bridge has heard what is subscribed to at the last of them. */
const settledMs = 3_000;
/** By then a bridge has found that a silent link is none. */
const silenceMs = 5_000;
const quietMs = 300_000;

class Bridged {
  readonly world: World;
  readonly topology: Topology;
  readonly published: Published[] = [];
  failure: Error | null = null;
  readonly #random: Random;
  readonly #nodes: SimulatedNode[];
  #cables: { readonly cable: Cable; readonly nodes: readonly [SimulatedNode, SimulatedNode] }[] = [];
  readonly #habits: { readonly latencyMs: number; readonly pieces: number };
  /** A broker was killed or lost its power. */
  #hasCrashed = false;
  /** Whether sessions are deleted that have messages for a bridge. */
  readonly #losesWaiting: boolean;
  /** Who has subscribed to something for a while, by name, each with their broker. */
  readonly #guests = new Map<string, SimulatedNode>();
  /** Those that have left. A crash may have brought them back. */
  readonly #formerGuests = new Map<string, SimulatedNode>();
  #guestsSoFar = 0;
  /** What was published before does not count for who watches late. */
  #lateFrom = Number.POSITIVE_INFINITY;
  /** What was published before may be lost with such a session. */
  #promisedFrom = 0;

  constructor(random: Random, isTraced: boolean) {
    this.world = new World(isTraced);
    this.#random = random;
    this.topology = drawTopology(random.fork());
    this.#losesWaiting = random.isLucky(0.15);
    this.#habits = { latencyMs: random.pick([0, 3, 40]), pieces: random.pick([0, 0.3]) };
    const disk = {
      writeMs: random.pick([1, 10, 100]),
      readMs: random.pick([0, 5]),
      slowWrites: random.pick([0, 0.05]),
    };
    const hasSmallSteps = random.isLucky(0.3);
    const workMicroseconds = random.pick([0, 50, 500]);
    this.#nodes = Array.from(
      { length: this.topology.brokers },
      (_, index) =>
        new SimulatedNode({
          ...{ index, disk, hasSmallSteps, workMicroseconds, world: this.world, random: random.fork() },
          bridges: this.topology.edges.filter(({ from }) => from === index).map(({ settings }) => settings),
          watched: this.topology.watched[index]!,
          dial: (node) => this.#dialOf(node),
          failed: (error) => {
            this.failure ??= error;
          },
        }),
    );
    this.world.tell(() =>
      JSON.stringify(this.topology.edges.map(({ from, to, settings }) => ({ from, to, ...settings }))),
    );
  }

  // The network

  #dialOf(from: SimulatedNode): Dial {
    return ({ address, timeoutMs }, accept, failed) => {
      let isOver = false;
      const { world } = this;
      const once = (ms: number, then: () => void) =>
        world.after(
          ms,
          () => {
            if (!isOver) {
              isOver = true;
              then();
            }
          },
          from.life,
        );
      const to = this.#nodes[Number(address.host.slice('broker'.length))]!;
      if (this.#random.isLucky(0.05)) once(timeoutMs, () => failed(new Error('no connection in time')));
      else {
        once(this.#random.between(0, this.#habits.latencyMs), () => {
          if (!to.isUp) return failed(new Error('connect ECONNREFUSED'));
          this.#connect(from, to, accept);
        });
      }
      return () => {
        isOver = true;
      };
    };
  }

  #connect(from: SimulatedNode, to: SimulatedNode, accept: Parameters<Dial>[1]): void {
    const cable = new Cable({
      ...{ world: this.world, random: this.#random.fork(), habits: this.#habits },
      ...{ lives: [from.life, to.life], names: [from.name, to.name] },
    });
    this.#cables = this.#cables.filter((each) => !each.cable.isOver);
    this.#cables.push({ cable, nodes: [from, to] });
    const [own, far] = cable.ends;
    own.receiver = accept(own);
    far.receiver = to.broker!.accept(far, 'sim');
    if (far.receiver === null) far.destroy();
  }

  // A run

  async play(): Promise<void> {
    for (const node of this.#nodes) await node.start();
    await this.#until('all bridges connect', settleMs, () => this.#areConnected);
    await this.#runFor(1_500);
    for (let steps = this.#random.between(20, 60); steps > 0; steps--) {
      await this.#step();
      await this.#runFor(this.#random.pick([0, 5, 50, 400]));
    }
    await this.#finish();
  }

  get #areSilentAtPeers(): boolean {
    return this.topology.edges.every(({ to, settings }) => this.#nodes[to]!.filtersOf(settings.clientId!).length === 0);
  }

  get #areConnected(): boolean {
    return this.#nodes.every((node) => node.isUp && node.all.every(({ isSubscribed }) => isSubscribed));
  }

  async #runFor(ms: number): Promise<void> {
    await this.world.runUntil(this.world.time + ms, () => this.failure !== null);
    if (this.failure !== null) throw this.failure;
  }

  async #until(what: string, ms: number, isSo: () => boolean): Promise<void> {
    const end = this.world.time + ms;
    while (!isSo()) {
      if (this.world.time >= end) throw new Violation(what, `not within ${ms / 1_000} s`);
      await this.#runFor(100);
    }
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const node = random.pick(this.#nodes);
    const what = random.fraction();
    if (what < 0.6) return this.#publish(node, random.between(1, 6));
    if (what < 0.72) return this.#harm();
    if (what < 0.8) return this.#restart(node);
    if (what < 0.86) return this.#disturbDisk(node);
    if (what < 0.92) return this.#pauseOrResume(node);
    if (what < 0.96 || !this.topology.isNarrow) return this.#deleteSession();
    this.#changeGuests(node);
  }

  #changeGuests(node: SimulatedNode): void {
    const [clientId, at] = [...this.#guests][0] ?? [];
    if (at?.isUp === true && this.#random.isLucky(0.4)) {
      this.#guests.delete(clientId!);
      this.#formerGuests.set(clientId!, at);
      return at.leave(clientId!);
    }
    if (!node.isUp) return;
    const name = `guest${++this.#guestsSoFar}`;
    this.#guests.set(name, node);
    node.guest(name, this.#random.pick(filtersToWatch));
  }

  #publish(node: SimulatedNode, times: number): void {
    const topics = topicsAt(this.topology, node.index);
    if (!node.isUp || topics.length === 0) return;
    for (; times > 0; times--) {
      const qos = this.#random.pick([1, 2] as const);
      const topic = this.#random.pick(topics);
      const message: Published = { key: `${this.published.length}`, broker: node.index, topic, qos, isTaken: false };
      this.published.push(message);
      this.world.tell(() => `${node.name}: publishes ${message.key} to ${topic}, QoS ${qos}`);
      const { life } = node;
      node.broker!.publish(topic, { payload: Buffer.from(message.key), qos }).then(
        ({ reasonCode }) => {
          if (!life.isOver && reasonCode === ReasonCode.Success) message.isTaken = true;
        },
        () => {},
      );
    }
  }

  #harm(): void {
    const alive = this.#cables.filter(({ cable }) => !cable.isOver);
    if (alive.length === 0) return;
    const { cable, nodes } = this.#random.pick(alive);
    const isCut = this.#random.isLucky(0.7);
    this.world.tell(() => `${nodes[0].name} to ${nodes[1].name}: ${isCut ? 'cut' : 'silent'}`);
    if (isCut) cable.cut();
    else cable.isSilent = true;
  }

  async #restart(node: SimulatedNode): Promise<void> {
    const random = this.#random;
    if (!node.isUp) return;
    const isBoth = random.isLucky(0.2);
    const ends = isBoth ? this.#nodes.filter(({ isUp }) => isUp) : [node];
    for (const each of ends) {
      const how = random.pick<NodeEnd>(['clean', 'kill', 'power cut']);
      this.#hasCrashed ||= how !== 'clean' || each.disk.state !== 'takes';
      const cables = this.#cables.flatMap(({ cable, nodes }) => cable.ends.filter((_, i) => nodes[i] === each));
      await each.end(how, cables);
      if (this.failure !== null) throw this.failure;
    }
    await this.#runFor(random.pick([0, 100, 3_000]));
    for (const each of ends) await this.#startAgain(each);
  }

  async #startAgain(node: SimulatedNode): Promise<void> {
    node.disk.state = 'takes';
    node.disk.forgetMarks();
    await node.start();
  }

  #disturbDisk(node: SimulatedNode): void {
    const state = this.#random.pick(['refuses', 'hangs'] as const);
    this.world.tell(() => `${node.name}: the disk ${state}`);
    node.disk.state = state;
    this.world.after(this.#random.between(50, 3_000), () => {
      this.world.tell(() => `${node.name}: the disk takes writes`);
      node.disk.state = 'takes';
    });
  }

  #pauseOrResume(node: SimulatedNode): void {
    if (!node.isUp || node.all.length === 0) return;
    const bridge = this.#random.pick(node.all);
    this.world.tell(() => `${node.name}: ${bridge.state === 'stopped' ? 'resumes' : 'pauses'} ${bridge.name}`);
    if (bridge.state === 'stopped') node.bridges!.resume(bridge.name);
    else node.bridges!.pause(bridge.name);
  }

  #deleteSession(): void {
    const { to, settings } = this.#random.pick(this.topology.edges);
    const node = this.#nodes[to]!;
    const hasWaiting = settings.topics.some(({ direction }) => direction !== 'out');
    if (!node.isUp || node.disk.state !== 'takes' || (hasWaiting && !this.#losesWaiting)) return;
    node.deleteSession(settings.clientId!);
  }

  // The end of a run

  async #finish(): Promise<void> {
    this.world.tell(() => '--- the end: all is well');
    for (const node of this.#nodes) {
      node.disk.state = 'takes';
      if (!node.isUp) await this.#startAgain(node);
    }
    for (const node of this.#nodes) for (const bridge of node.all) node.bridges!.resume(bridge.name);
    await this.#runFor(silenceMs);
    await this.#until('all bridges connect', settleMs, () => this.#areConnected);
    if (this.#losesWaiting) this.#promisedFrom = this.published.length;
    if (this.topology.isNarrow) await this.#watchLate();
    for (const node of this.#nodes) this.#publish(node, 3);
    let before = '';
    let quiet = 0;
    await this.#until('it becomes quiet in the end', quietMs, () => {
      const now = this.#nodes.map(({ traffic }) => traffic).join(' ');
      quiet = now === before ? quiet + 1 : 0;
      before = now;
      return quiet >= 50 && this.#areConnected && this.#nodes.every(({ waiting }) => waiting === 0);
    });
    await settled();
    await this.#check();
    if (this.topology.isNarrow) await this.#leave();
  }

  async #watchLate(): Promise<void> {
    for (const [at, node] of this.#nodes.entries()) node.watchAlso(this.topology.watchedLate[at]!);
    await this.#runFor(settledMs);
    this.#lateFrom = this.published.length;
  }

  /** Nobody wants anything any more: so do no bridges, whatever ring they are in. */
  async #leave(): Promise<void> {
    for (const [clientId, node] of [...this.#formerGuests, ...this.#guests]) node.leave(clientId);
    for (const node of this.#nodes) node.leave(watcher);
    await this.#until(
      'no bridge keeps what nobody wants',
      settleMs,
      () => this.#nodes.every(({ filtersOut }) => filtersOut.length === 0) && this.#areSilentAtPeers,
    );
  }

  async #check(): Promise<void> {
    for (const node of this.#nodes) {
      if (node.quarantined > 0) throw new Violation('what fits everywhere is not put aside', `${node.name} has some`);
      this.#checkNode(node.index, await node.arrivals());
    }
  }

  #checkNode(broker: number, arrivals: readonly { topic: string; payload: string; qos: number }[]): void {
    const counts = new Map<string, number>();
    for (const { topic, payload } of arrivals) {
      const key = `${topic} ${payload}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const newest = new Map<string, number>();
    const seen = new Set<string>();
    for (const { topic, payload } of arrivals) {
      const message = this.published[Number(payload)]!;
      const copies = copiesOf(this.topology, message.broker, message.topic, message.qos).get(keyOf(broker, topic));
      const told = `${payload} (QoS ${message.qos}, from broker${message.broker}) at broker${broker} under ${topic}`;
      if (copies === undefined) throw new Violation('nothing goes where no bridge leads', told);
      if (copies.count > 1 || seen.has(`${topic} ${payload}`)) continue;
      seen.add(`${topic} ${payload}`);
      const stream = `${topic} ${message.broker} ${message.topic} ${message.qos}`;
      const last = newest.get(stream) ?? -1;
      if (Number(payload) < last) throw new Violation('messages keep their order', `${told}, after ${last}`);
      newest.set(stream, Number(payload));
    }
    for (const { key, topic, qos, isTaken, broker: origin } of this.published) {
      for (const copies of copiesOf(this.topology, origin, topic, qos).values()) {
        if (copies.broker !== broker || !this.#isWatched(broker, copies.topic, Number(key))) continue;
        const count = counts.get(`${copies.topic} ${key}`) ?? 0;
        const told = `${key} (QoS ${qos}, from broker${origin}) at broker${broker} under ${copies.topic}`;
        const isPromised = isTaken && Number(key) >= this.#promisedFrom;
        const ways = `${count} times, over ${copies.count} ways`;
        // Of several ways, a broker may be told of the shorter one only, on which it is itself.
        const least = this.topology.isNarrow ? 1 : copies.count;
        if (isPromised && count < least) throw new Violation('nothing is lost', `${told}: ${ways}`);
        // A broker on the way may send a message of QoS 1 on before it has stored it, and get it again after a crash.
        const mayRepeat = this.#hasCrashed && copies.hops > 1 && copies.qos === 1;
        if (count > copies.count && !mayRepeat) throw new Violation('nothing comes twice', `${told}: ${ways}`);
      }
    }
  }

  #isWatched(broker: number, topic: string, message: number): boolean {
    const { watched, watchedLate } = this.topology;
    const isOf = (filters: readonly string[]) => filters.some((filter) => matches(filter, topic));
    return isOf(watched[broker]!) || (message >= this.#lateFrom && isOf(watchedLate[broker]!));
  }
}
