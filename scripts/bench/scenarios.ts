/**
 * What is measured: rows of options for the generator, in groups. `floor` is what Sluice has to reach of Mosquitto
 * 2.0's figure in the same run.
 */
import type { BrokerName } from './brokers.ts';

type SessionPhase = 'made' | 'resumed' | 'ended';
type Phase = 'set' | 'get' | 'accept' | 'drain' | SessionPhase;
type RateField = 'out_rate' | 'conn_rate' | `${Phase}_rate`;

/** One figure of a run, and how it is read. */
export interface Metric {
  readonly name: string;
  readonly field: RateField;
  readonly cpuField: 'cpu_s' | `${Phase}_cpu_s`;
  readonly latencyField: 'lat_us' | 'ack_us' | 'conn_us' | `${SessionPhase}_us` | null;
  /** At least so many times Mosquitto's rate. */
  readonly floor?: number;
  /** At least so many a second. */
  readonly leastRate?: number;
  /** At most so much processor time of the broker each, in microseconds. */
  readonly mostMicroseconds?: number;
}

export interface Scenario {
  readonly title: string;
  readonly args: string;
  readonly metrics: readonly Metric[];
  readonly scheme: 'mqtt' | 'mqtts' | 'ws' | 'wss';
  readonly isDurable: boolean;
  readonly brokers: readonly BrokerName[];
  /** Each run has a broker that has just started. Otherwise one broker has all of them. */
  readonly isCold: boolean;
  /** Runs before those that count. */
  readonly warmUps: number;
  /** Before each run that counts. */
  readonly pauseSeconds: number;
  /** Only the project's own generator knows this load. */
  readonly isOwnLoad: boolean;
}

const all: readonly BrokerName[] = ['sluice', 'mosquitto', 'aedes'];

function scenario(args: string, metrics: readonly Metric[], other: Partial<Scenario> = {}): Scenario {
  const usual = {
    scheme: 'mqtt',
    isDurable: false,
    isCold: false,
    warmUps: 0,
    pauseSeconds: 0,
    isOwnLoad: false,
  } as const;
  return { title: args, args, metrics, brokers: all, ...usual, ...other };
}

function delivered(floor?: number): readonly Metric[] {
  const metric = { name: 'delivered', field: 'out_rate', cpuField: 'cpu_s', latencyField: 'lat_us' } as const;
  return [floor === undefined ? metric : { ...metric, floor }];
}

function retained(setFloor: number, getFloor: number): readonly Metric[] {
  return [
    { name: 'set', field: 'set_rate', cpuField: 'set_cpu_s', latencyField: null, floor: setFloor },
    { name: 'get', field: 'get_rate', cpuField: 'get_cpu_s', latencyField: null, floor: getFloor },
  ];
}

function opened(leastRate?: number): readonly Metric[] {
  const metric = { name: 'connections', field: 'conn_rate', cpuField: 'cpu_s', latencyField: 'conn_us' } as const;
  return [leastRate === undefined ? metric : { ...metric, leastRate }];
}

function stored(least?: { readonly accepted: number; readonly drained: number }): readonly Metric[] {
  const accepted = {
    name: 'accepted',
    field: 'accept_rate',
    cpuField: 'accept_cpu_s',
    latencyField: 'ack_us',
  } as const;
  const drained = { name: 'drained', field: 'drain_rate', cpuField: 'drain_cpu_s', latencyField: null } as const;
  if (least === undefined) return [accepted, drained];
  return [
    { ...accepted, leastRate: least.accepted },
    { ...drained, leastRate: least.drained },
  ];
}

/** The same metrics, each with what it may cost at most. */
function atMost(metrics: readonly Metric[], ...microseconds: readonly number[]): Metric[] {
  return metrics.map((metric, i) => ({ ...metric, mostMicroseconds: microseconds[i]! }));
}

/**
 * A cold start, many topics, many sessions, changes beside traffic: where there is much of something, or for the first
 * time.
 */
function scale(): Scenario[] {
  const kept = retained(1, 1).map(({ floor: _, ...metric }) => metric);
  const sessions = (['made', 'resumed', 'ended'] as const).map((name): Metric => {
    return { name, field: `${name}_rate`, cpuField: `${name}_cpu_s`, latencyField: `${name}_us` };
  });
  const topics = (count: number) =>
    scenario(`topics -n ${count} -a 50 -q 0`, delivered(), { isOwnLoad: true, warmUps: 1 });
  const churn = (args: string) => scenario(args, delivered(), { isOwnLoad: true });
  return [
    scenario('conn -n 5000', atMost(opened(15_000), 60), { title: 'conn -n 5000, cold', isCold: true }),
    scenario('conn -n 5000', atMost(opened(25_000), 35), { title: 'conn -n 5000, warm', warmUps: 3 }),
    scenario('conn -n 5000', atMost(opened(25_000), 35), {
      title: 'conn -n 5000, warm, after a pause',
      warmUps: 3,
      pauseSeconds: 15,
    }),
    scenario('retained -n 10000 -q 1 -w 100', atMost(kept, 4, 2), { title: 'retained -n 10000, cold', isCold: true }),
    scenario('retained -n 100000 -q 1 -w 100', atMost(kept, 2.5, 0.6), {
      title: 'retained -n 100000, warm',
      warmUps: 1,
    }),
    topics(100),
    topics(5_000),
    topics(100_000),
    churn('p2p -n 100 -q 0 --churn 1000'),
    churn('p2p -n 100 -q 0 -B 100000 --churn 1000'),
    churn('fanout -a 1 -b 2000 -q 0 --churn 1000'),
    scenario('sessions -n 10000 -q 1', sessions, { isOwnLoad: true, brokers: onlySluice, isDurable: true }),
    scenario('p2p -n 5000 -q 0', atMost(delivered(), 0.55)),
    scenario('p2p -n 5000 -q 1', atMost(delivered(), 0.9)),
    ...[true, false].map((isDurable) => {
      const title = `offline, ${isDurable ? 'synced to disk' : 'in memory'}, cold`;
      return scenario('offline -n 100 -m 1000 -a 10 -q 1 -w 20', stored(), { title, isDurable, isCold: true });
    }),
  ];
}

const onlySluice: readonly BrokerName[] = ['sluice'];

export const groups: Readonly<Record<string, readonly Scenario[]>> = {
  core: [
    scenario('fanin -a 50 -b 1 -q 0', delivered(14)),
    scenario('fanin -a 50 -b 1 -q 1', delivered(12)),
    scenario('p2p -n 100 -q 0', delivered(11)),
    scenario('p2p -n 100 -q 1', delivered(11)),
    scenario('p2p -n 100 -q 2', delivered(10)),
    scenario('p2p -n 100 -q 0 -w 1', delivered(1.05)),
    scenario('p2p -n 100 -q 1 -w 1', delivered(1.1)),
    scenario('fanout -a 1 -b 500 -q 0', delivered(12)),
    scenario('fanout -a 1 -b 500 -q 1', delivered(10)),
    scenario('retained -n 10000 -q 1 -w 100', retained(3, 4)),
    scenario('conn -n 5000', opened(10_000)),
  ],
  scale: scale(),
  latency: [scenario('p2p -n 100 -q 0 -r 5000', delivered()), scenario('p2p -n 100 -q 1 -r 5000', delivered())],
  v5: [
    scenario('p2p -n 100 -q 0 -V 4', delivered(), { brokers: onlySluice }),
    scenario('p2p -n 100 -q 0 -V 5', delivered(), { brokers: onlySluice }),
    scenario('p2p -n 100 -q 1 -V 4', delivered(), { brokers: onlySluice }),
    scenario('p2p -n 100 -q 1 -V 5', delivered(), { brokers: onlySluice }),
  ],
  transports: (['mqtt', 'ws', 'mqtts', 'wss'] as const).flatMap((scheme) =>
    ['p2p -n 100 -q 0', 'p2p -n 100 -q 1', 'fanout -a 1 -b 500 -q 0', 'conn -n 1000'].map((args) => {
      const metrics = args.startsWith('conn') ? opened() : delivered();
      return scenario(args, metrics, { title: `${args} (${scheme})`, scheme, brokers: onlySluice });
    }),
  ),
  durable: [
    scenario('offline -n 100 -m 1000 -a 10 -q 1 -w 20', stored({ accepted: 120_000, drained: 250_000 }), {
      title: 'offline, synced to disk',
      isDurable: true,
      brokers: onlySluice,
    }),
    scenario('offline -n 100 -m 1000 -a 10 -q 1 -w 20', stored({ accepted: 400_000, drained: 500_000 }), {
      title: 'offline, in memory',
    }),
  ],
  // With QoS 0 and so few messages under way, Mosquitto waits for TCP's delayed acknowledgements.
  payloads: [1_000, 16_000, 64_000, 200_000].map((bytes) => scenario(`p2p -n 4 -q 1 -s ${bytes} -w 4`, delivered())),
  access: ['p2p -n 100 -q 0', 'p2p -n 100 -q 1', 'fanin -a 50 -b 1 -q 0'].map((args) => {
    return scenario(args, delivered(), { brokers: ['sluice', 'sluice-rules'] });
  }),
  subscriptions: [0, 1_000, 10_000, 100_000, 1_000_000].map((count) => {
    const args = `p2p -n 100 -q 0${count === 0 ? '' : ` -B ${count} --bgconns ${Math.max(50, count / 5_000)}`}`;
    return scenario(args, delivered(), { title: `p2p -n 100 -q 0, ${count} other subscriptions`, brokers: onlySluice });
  }),
  connections: [5, 50, 500, 5_000].map((pairs) => {
    const args = `p2p -n ${pairs} -q 0`;
    return scenario(args, delivered(), { title: `${args}, ${pairs * 2} connections`, brokers: onlySluice });
  }),
  idle: (['mqtt', 'ws'] as const).flatMap((scheme) =>
    [1_000, 5_000, 10_000, 19_000].map((count) => {
      const other = { title: `${count} idle connections (${scheme})`, scheme, brokers: onlySluice };
      return scenario(`conn -n ${count}`, opened(), other);
    }),
  ),
};
