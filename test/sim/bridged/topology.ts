/**
 * Who bridges to whom, and what follows for a message: at which brokers, under which topics and how often it arrives.
 * That is the oracle: it knows the topics of bridges and that nothing comes to a broker where it has been, no more.
 */
import type { Random } from '../../../scripts/crash/random.ts';
import { type BridgeSettings, bridge as bridgeSchema } from '../../../src/contracts/bridge-settings.ts';
import { matches } from '../../../src/protocol/topic.ts';

/** A bridge of broker `from` to broker `to`. */
export interface Edge {
  readonly from: number;
  readonly to: number;
  readonly settings: BridgeSettings;
}

export const shapes = ['pair', 'pair', 'doubled', 'tree', 'ring', 'each other'] as const;

export interface Topology {
  readonly shape: (typeof shapes)[number];
  readonly brokers: number;
  readonly edges: readonly Edge[];
  /** All bridges carry only what is subscribed to: some at each broker, which changes. */
  readonly isNarrow: boolean;
  /** What is subscribed to at each broker from the beginning, and what besides from late on. */
  readonly watched: readonly (readonly string[])[];
  readonly watchedLate: readonly (readonly string[])[];
}

/** Of topics that go over bridges, and of those that do not. */
export const filtersToWatch = [
  ...['#', 'both/#', 'both/x', 'out/+', 'out/y', 'in/#', 'in/x', 'all/x', 'all/#', '+/x', 'elsewhere/#'],
  ...['l/both/x', 'l/out/#', 'r/both/#', 'r/in/x', 'r/all/+', 'l/all/y'],
] as const;

const drawFilters = (random: Random, most: number) =>
  Array.from({ length: random.between(0, most) }, () => random.pick(filtersToWatch));

export const addressOf = (broker: number) => `mqtt://broker${broker}:1883`;

export function drawTopology(random: Random): Topology {
  const shape = random.pick(shapes);
  const brokers = shape === 'tree' ? random.between(3, 5) : shape === 'ring' ? random.between(3, 4) : 2;
  const topics = drawTopics(random, shape);
  let count = 0;
  const edge = (from: number, to: number): Edge => {
    const name = `b${++count}-${from}-${to}`;
    return { from, to, settings: drawBridge(random, name, to, topics) };
  };
  const others = Array.from({ length: brokers - 1 }, (_, i) => i + 1);
  const edges = {
    pair: () => [edge(0, 1)],
    doubled: () => [edge(0, 1), edge(0, 1)],
    'each other': () => [edge(0, 1), edge(1, 0)],
    ring: () => [edge(0, 1), ...others.map((each) => edge(each, (each + 1) % brokers))],
    // To the parent, or from it.
    tree: () => others.map((each) => twist(random, each, random.between(0, each - 1), edge)),
  }[shape]();
  const isNarrow = random.isLucky(0.3);
  const drawn = isNarrow
    ? edges.map((each) => withLanes(random, each, true))
    : random.isLucky(0.5)
      ? edges
      : edges.map((each) => withLanes(random, each, false));
  const all = Array.from({ length: brokers });
  const watched = all.map(() => (isNarrow ? drawFilters(random, 4) : ['#']));
  const watchedLate = all.map(() => (isNarrow ? drawFilters(random, 2) : []));
  return { shape, brokers, edges: drawn, isNarrow, watched, watchedLate };
}

/**
 * Some entries have a priority, or a pipeline, through which messages go as they are, in their time; or bring what is
 * subscribed to, which is all of it unless the topology is narrow: see the watcher of each node.
 */
function withLanes(random: Random, { settings, ...edge }: Edge, isNarrow: boolean): Edge {
  const hasLanes = !isNarrow || random.isLucky(0.4);
  const topics = settings.topics.map((entry) => ({
    ...entry,
    priority: entry.direction === 'in' || !hasLanes ? 0 : random.between(0, 2),
    pipeline: hasLanes && random.isLucky(0.4) ? 'slow' : undefined,
    forward: isNarrow || random.isLucky(0.5) ? ('subscribed' as const) : ('all' as const),
  }));
  return { ...edge, settings: { ...settings, topics } };
}

const twist = (random: Random, one: number, other: number, edge: (from: number, to: number) => Edge) =>
  random.isLucky(0.5) ? edge(one, other) : edge(other, one);

/** Where messages meet again, and prefixes rename them, nearly nothing would go more than one way. */
function drawTopics(random: Random, shape: Topology['shape']): () => object[] {
  const hasPrefixes = random.isLucky(shape === 'pair' ? 0.5 : 0.25);
  const qos = random.pick([1, 2, null] as const);
  return () => {
    const entry = (filter: string, direction: string) => ({
      ...{ filter, direction, qos: qos ?? random.pick([1, 2]) },
      localPrefix: hasPrefixes ? random.pick(['', 'l/']) : '',
      remotePrefix: hasPrefixes ? random.pick(['', 'r/']) : '',
    });
    const directions = ['both', 'out', 'in'] as const;
    if (random.isLucky(0.2)) return [entry('#', random.pick(directions))];
    const some = directions.filter(() => random.isLucky(0.6));
    return (some.length > 0 ? some : (['both'] as const)).map((each) => entry(`${each}/#`, each));
  };
}

function drawBridge(random: Random, name: string, to: number, topics: () => object[]): BridgeSettings {
  return bridgeSchema.parse({
    ...{ name, clientId: name, addresses: [addressOf(to)], version: '5.0', topics: topics() },
    maxInflight: random.pick([1, 2, 10, 100]),
    ...{ keepAliveSeconds: 2, connectTimeoutSeconds: 2, reconnect: { minimumMs: 100, maximumMs: 1_000 } },
  });
}

/** Copies of a message that arrive at one broker under one topic. */
export interface Copies {
  readonly broker: number;
  readonly topic: string;
  /** Ways that lead there. */
  count: number;
  /** Bridges on the longest of these. */
  hops: number;
  /** The lowest QoS on any of these. */
  qos: number;
}

/** By broker and topic, of a message that is published at `broker`; there as well. */
export function copiesOf({ edges }: Topology, broker: number, topic: string, qos: number): Map<string, Copies> {
  const found = new Map<string, Copies>();
  const go = (at: number, name: string, visited: readonly number[], qos: number) => {
    const key = keyOf(at, name);
    const copies = found.get(key) ?? { broker: at, topic: name, count: 0, hops: 0, qos };
    copies.count++;
    copies.hops = Math.max(copies.hops, visited.length);
    copies.qos = Math.min(copies.qos, qos);
    found.set(key, copies);
    for (const edge of edges) {
      for (const direction of ['out', 'in'] as const) {
        const [source, target] = direction === 'out' ? [edge.from, edge.to] : [edge.to, edge.from];
        if (source !== at || target === at || visited.includes(target)) continue;
        const mapped = mapTopic(edge.settings, direction, name);
        if (mapped !== null) go(target, mapped.topic, [...visited, at], Math.min(qos, mapped.qos));
      }
    }
  };
  go(broker, topic, [], qos);
  return found;
}

export const keyOf = (broker: number, topic: string) => `${broker} ${topic}`;

function mapTopic({ topics }: BridgeSettings, direction: 'out' | 'in', topic: string) {
  for (const { filter, qos, localPrefix, remotePrefix, ...entry } of topics) {
    if (entry.direction !== direction && entry.direction !== 'both') continue;
    const [from, to] = direction === 'out' ? [localPrefix, remotePrefix] : [remotePrefix, localPrefix];
    if (matches(from + filter, topic)) return { topic: to + topic.slice(from.length), qos };
  }
  return null;
}

/** Topics that go over a bridge from this broker on. */
export function topicsAt({ edges }: Topology, broker: number): string[] {
  const topics = edges.flatMap(({ from, to, settings }) =>
    settings.topics.flatMap(({ filter, direction, localPrefix, remotePrefix }) => {
      const rest = filter === '#' ? ['all/x', 'all/y'] : [filter.replace('#', 'x'), filter.replace('#', 'y')];
      const prefixes = [
        ...(from === broker && direction !== 'in' ? [localPrefix] : []),
        ...(to === broker && direction !== 'out' ? [remotePrefix] : []),
      ];
      return prefixes.flatMap((prefix) => rest.map((each) => prefix + each));
    }),
  );
  return [...new Set(topics)];
}
