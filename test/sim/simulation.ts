/**
 * One run: the real broker on a simulated network, disk and clock, clients that do what the plan says, and the judge
 * who watches. The same seed and plan give the same run, to the last packet.
 */

import { Random } from '../../scripts/crash/random.ts';
import type { Connection } from '../../src/broker/connection.ts';
import { Answers } from './answers.ts';
import { type ConnectRequest, SimulatedClient } from './client.ts';
import { Deliveries } from './deliveries.ts';
import { SimulatedDisk } from './disk.ts';
import { Explained } from './explained.ts';
import { Host } from './host.ts';
import { Judge } from './judge.ts';
import { checkLedger } from './ledger.ts';
import { type Link, linkOf, type SentPublish } from './link.ts';
import { checkMissing } from './missing.ts';
import { type Packet, Wire } from './network.ts';
import { drawPlan, type Step, stepText, topics } from './plan.ts';
import { watchConnection } from './probe.ts';
import { drawProfile, type Profile, withLittleMemory, withSlowReader, withSlowSteps } from './profile.ts';
import { Rules, type SimulatedRule } from './rules.ts';
import { checkAllAnswered, checkRead, checkServed, checkUnwritten } from './service.ts';
import {
  checkBounds,
  checkCommits,
  checkEnded,
  checkNothingLeft,
  checkOverdue,
  checkRetained,
  checkTurnedAway,
} from './state.ts';
import { settled, Violation, World } from './world.ts';

export interface RunResult {
  readonly seed: number;
  /** Null: everything held. */
  readonly violation: Error | null;
  readonly steps: readonly Step[];
  readonly lines: readonly string[];
  readonly hash: string;
  readonly events: number;
  readonly profile: Profile;
  readonly messages: number;
  /** Publishes about which `explain` was asked and judged. */
  readonly explained: number;
  /** Of these, those in which the message was not sent at once. */
  readonly mishaps: number;
  /** How many, by what became of the message. */
  readonly outcomes: ReadonlyMap<string, number>;
}

export interface RunOptions {
  /** In the place of the seed's own steps. */
  readonly steps?: readonly Step[];
  readonly isTraced?: boolean;
  /** Whether `explain` is asked about some of what is published, which changes nothing. Default: true. */
  readonly asks?: boolean;
}

export async function run(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const random = new Random(seed);
  const drawn = drawProfile(random.fork());
  const plan = drawPlan(random.fork());
  const roomy = plan.isMemoryShort ? withLittleMemory(drawn) : drawn;
  const slow = plan.isReplacing || plan.isLeaving ? withSlowSteps(roomy) : roomy;
  const profile = plan.isFlooding ? withSlowReader(slow) : slow;
  const steps = options.steps ?? plan.steps;
  const rules = plan.hasRules ? new Rules() : null;
  const simulation = new Simulation(random, profile, rules, plan.clients, options.isTraced ?? false);
  // With chance of its own, so that asking leaves the rest of the run as it is.
  const { judge: asking } = simulation;
  if (options.asks !== false) asking.explained = new Explained(asking, new Random(seed ^ 0x5eed), plan.clients);
  let violation: Error | null = null;
  const onRejection = (error: unknown) => {
    violation ??= error as Error;
  };
  process.on('unhandledRejection', onRejection);
  try {
    await simulation.play(steps);
  } catch (error) {
    violation = error as Error;
  }
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', onRejection);
  violation ??= simulation.host.failure;
  const { world, judge } = simulation;
  const lines = world.lines ?? [];
  const messages = judge.published.size;
  const { judged: explained = 0, mishaps = 0, outcomes = new Map<string, number>() } = judge.explained ?? {};
  const said = { explained, mishaps, outcomes };
  return { seed, violation, steps, lines, hash: world.hash(), events: world.events, profile, messages, ...said };
}

class Simulation {
  readonly world: World;
  readonly judge: Judge;
  readonly host: Host;
  readonly #deliveries: Deliveries;
  readonly #answers: Answers;
  readonly #random: Random;
  readonly #profile: Profile;
  readonly #disk: SimulatedDisk;
  readonly #clients: SimulatedClient[];
  readonly #lastLinks = new Map<SimulatedClient, Link>();
  /** The session that the client heard of last. */
  readonly #sessionUids = new Map<SimulatedClient, number>();
  #lastKey = 0;
  #wires = 0;

  constructor(random: Random, profile: Profile, rules: Rules | null, clients: number, isTraced: boolean) {
    this.world = new World(isTraced);
    this.#random = random.fork();
    this.#profile = profile;
    this.judge = new Judge(this.world, profile, rules);
    this.#deliveries = new Deliveries(this.judge);
    this.#answers = new Answers(this.judge, this.#deliveries);
    this.#disk = new SimulatedDisk(this.world, random.fork(), profile.disk, () => {
      this.host.guard(() => this.judge.commonCommits.onBatch());
      return this.judge.mark;
    });
    this.judge.disk = this.#disk;
    this.host = new Host(this.judge, this.#random, this.#disk);
    const around = {
      world: this.world,
      onSend: (client: SimulatedClient, sent: SentPublish) => this.#onSend(client, sent),
      isSameSession: (client: SimulatedClient) => this.#isSameSession(client),
      onMessage: (packet: Packet) => this.host.guard(() => this.#deliveries.onMessage(packet)),
    };
    this.#clients = Array.from(
      { length: clients },
      (_, index) => new SimulatedClient(`c${index + 1}`, random.fork(), around),
    );
  }

  async play(steps: readonly Step[]): Promise<void> {
    await this.host.start();
    for (const step of steps) {
      await this.#runFor(step.afterMs);
      this.world.tell(() => `--- ${stepText(step)}`);
      await this.#take(step);
      await settled();
      this.#look();
    }
    await this.#finish();
  }

  async #runFor(ms: number): Promise<void> {
    const end = this.world.time + ms;
    // In between, it is looked at whether all is well.
    while (this.world.time < end) {
      await this.world.runUntil(Math.min(end, this.world.time + 100), () => this.host.failure !== null);
      this.#look();
    }
  }

  #look(): void {
    if (this.host.failure !== null) throw this.host.failure;
    this.judge.wills.afterEvent();
    if (!this.host.isUp) return;
    checkOverdue(this.judge);
    checkCommits(this.judge);
    checkBounds(this.judge);
    checkServed(this.judge);
    checkRead(this.judge);
    checkUnwritten(this.judge);
    checkLedger(this.judge);
    this.judge.memory.check(this.judge.core!);
  }

  // Steps

  async #take(step: Step): Promise<void> {
    if (step.kind === 'restart') {
      // Less than `sync` promises nothing for a power cut.
      const isPromised = this.#profile.durability === 'sync';
      await this.host.stop(step.how === 'power cut' && !isPromised ? 'kill' : step.how);
      await this.#runFor(step.downMs);
      return this.host.startAgain();
    }
    if (step.kind === 'disk') {
      this.#disk.state = step.state;
      return;
    }
    if (step.kind === 'rules') return this.#useRules(step.rules);
    if (step.kind === 'memory') return this.#takeMemory(step.part);
    const client = this.#clients[step.client]!;
    if (step.kind === 'connect') return this.#connect(client, step.request);
    if (client.wire === null || !client.isConnected) return;
    switch (step.kind) {
      case 'disconnect': {
        const mayChange = client.version === 5 && (this.#linkOf(client)?.connect.expirySeconds ?? 0) > 0;
        return client.disconnect(step.withWill && client.version === 5 ? 4 : 0, mayChange ? step.expirySeconds : null);
      }
      case 'vanish':
        return client.vanish(step.how);
      case 'subscribe':
        return this.#subscribe(client, step);
      case 'unsubscribe':
        return client.unsubscribe(step.filter);
      case 'publish':
        for (let i = 0; i < step.times; i++) this.#publish(client, step.topic, step);
        return;
      case 'clear':
        return this.#publish(client, step.topic, {
          qos: step.qos,
          retain: true,
          expirySeconds: -1,
          bytes: -1,
          usesAlias: false,
        });
      case 'answer':
        return client.answerAll();
      case 'reading':
        return client.wire.readOn(step.isReading);
    }
  }

  #useRules(rules: readonly SimulatedRule[]): void {
    const topics = this.judge.rules?.use(rules);
    this.judge.rulesChanged();
    if (this.host.isUp) this.host.broker!.rulesChanged(topics);
  }

  #takeMemory(part: number): void {
    this.judge.memory.take(part, this.host.isUp ? this.judge.core : null);
  }

  #connect(client: SimulatedClient, request: ConnectRequest): void {
    if (!this.host.isUp) return;
    // The older connection is still there: it will be taken over, unless it goes first.
    const before = client.wire;
    if (before !== null && this.#random.isLucky(0.5)) client.vanish(this.#random.isLucky(0.5) ? 'reset' : 'silent');
    const willKey = request.will === null ? null : `w${++this.#lastKey}`;
    const name = `${client.id}#${++this.#wires}`;
    const link = linkOf(name, client.id, request, client.wantsClean(request), willKey, this.#profile.settings);
    const wire: Wire = new Wire(
      this.world,
      this.#random.fork(),
      this.#profile.wire,
      this.host.life,
      request.version,
      link.name,
      {
        beforeArrival: () => (this.host.isClosing ? null : (this.judge.explained?.beforeArrival(link) ?? null)),
        afterArrival: () => this.judge.explained?.afterArrival(),
        onWritten: (packet) => this.host.guard(() => this.#onWritten(link, packet)),
        onPacket: (packet) => client.onPacket(wire, packet),
        onGone: () => {
          client.onGone(wire);
          if (wire.isClosed) this.judge.onGone(link);
        },
        onEnded: () => this.host.guard(() => checkEnded(this.judge, link, this.host.isClosing)),
      },
    );
    link.wire = wire;
    link.unreadSince = this.world.time;
    const connection = this.host.broker!.accept(wire, 'sim') as Connection | null;
    if (connection === null) return;
    wire.receiver = connection;
    this.judge.links.add(link);
    this.#lastLinks.set(client, link);
    const bugs = this.#random.fork();
    const isUnlucky = () => this.#profile.hasBugs && !client.isPrompt && bugs.isLucky(0.02);
    watchConnection(connection, link, this.judge, this.#answers, isUnlucky);
    client.begin(wire, request, willKey === null ? '' : `${willKey} will of ${client.id}`);
  }

  #isSameSession(client: SimulatedClient): boolean {
    const { uid } = this.#lastLinks.get(client)!;
    const before = this.#sessionUids.get(client);
    this.#sessionUids.set(client, uid);
    return before === uid;
  }

  #linkOf(client: SimulatedClient): Link | undefined {
    return [...this.judge.links].find(({ wire }) => wire === client.wire);
  }

  #subscribe(client: SimulatedClient, { filters, id }: Extract<Step, { kind: 'subscribe' }>): void {
    const link = this.#linkOf(client);
    if (link === undefined) return;
    const isV5 = client.version === 5;
    const wanted = filters.map((each) => (isV5 ? each : { ...each, nl: false, rap: false, rh: 0 as const }));
    const messageId = client.subscribe(wanted, id);
    for (const key of link.subscribing.keys()) if (key.startsWith(`${messageId} `)) link.subscribing.delete(key);
    for (const each of wanted) link.subscribing.set(`${messageId} ${each.topic}`, { ...each, id: isV5 ? id : 0 });
  }

  #publish(
    client: SimulatedClient,
    topic: string,
    how: { qos: 0 | 1 | 2; retain: boolean; expirySeconds: number; bytes: number; usesAlias: boolean },
  ): void {
    if (how.qos > 0 && !client.mayPublish) return;
    const key = `#${++this.#lastKey}`;
    const payload = how.bytes < 0 ? '' : `${key} ${'.'.repeat(how.bytes)}`;
    const expirySeconds = client.version === 5 ? how.expirySeconds : -1;
    const { qos, retain, usesAlias } = how;
    client.publish(
      { key: payload === '' ? `empty ${topic}` : key, topic, payload, qos, retain, expirySeconds },
      usesAlias,
    );
  }

  #onSend(client: SimulatedClient, sent: SentPublish): void {
    this.judge.published.set(sent.key, sent);
    this.#linkOf(client)?.sent.push(sent);
    this.world.tell(() => `${client.id}: PUBLISH ${sent.key} to ${sent.topic}, QoS ${sent.qos} id ${sent.packetId}`);
  }

  #onWritten(link: Link, packet: Packet): void {
    const { judge } = this;
    const answers = this.#answers;
    if (packet.cmd !== 'publish') this.world.tell(() => `broker -> ${link.name}: ${brief(packet)}`);
    if (packet.cmd === 'connack') link.hasConnack = true;
    else
      judge.check(link.hasConnack, 'CONNACK comes first [MQTT5 3.2.0-1]', () => `${link.name} is sent ${packet.cmd}`);
    const id = packet.messageId ?? 0;
    switch (packet.cmd) {
      case 'publish':
        return this.#deliveries.onPublish(link, packet);
      case 'puback':
      case 'pubrec':
        return answers.onAnswer(link, packet.cmd, id, packet.reasonCode ?? 0);
      case 'pubrel':
        return answers.onPubrel(link, id, packet.reasonCode ?? 0);
      case 'suback':
        answers.onSuback(link, id, packet.granted!);
        return answers.onPromise(link, `suback ${id}`);
      case 'pubcomp':
      case 'unsuback':
        return answers.onPromise(link, `${packet.cmd} ${id}`);
      case 'disconnect':
        return checkTurnedAway(this.judge, link, packet, this.host.isClosing);
      case 'connack':
        this.#checkSessionPresent(link, packet);
        checkTurnedAway(this.judge, link, packet, this.host.isClosing);
        return answers.onPromise(link, 'connack');
    }
  }

  #checkSessionPresent(link: Link, { sessionPresent, reasonCode, returnCode }: Packet): void {
    const isAccepted = (reasonCode ?? returnCode ?? 0) === 0;
    // 3.1 does not say.
    const isRight = sessionPresent === (isAccepted && link.hasSession && link.version > 3);
    this.judge.check(isRight, 'session present [MQTT5 3.2.2-2]', () => `${link.name} is told ${sessionPresent}`);
  }

  // The end of a run

  /** The world heals, everybody comes back and takes what there is; then everybody leaves, and nothing may be left. */
  async #finish(): Promise<void> {
    this.world.tell(() => '--- the end: everybody comes back');
    this.#disk.state = 'takes';
    this.#useRules([]);
    if (this.judge.memory.hasBeenShort) this.#takeMemory(0);
    await this.#runFor(3_000);
    for (const client of this.#clients) {
      client.isPrompt = true;
      if (client.wire !== null) client.vanish('reset');
    }
    await this.#runFor(200);
    for (const client of this.#clients) this.#comeBack(client, false);
    await this.#untilQuiet();
    checkRetained(this.judge);
    checkMissing(this.judge);
    this.judge.drops.check();
    checkAllAnswered(this.judge);
    this.world.tell(() => '--- the end: everybody leaves');
    for (const client of this.#clients) if (client.wire !== null) client.vanish('reset');
    await this.#runFor(200);
    for (const client of this.#clients) this.#comeBack(client, true);
    await this.#runFor(3_500);
    for (const topic of topics) {
      this.#publish(this.#clients[0]!, topic, { qos: 1, retain: true, expirySeconds: -1, bytes: -1, usesAlias: false });
      await this.#runFor(2_000);
    }
    for (const client of this.#clients) if (client.wire !== null) client.disconnect(0, null);
    await this.#runFor(6_000);
    checkNothingLeft(this.judge, this.#profile.durability === 'none' ? [] : this.#disk.keys);
  }

  #comeBack(client: SimulatedClient, clean: boolean): void {
    const session = this.judge.model.sessions.get(client.id);
    if (!clean && session === undefined) return;
    this.#connect(client, {
      ...{ version: 5, clean, expirySeconds: clean ? 0 : 1_000_000, keepAliveSeconds: 0, receiveMaximum: 65_535 },
      ...{ packetBytesMax: 1_000_000, topicAliasMaximum: 10, will: null, habit: 'at once' },
    });
  }

  async #untilQuiet(): Promise<void> {
    let quiet = 0;
    for (let i = 0; quiet < 4; i++) {
      if (i > 200) throw new Violation('it becomes quiet in the end', 'there is still traffic after a long time');
      const before = `${this.judge.log.length} ${this.judge.traffic}`;
      await this.#runFor(1_000);
      quiet = `${this.judge.log.length} ${this.judge.traffic}` === before ? quiet + 1 : 0;
    }
  }
}

function brief({ cmd, messageId, reasonCode, returnCode, granted, sessionPresent }: Packet): string {
  const code = reasonCode ?? returnCode ?? 0;
  const parts = [
    messageId !== undefined && ` ${messageId}`,
    sessionPresent && ', session present',
    granted !== undefined && ` [${granted}]`,
    code > 0 && `, reason 0x${code.toString(16)}`,
  ];
  return `${cmd.toUpperCase()}${parts.filter(Boolean).join('')}`;
}
