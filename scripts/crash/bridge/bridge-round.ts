/**
 * One round of the crash test for bridges: two brokers, a bad link between them, ends of either and of both, and the
 * reckoning.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { Ledger, type QoS } from '../ledger.ts';
import { PowerCut } from '../power-cut.ts';
import { Random } from '../random.ts';
import { type RoundOptions, type RoundResult, reckoning, untilQuiet } from '../round.ts';
import { BadLink, type Direction, directions } from './bad-link.ts';
import { Side, type SideName } from './side.ts';

/** What the seed has drawn. */
interface Scene {
  readonly direction: Direction;
  /** Of the bridge. */
  readonly qos: QoS;
  readonly version: '5.0' | '3.1.1';
  readonly maxInflight: number;
  readonly cleanStart: boolean;
  /** The peer's session of the bridge is deleted now and then. */
  readonly deletesSessions: boolean;
  /** What goes out has priorities. */
  readonly hasPriorities: boolean;
  /** Topics have another prefix on either side. */
  readonly hasPrefixes: boolean;
  /** Only what is subscribed to goes. */
  readonly isOnDemand: boolean;
  /** Some messages are retained. */
  readonly retains: boolean;
}

const clientId = 'the-bridge';
const connectMs = 60_000;
/** Nothing has arrived for so long: the rest will not come. Longer than some attempts of a bridge on a slow machine. */
const silenceMs = 20_000;
const finishMs = 30_000;
const recoveryMsMax = 600;
const orderlyShare = 0.3;

/** Topics begin with who they are for: `up` goes out, `down` comes in, and `both` goes both ways. */
const rootOf = { out: 'up', in: 'down', both: 'both' } as const;

const probeOf = (direction: Direction) => `${rootOf[direction]}/probe`;

function drawScene(random: Random, isMosquitto: boolean): Scene {
  const direction = random.pick(directions);
  const qos = random.pick<QoS>([1, 2]);
  const drawn: Omit<Scene, 'retains'> = {
    ...{ direction, qos },
    version: isMosquitto && random.isLucky(0.5) ? '3.1.1' : '5.0',
    maxInflight: random.pick([2, 10, 100]),
    // A session that comes in loses what is there with each connection.
    cleanStart: direction === 'out' && (qos === 1 || !isMosquitto) && random.isLucky(0.15),
    // Without its session, nothing but Sluice knows a message of QoS 2 again.
    deletesSessions: (qos === 1 || !isMosquitto) && random.isLucky(0.4),
    hasPriorities: direction !== 'in' && random.isLucky(0.5),
    hasPrefixes: random.isLucky(0.5),
    isOnDemand: random.isLucky(0.5),
  };
  // With a session that is gone, what is retained comes once more, and Mosquitto may have another order.
  const mayRetain = !isMosquitto && !drawn.deletesSessions && !drawn.cleanStart;
  return { ...drawn, retains: mayRetain && random.isLucky(0.6) };
}

const prefixesOf = ({ hasPrefixes }: Scene) =>
  hasPrefixes ? { edge: 'here/', peer: 'there/' } : { edge: '', peer: '' };

/** Mosquitto would write all it has with each message, and is not ended here. */
const peerSettings = { sluice: {}, mosquitto: { autosave_on_changes: false } } as const;

/** Each of the topics of a publisher has another one. */
const filtersOf = ({ direction, hasPriorities }: Scene) =>
  hasPriorities
    ? [
        // The load, which goes on meanwhile, may be more than the bridge takes.
        { filter: probeOf(direction), priority: 9 },
        { filter: `${rootOf[direction]}/+/0`, priority: 9 },
        { filter: `${rootOf[direction]}/+/1`, priority: 5 },
        { filter: `${rootOf[direction]}/#`, priority: 0 },
      ]
    : [{ filter: `${rootOf[direction]}/#` }];

const bridgeOf = (scene: Scene, port: number) => {
  const { direction, qos, version, maxInflight, cleanStart } = scene;
  return {
    ...{ name: 'up', addresses: [`mqtt://127.0.0.1:${port}`], clientId, version, maxInflight, cleanStart },
    ...{ keepAliveSeconds: 1, connectTimeoutSeconds: 1, reconnect: { minimumMs: 100, maximumMs: 300 } },
    topics: filtersOf(scene).map((each) => ({
      ...each,
      ...{ direction, qos, forward: scene.isOnDemand ? 'subscribed' : 'all' },
      ...{ localPrefix: prefixesOf(scene).edge, remotePrefix: prefixesOf(scene).peer },
    })),
  };
};

export async function runBridgeRound(seed: number, options: RoundOptions): Promise<RoundResult> {
  const round = new BridgeRound(seed, options);
  try {
    await round.play();
  } catch (error) {
    round.ledger.report('broker', (error as Error).message);
  } finally {
    await round.close();
  }
  return { seed, restartsMs: [], story: round.story, ...reckoning(round.ledger) };
}

class BridgeRound {
  readonly ledger = new Ledger();
  readonly story: string[] = [];
  readonly #startedAt = Date.now();
  readonly #random: Random;
  readonly #options: RoundOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-crash-bridge-'));
  readonly #scene: Scene;
  #link: BadLink | null = null;
  #sides: Readonly<Record<SideName, Side>> | null = null;
  #isHarassing = true;
  #deletedAt: number | null = null;

  constructor(seed: number, options: RoundOptions) {
    this.#random = new Random(seed);
    this.#options = options;
    this.#scene = drawScene(this.#random, options.broker === 'mosquitto');
    this.ledger.mayReorder = options.broker === 'mosquitto';
    this.ledger.mayRepeat = options.broker === 'mosquitto' ? 'always' : 'in the next life';
    this.#tell(JSON.stringify(this.#scene));
  }

  #tell(what: string): void {
    this.story.push(`${Date.now() - this.#startedAt} ms, ${this.ledger.messages.length} messages: ${what}`);
  }

  async play(): Promise<void> {
    const link = await BadLink.open();
    this.#link = link;
    const sides = { peer: this.#side('peer', link), edge: this.#side('edge', link) };
    this.#sides = sides;
    for (const side of [sides.peer, sides.edge]) {
      if (!(await side.start())) throw new Error('a broker did not start');
    }
    await this.#untilBridged();
    await Promise.all([sides.peer.enter(), sides.edge.enter()]);
    if (this.#scene.isOnDemand) await this.#untilTold();
    for (const side of [sides.peer, sides.edge]) side.beginLoad();
    const harassing = this.#harass(link, this.#random.fork());
    for (let blows = this.#random.between(1, 3); blows > 0; blows--) {
      await delay(this.#random.between(50, this.#options.loadMsMax));
      await this.#blow();
    }
    await delay(this.#random.between(50, 500));
    this.#isHarassing = false;
    await harassing;
    this.#tell('the link is well again');
    link.heal();
    // Of what comes now something is promised. Else, a bridge with few messages in flight and a slow disk would never
    // be done with what waits.
    if (!this.#mayLose) await Promise.all([sides.peer.endLoad(), sides.edge.endLoad()]);
    await this.#untilBridged();
    if (this.#mayLose) this.#excuse();
    await Promise.all([sides.peer.finish(finishMs), sides.edge.finish(finishMs)]);
    await untilQuiet(this.ledger, silenceMs);
    await Promise.all([sides.peer.checkRetained(), sides.edge.checkRetained()]);
    this.#tell('the end');
  }

  #side(side: SideName, link: BadLink): Side {
    const { direction, qos } = this.#scene;
    const { broker, durability, powerCutLibrary } = this.#options;
    const folder = join(this.#folder, side);
    mkdirSync(folder);
    const [sends, takes] = [
      direction !== (side === 'edge' ? 'in' : 'out'),
      direction !== (side === 'edge' ? 'out' : 'in'),
    ];
    const root = [rootOf[direction]];
    const prefixes = prefixesOf(this.#scene);
    return new Side({
      ...{ side, folder, durability, qos, ledger: this.ledger, random: this.#random.fork() },
      ...{ prefix: prefixes[side], otherPrefix: prefixes[side === 'edge' ? 'peer' : 'edge'] },
      retains: this.#scene.retains,
      name: side === 'edge' ? 'sluice' : broker,
      powerCut: powerCutLibrary === null ? null : new PowerCut(powerCutLibrary, folder),
      settings: side === 'edge' ? { bridges: [bridgeOf(this.#scene, link.port)] } : peerSettings[broker],
      publishes: sends ? root : [],
      subscribes: takes ? root : [],
      onPort: (port) => {
        if (side === 'peer') link.target = port;
      },
    });
  }

  /** A message gets through in each direction that the bridge has. Rejects if none does within some time. */
  async #untilBridged(): Promise<void> {
    const { edge, peer } = this.#sides!;
    const { direction } = this.#scene;
    const ways = {
      out: [[edge, peer]],
      in: [[peer, edge]],
      both: [
        [edge, peer],
        [peer, edge],
      ],
    } as const;
    for (const [from, to] of ways[direction]) await this.#untilThrough(from, to);
  }

  /**
   * Each side knows what is subscribed to at the other one: what gets through to a subscriber after the others was told
   * after theirs, and of each priority at most as much later as may be between two messages about it.
   */
  async #untilTold(): Promise<void> {
    await this.#untilBridged();
    await delay(1_000);
  }

  async #untilThrough(sends: Side, takes: Side): Promise<void> {
    const probe = probeOf(this.#scene.direction);
    const [from, to] = [sends.port!, takes.port!];
    const text = String(this.#random.fraction());
    const [sender, receiver] = [
      await connectAsync(`mqtt://127.0.0.1:${from}`),
      await connectAsync(`mqtt://127.0.0.1:${to}`),
    ];
    let isThrough = false;
    receiver.on('message', (_topic, payload) => {
      isThrough ||= payload.toString() === text;
    });
    await receiver.subscribeAsync(takes.prefix + probe);
    const { ledger } = this;
    ledger.lastArrivalMs = Date.now();
    // What waits goes first, as long as that takes.
    while (!isThrough && Date.now() < ledger.lastArrivalMs + connectMs) {
      sender.publish(sends.prefix + probe, text, { qos: 1 });
      await delay(50);
    }
    for (const client of [sender, receiver]) client.end(true);
    if (!isThrough) throw new Error(`no message gets through to port ${to} within ${connectMs / 1_000} s`);
  }

  // What befalls them

  async #blow(): Promise<void> {
    const random = this.#random;
    const { edge, peer } = this.#sides!;
    const isFull = this.#options.powerCutLibrary !== null && random.isLucky(0.25);
    if (isFull) {
      const side = this.#options.broker === 'mosquitto' || random.isLucky(0.5) ? edge : peer;
      const ms = random.between(200, 1_500);
      this.#tell(`the disk of ${side === edge ? 'edge' : 'peer'} is full for ${ms} ms`);
      return side.fillDisk(ms);
    }
    // Mosquitto loses and repeats messages with its own end.
    const who = this.#options.broker === 'mosquitto' ? [edge] : random.pick([[edge], [peer], [edge, peer]]);
    await Promise.all(who.map((side) => this.#end(side, side === edge ? 'edge' : 'peer', random.fork())));
  }

  async #end(side: Side, name: SideName, random: Random): Promise<void> {
    do {
      const how = random.isLucky(orderlyShare) ? 'stop' : 'kill';
      this.#tell(`${name}: ${how === 'kill' && this.#options.powerCutLibrary !== null ? 'power cut' : how}`);
      await side.end(how);
      await delay(random.between(0, 300));
      if (!random.isLucky(0.3)) break;
      // It ends once more while it recovers.
      const starting = side.startAgain();
      await Promise.race([delay(random.between(0, recoveryMsMax)), starting]);
      this.#tell(`${name}: ends while it recovers`);
      await side.end('kill');
      await starting;
    } while (random.isLucky(0.3));
    await side.startAgain();
    this.#tell(`${name}: is back`);
  }

  async #harass(link: BadLink, random: Random): Promise<void> {
    while (this.#isHarassing) {
      await delay(random.between(20, 500));
      const what = random.pick(['cut', 'cut', 'slow', 'silent', 'closed', 'deleted', 'nothing']);
      if (what === 'cut') {
        const bytes = random.isLucky(0.3) ? 0 : random.between(1, 20_000);
        this.#tell(`cut after ${bytes} bytes`);
        link.cut(bytes);
      } else if (what === 'slow') {
        link.delayMs = random.between(1, 20);
        this.#tell(`slow, ${link.delayMs} ms`);
        await delay(random.between(50, 500));
        link.delayMs = 0;
      } else if (what === 'silent') {
        const direction = random.pick(directions);
        this.#tell(`silent: ${direction}`);
        link.silence(direction);
      } else if (what === 'closed') {
        this.#tell('closed');
        link.isClosed = true;
        link.cut(0);
        await delay(random.between(50, 500));
        link.isClosed = false;
      } else if (what === 'deleted' && this.#scene.deletesSessions) await this.#deleteSession();
    }
  }

  /** Somebody else comes to the peer as the bridge, and begins anew. */
  async #deleteSession(): Promise<void> {
    const { port } = this.#sides!.peer;
    if (port === null) return;
    const options = { clientId, clean: true, protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 1_000 } as const;
    try {
      const client = await connectAsync(`mqtt://127.0.0.1:${port}`, options, false);
      client.on('error', () => {});
      this.#deletedAt = this.ledger.tick();
      this.#tell('the session at the peer is deleted');
      client.end(true);
    } catch {
      // The peer is down, or it was deleted all the same: what is lost is excused from now on in any case.
      this.#deletedAt = this.ledger.tick();
    }
  }

  /** With its session, the peer may have lost all that was sent to it for the edge so far. */
  get #mayLose(): boolean {
    return this.#deletedAt !== null && this.#scene.direction !== 'out';
  }

  #excuse(): void {
    const now = this.ledger.tick();
    for (const session of this.ledger.sessions) if (session.clientId.startsWith('edge')) session.promisedFrom = now;
  }

  async close(): Promise<void> {
    this.#isHarassing = false;
    if (this.#sides !== null) await Promise.all(Object.values(this.#sides).map((side) => side.close()));
    await this.#link?.close();
    rmSync(this.#folder, { recursive: true, maxRetries: 3 });
  }
}
