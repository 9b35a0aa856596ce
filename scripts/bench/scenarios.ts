/**
 * What is measured: rows of options for the generator, in groups. `floor` is what Sluice has to reach of Mosquitto 2.0's figure
 * in the same run.
 */
import type { BrokerName } from './brokers.ts';

/** One figure of a run, and how it is read. */
export interface Metric {
  readonly name: string;
  readonly field: 'out_rate' | 'conn_rate' | 'set_rate' | 'get_rate' | 'accept_rate' | 'drain_rate';
  readonly cpuField: 'cpu_s' | 'set_cpu_s' | 'get_cpu_s' | 'accept_cpu_s' | 'drain_cpu_s';
  readonly latencyField: 'lat_us' | 'ack_us' | 'conn_us' | null;
  /** At least so many times Mosquitto's rate. */
  readonly floor?: number;
  /** At least so many a second. */
  readonly leastRate?: number;
}

export interface Scenario {
  readonly title: string;
  readonly args: string;
  readonly metrics: readonly Metric[];
  readonly scheme: 'mqtt' | 'mqtts' | 'ws' | 'wss';
  readonly isDurable: boolean;
  readonly brokers: readonly BrokerName[];
}

const all: readonly BrokerName[] = ['sluice', 'mosquitto', 'aedes'];

function scenario(args: string, metrics: readonly Metric[], other: Partial<Scenario> = {}): Scenario {
  return { title: args, args, metrics, scheme: 'mqtt', isDurable: false, brokers: all, ...other };
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
