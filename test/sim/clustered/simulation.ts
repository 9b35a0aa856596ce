/**
 * Several whole brokers as nodes of one cluster, over the engine in memory: clients that publish, subscribe, break off
 * and connect to another node, while requests and answers are lost, late and doubled, leaders change, and nodes stand
 * still, die, and come anew. One seed gives one run.
 *
 * In the end each message must have reached each subscriber: of QoS 2 once, the first arrivals in the order in which
 * they were published; no will may have come twice, and that of a client that is gone for good must have; all nodes
 * must retain the same, and know the same members of shared subscriptions; one node must have each session; and the log
 * must have been purged. What some have subscribed to together must have come to one of them, wherever they were.
 */
import { Random } from '../../../scripts/crash/random.ts';
import { MemoryServers } from '../../../src/cluster/memory/engine.ts';
import { type Faults, noFaults } from '../../../src/cluster/memory/faults.ts';
import { EngineUnavailable } from '../../../src/contracts/cluster-engine.ts';
import { type AckHabit, type ConnectRequest, SimulatedClient } from '../client.ts';
import type { QoS } from '../model.ts';
import { type Packet, Wire } from '../network.ts';
import { type Life, settled, Violation, World } from '../world.ts';
import { BrokerBeyond, beyondName } from './beyond.ts';
import { Deaths } from './deaths.ts';
import { SimulatedNode } from './node.ts';
import { checkMembers, checkSubscriber, checkWills, type Part, willOf } from './subscribers.ts';

/** So long clients publish and move. */
const busyMs = 20_000;
/** Within which a cluster without faults comes to rest. */
const restMs = 120_000;
const habits: readonly AckHabit[] = ['at once', 'late', 'any order', 'never'];
const topics = ['a/b', 'a/c'];
const memberFilter = '$share/members/a/#';

export interface ClusteredOptions {
  readonly isTraced?: boolean;
  /** To a broker that is no node. */
  readonly hasBridge?: boolean;
}

export interface ClusteredResult {
  readonly seed: number;
  readonly violation: Violation | null;
  readonly messages: number;
  /** Sessions that moved. */
  readonly takeovers: number;
  /** Sessions that went from a dead node to another one. */
  readonly adoptions: number;
  /** So many entries of the log are gone. */
  readonly purged: number;
  readonly events: number;
  readonly lines: readonly string[];
  readonly hash: string;
}

class ClusterSimulation {
  readonly world: World;
  readonly #random: Random;
  readonly #servers: MemoryServers;
  readonly #life: Life = { isOver: false };
  readonly #nodes: SimulatedNode[] = [];
  readonly #deaths: Deaths;
  /** To which there is a bridge; null: there is none. */
  readonly #beyond: BrokerBeyond | null;
  #started = 0;
  readonly #parts: Part[] = [];
  /** By subscriber: what its application got, in order. */
  readonly #got = new Map<string, string[]>();
  /** By publisher, the same. */
  readonly #sent = new Map<string, string[]>();
  #isBusy = true;
  #wires = 0;
  /** Where the log was when faults ended. */
  #calmAt = 0;
  #violation: Error | null = null;

  constructor(seed: number, { isTraced = false, hasBridge = false }: ClusteredOptions) {
    this.world = new World(isTraced);
    this.#random = new Random(seed);
    this.#servers = new MemoryServers({
      timers: this.world.timersOf(this.#life),
      random: () => this.#random.fraction(),
      answerMs: 500,
    });
    const ofBridge = new Random(seed + 1);
    this.#beyond = hasBridge ? new BrokerBeyond(this.world, this.#servers, ofBridge) : null;
    this.#deaths = new Deaths({
      ...{ world: this.world, random: this.#random.fork(), servers: this.#servers, nodes: this.#nodes },
      startNode: () => this.#startNode(),
    });
  }

  async run(): Promise<void> {
    await this.#beyond?.start();
    await this.#startNodes(this.#random.between(2, 4));
    this.#makeClients();
    await this.#subscribeAll();
    if (this.#beyond !== null) await this.#until(20_000, () => this.#isBridged);
    this.#plan();
    await this.#until(busyMs);
    this.#calm();
    await this.#until(restMs, () => this.#isAtRest());
    // Nodes look every five seconds for what others have taken; and wills of those whose node has died wait.
    await this.#until(30_000);
    await this.#startLast();
    this.#check();
  }

  get messages(): number {
    return this.#parts.reduce((sum, { published }) => sum + published, 0);
  }

  get takeovers(): number {
    return this.#nodes.reduce((sum, { cluster }) => sum + cluster.takeovers, 0);
  }

  get adoptions(): number {
    return this.#nodes.reduce((sum, { cluster }) => sum + cluster.adoptions, 0);
  }

  get purged(): number {
    return Math.max(...this.#nodes.map(({ cluster }) => cluster.purged));
  }

  async #until(ms: number, isEnough?: () => boolean): Promise<void> {
    await this.world.runUntil(this.world.time + ms, () => this.#violation !== null || isEnough?.() === true);
    if (this.#violation !== null) throw this.#violation;
  }

  async #startNodes(count: number): Promise<void> {
    this.#servers.faults.delayMsMax = 5;
    for (let which = 0; which < count; which++) this.#startNode();
    // What they have begun waits in the world for its time.
    await settled();
    await this.#until(20_000, () => this.#nodes.length === count);
    if (this.#nodes.length < count) throw new Violation('nodes start', `${this.#nodes.length} of ${count} did`);
  }

  #startNode(): void {
    const name = `n${this.#started++}`;
    this.world.tell(() => `${name}: starts`);
    const starting = SimulatedNode.start(name, this.world, this.#servers, this.#random.fork(), this.#beyond);
    starting.then(
      (node) => this.#nodes.push(node),
      (error: Error) => {
        // While the engine has no leader: its process ends.
        if (error instanceof EngineUnavailable) this.#servers.pause(name);
        else this.#violation ??= error;
      },
    );
  }

  /** It has all that is retained by reading the log, of which most is gone. */
  async #startLast(): Promise<void> {
    const before = this.#nodes.length;
    this.#startNode();
    await settled();
    await this.#until(20_000, () => this.#nodes.length > before);
    if (this.#nodes.length === before) throw new Violation('nodes start', 'the last one did not');
  }

  #makeClients(): void {
    const random = this.#random;
    const around = {
      world: this.world,
      onSend: () => {},
      isSameSession: () => true,
      onMessage: () => {},
    };
    const make = (id: string, subscribesQoS: QoS | null, isMember = false): void => {
      // One of them stays a member to the end, and its session outlives its connections.
      const isClean = isMember && id !== 'm1' && random.isLucky(0.4);
      const version = random.isLucky(0.5) ? 4 : 5;
      const got: string[] = [];
      this.#got.set(id, got);
      this.#sent.set(id, []);
      const onMessage = ({ topic, payload }: Packet) => got.push(`${topic} ${payload}`);
      this.#parts.push({
        client: new SimulatedClient(id, random.fork(), { ...around, onMessage, isSameSession: () => !isClean }),
        request: {
          ...{ version, clean: isClean, keepAliveSeconds: 0 },
          expirySeconds: version === 5 && !isClean ? 86_400 : 0,
          ...{ receiveMaximum: random.isLucky(0.5) ? 5 : 65_535, packetBytesMax: 1_000_000, topicAliasMaximum: 0 },
          habit: habits[random.between(0, habits.length - 1)]!,
          ...this.#willOf(id, version),
        },
        ...{ isMember, mustSubscribe: false },
        // QoS 2 that is under way ends with the session of its member. [MQTT5 4.8.2-5]
        subscribesQoS: isClean ? 1 : subscribesQoS,
        publishesQoS: random.between(1, 2) as QoS,
        ...{ isSubscribed: false, wire: null, triedAt: 0, published: 0, connections: 0, will: null },
        goneAt: id.startsWith('g') ? this.world.time + random.between(3_000, busyMs) : Number.POSITIVE_INFINITY,
      });
    };
    for (let which = random.between(2, 4); which > 0; which--) make(`s${which}`, random.between(1, 2) as QoS);
    for (let which = random.between(2, 3); which > 0; which--) make(`p${which}`, null);
    const members = random.isLucky(0.8) ? random.between(2, 4) : 0;
    for (let which = members; which > 0; which--) make(`m${which}`, random.between(1, 2) as QoS, true);
    for (let which = random.between(0, 2); which > 0; which--) make(`g${which}`, null);
  }

  #willOf(id: string, version: 4 | 5): Pick<ConnectRequest, 'will'> {
    const random = this.#random;
    if (!id.startsWith('g') && random.isLucky(0.5)) return { will: null };
    const delaySeconds = version === 5 && random.isLucky(0.5) ? random.between(1, 5) : 0;
    return { will: { topic: `a/will/${id}`, qos: 2, retain: false, delaySeconds, expirySeconds: -1 } };
  }

  async #subscribeAll(): Promise<void> {
    for (const part of this.#parts) this.#connect(part);
    await this.#until(20_000, () => this.#parts.every(({ client }) => client.isConnected));
    for (const part of this.#parts) if (part.subscribesQoS !== null) this.#subscribe(part);
    await this.#until(5_000, () => this.#parts.every(({ client }) => client.asking.size === 0));
    for (const part of this.#parts) part.isSubscribed = true;
  }

  #subscribe(part: Part): void {
    part.mustSubscribe = false;
    const topic = part.isMember ? memberFilter : 'a/#';
    part.client.subscribe([{ topic, qos: part.subscribesQoS!, nl: false, rap: false, rh: 2 }], 0);
  }

  #connect(part: Part): void {
    const random = this.#random;
    const { living } = this.#deaths;
    const node = living[random.between(0, living.length - 1)];
    if (node === undefined) return;
    if (this.#isBusy && part.isSubscribed) this.#deaths.clientCame(node);
    const { client, request } = part;
    part.triedAt = this.world.time;
    const wire: Wire = new Wire(
      this.world,
      random.fork(),
      { latencyMs: random.between(0, 20), pieces: 0.1, kernelBytes: 65_536 },
      this.#life,
      request.version,
      `${client.id}:${++this.#wires}`,
      {
        beforeArrival: () => null,
        afterArrival: () => {},
        onWritten: () => {},
        onPacket: (packet) => this.#guard(() => this.#received(part, wire, packet)),
        onGone: () => client.onGone(wire),
        onEnded: () => {},
      },
    );
    part.wire = wire;
    this.world.tell(() => `${client.id}: connects to ${node.name}`);
    node.accept(wire);
    part.connections++;
    client.begin(wire, request, willOf(part));
  }

  #received(part: Part, wire: Wire, packet: Packet): void {
    const { client } = part;
    this.world.tell(() => `${client.id}: gets ${packet.cmd} ${packet.messageId ?? ''} ${packet.payload ?? ''}`);
    if (packet.cmd === 'connack' && client.wire === wire && part.isSubscribed) {
      const code = packet.reasonCode ?? packet.returnCode ?? 0;
      // What it has asked for on a connection that was lost may not have come.
      if (code === 0 && part.isMember && (part.request.clean || !this.#isBusy)) part.mustSubscribe = true;
      if (code === 0 && !part.request.clean && packet.sessionPresent !== true) {
        throw new Violation('sessions last', `${client.id} had a session, and was told that it has none`);
      }
    }
    const waits = (part.request.will?.delaySeconds ?? 0) > 0 || client.wire !== wire;
    if (packet.cmd === 'connack' && waits) {
      // A CONNECT of an earlier connection that was answered late has the session: what waited for it is over, by its
      // delay or since its node has died. [MQTT5 3.1.3.2.2]
      part.will = null;
    }
    client.onPacket(wire, packet);
  }

  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#violation ??= error as Error;
    }
  }

  #plan(): void {
    const random = this.#random;
    const likely = (most: number) => (random.isLucky(0.5) ? random.fraction() * most : 0);
    const faults: Partial<Faults> = {
      ...{ delayMsMax: random.between(0, 30), lostRequest: likely(0.1), lostAnswer: likely(0.1) },
      ...{ lateRequest: likely(0.1), repeatedRequest: likely(0.2), staleRead: likely(0.3) },
      ...{ stalledTail: likely(0.5), lostBroadcast: likely(0.5) },
    };
    Object.assign(this.#servers.faults, faults);
    for (const part of this.#parts) this.#again(random.between(1, 500), () => this.#act(part));
    this.#again(1_000, () => this.#disturb());
    if (this.#beyond !== null) this.#planBeyond(this.#beyond);
  }

  #planBeyond(beyond: BrokerBeyond): void {
    const random = this.#random.fork();
    this.#again(500, () => {
      if (this.#isBusy) beyond.publish();
      if (this.#isBusy && random.isLucky(0.05)) beyond.cut();
      return random.between(20, 400);
    });
  }

  #again(ms: number, act: () => number): void {
    const again = () => {
      const wait = act();
      if (this.#isBusy || wait < 0) this.world.after(Math.abs(wait), again);
    };
    this.world.after(ms, again);
  }

  /** Negative: also when nothing new happens any more. */
  #act(part: Part): number {
    const random = this.#random;
    const { client } = part;
    if (this.world.time >= part.goneAt) {
      if (client.isConnected) part.will = willOf(part);
      if (!client.isAway) client.vanish('reset');
      return Number.NEGATIVE_INFINITY;
    }
    const isStuck = !client.isConnected && this.world.time - part.triedAt > 15_000;
    if (client.isAway || isStuck) {
      if (!client.isAway) client.vanish('reset');
      this.#connect(part);
    } else if (this.#isBusy && !client.isConnected) {
      // Some do not wait for their CONNACK.
      if (random.isLucky(0.3)) this.#connect(part);
    } else if (this.#isBusy) {
      const chance = random.fraction();
      if (chance < 0.05) client.vanish(random.isLucky(0.7) ? 'reset' : 'silent');
      else if (chance < 0.1) this.#connect(part);
      else if (chance < 0.12) client.disconnect(0, null);
      else if (part.isMember) this.#joinOrLeave(part);
      else if (part.subscribesQoS === null && part.goneAt === Number.POSITIVE_INFINITY) this.#publishSome(part);
    }
    if (!this.#isBusy && client.isConnected && part.mustSubscribe) this.#subscribe(part);
    if (!this.#isBusy) client.answerAll();
    return -random.between(20, 600);
  }

  #joinOrLeave(part: Part): void {
    const { client } = part;
    if (part.mustSubscribe) this.#subscribe(part);
    else if (client.id !== 'm1' && this.#random.isLucky(0.05)) {
      client.unsubscribe(memberFilter);
      part.mustSubscribe = true;
    }
  }

  #publishSome(part: Part): void {
    const { client } = part;
    for (let left = this.#random.between(1, 6); left > 0 && client.mayPublish; left--) {
      const topic = topics[this.#random.between(0, topics.length - 1)]!;
      const payload = `${client.id}:${++part.published}`;
      const retain = this.#random.isLucky(0.2);
      client.publish({ key: payload, topic, payload, qos: part.publishesQoS, retain, expirySeconds: -1 }, false);
      this.#sent.get(client.id)!.push(`${topic} ${payload}`);
    }
  }

  #disturb(): number {
    const random = this.#random;
    const chance = random.fraction();
    this.#deaths.maybe();
    if (chance < 0.15) this.#servers.loseLeader(random.between(50, 3_000));
    else if (chance < 0.3) this.#standStill();
    return random.between(200, 3_000);
  }

  /** Shorter than what others would declare it dead for. */
  #standStill(): void {
    const { living } = this.#deaths;
    const node = living[this.#random.between(0, living.length - 1)];
    if (node === undefined || this.#deaths.isPaused(node)) return;
    const { name } = node;
    this.world.tell(() => `${name}: stands still`);
    this.#servers.pause(name);
    this.world.after(this.#random.between(10, 1_000), () => {
      if (!node.isKilled && !this.#deaths.isPaused(node)) this.#servers.resume(name);
    });
  }

  #calm(): void {
    this.world.tell(() => 'nothing goes wrong any more');
    this.#isBusy = false;
    this.#calmAt = Math.max(...this.#deaths.living.map(({ cluster }) => cluster.messages.at));
    this.#deaths.end();
    Object.assign(this.#servers.faults, noFaults);
    for (const part of this.#parts) {
      part.client.isPrompt = true;
      part.mustSubscribe = part.isMember;
    }
  }

  #isAtRest(): boolean {
    if (this.#beyond !== null && !this.#isBridgeAtRest(this.#beyond)) return false;
    return this.#parts.every(({ client, goneAt }) => {
      if (goneAt < Number.POSITIVE_INFINITY) return client.isAway;
      return client.isConnected && client.outgoing.size === 0 && client.received.size === 0;
    });
  }

  /** What is published beyond from now on comes here. */
  get #isBridged(): boolean {
    return this.#deaths.living.some(({ bridges }) => [...bridges].some(({ isSubscribed }) => isSubscribed));
  }

  /** It runs at one node, and nothing waits for it on either side. */
  #isBridgeAtRest({ sent }: BrokerBeyond): boolean {
    const views = this.#deaths.living.flatMap(({ bridges }) => [...bridges].map((each) => each.view()));
    const [running, ...others] = views.filter(({ state }) => state !== 'standby');
    const isDone = running?.state === 'connected' && running.queued + running.inFlight === 0;
    const last = sent.at(-1);
    const readers = this.#parts.filter(({ subscribesQoS, isMember }) => subscribesQoS !== null && !isMember);
    const haveAll = readers.every(({ client }) => last === undefined || this.#got.get(client.id)!.includes(last));
    return isDone && others.length === 0 && haveAll;
  }

  /** The broker beyond the bridge counts as one more client. */
  #checkBeyond({ got, sent, qos }: BrokerBeyond): void {
    const beyond = { client: { id: beyondName }, subscribesQoS: 2, publishesQoS: qos } as unknown as Part;
    const gotBy = new Map([...this.#got, [beyondName, got]]);
    const sentBy = new Map([...this.#sent, [beyondName, sent]]);
    checkSubscriber(beyond, this.#parts, gotBy, sentBy);
    const isOwn = (each: string) => each.includes(` ${beyondName}:`);
    if (got.some(isOwn)) throw new Violation('nothing goes round', `${got.find(isOwn)} came back`);
    for (const part of this.#parts) {
      if (part.subscribesQoS !== null && !part.isMember) checkSubscriber(part, [beyond], gotBy, sentBy);
    }
    checkMembers([beyond, ...this.#parts.filter(({ isMember }) => isMember)], gotBy, sentBy);
    for (const { name, isKilled, isAlive, bridges } of this.#nodes) {
      const isQuiet = [...bridges].every(({ state }) => state === 'standby');
      if (!isKilled && !isAlive && !isQuiet) {
        throw new Violation('who has lost its sessions lets go of its bridges', `${name} has one`);
      }
    }
  }

  #check(): void {
    for (const node of this.#nodes) if (!node.isKilled) this.#checkNode(node);
    if (!this.#isAtRest()) throw new Violation('every exchange ends', this.#unfinished());
    for (const part of this.#parts) {
      if (part.subscribesQoS !== null && !part.isMember) {
        checkSubscriber(part, this.#parts, this.#got, this.#sent);
        checkWills(part, this.#parts, this.#got);
      }
      if (part.goneAt === Number.POSITIVE_INFINITY) this.#checkOwner(part.client.id);
    }
    checkMembers(this.#parts, this.#got, this.#sent);
    if (this.#beyond !== null) this.#checkBeyond(this.#beyond);
    this.#checkTables();
    this.#checkRetained();
    this.#checkLog();
  }

  /** Others have declared it dead, or nothing has ended it. */
  #checkNode({ name, ends, openWires, isAlive }: SimulatedNode): void {
    const isDeclared = ends.some((end) => /since it was silent|declared this one dead/.test(end));
    // The log need not wait for a node that is dead for the others.
    const expected = isDeclared ? /since it was silent|declared this one dead|of the log were gone/ : /^$/;
    const mistakes = ends.filter((end) => !expected.test(end));
    if (mistakes.length > 0) throw new Violation('nodes go on', `${name}: ${mistakes.join('; ')}`);
    if (!isAlive && openWires > 0) {
      throw new Violation('who has lost its sessions lets go of its clients', `${name} has ${openWires} connections`);
    }
  }

  #unfinished(): string {
    const states = this.#parts.map(({ client }) => {
      return `${client.id} ${client.isConnected ? 'connected' : 'away'}, ${client.outgoing.size} to be acknowledged`;
    });
    return states.join('; ');
  }

  #checkOwner(clientId: string): void {
    const owners = this.#deaths.living.filter(
      ({ sessions, cluster }) => sessions.has(clientId) || cluster.holds(clientId),
    );
    if (owners.length === 1) return;
    const names = owners.map(({ name }) => name).join(' and ');
    throw new Violation('each session has one owner', `${clientId} is at ${names || 'no node'}`);
  }

  #checkLog(): void {
    if (this.purged >= this.#calmAt) return;
    throw new Violation('the log stays short', `it is purged up to ${this.purged}, and needed from ${this.#calmAt}`);
  }

  #checkTables(): void {
    const tables = new Set(this.#deaths.living.map(({ members }) => members));
    const names = this.#parts.filter(({ isMember }) => isMember).map(({ client }) => client.id);
    const expected = names.map((id) => `members/a/# ${id} 0`).sort();
    if (tables.size === 1 && tables.has(expected.join(', '))) return;
    throw new Violation(
      'all nodes know the same members',
      `${[...tables].join(' | ')}, and not ${expected.join(', ')}`,
    );
  }

  #checkRetained(): void {
    for (const topic of topics) {
      const retained = this.#deaths.living.map((node) => node.retained(topic));
      if (new Set(retained).size > 1) {
        throw new Violation('all nodes retain the same', `${topic}: ${retained.join(', ')}`);
      }
    }
  }
}

export async function runClustered(seed: number, options: ClusteredOptions = {}): Promise<ClusteredResult> {
  const simulation = new ClusterSimulation(seed, options);
  let violation: Violation | null = null;
  try {
    await simulation.run();
  } catch (error) {
    const { message, stack = message } = error as Error;
    violation = error instanceof Violation ? error : new Violation('the brokers do not fail', stack);
  }
  const { world, messages, takeovers, adoptions, purged } = simulation;
  return {
    seed,
    violation,
    messages,
    takeovers,
    adoptions,
    purged,
    events: world.events,
    lines: world.lines ?? [],
    hash: world.hash(),
  };
}
