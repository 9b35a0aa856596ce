/**
 * What is asked of the generator: the letters are those of mqload, a generator in C, so that either can do the same
 * run.
 */
import { parseArgs } from 'node:util';

export const scenarioNames = [
  'fanin',
  'fanout',
  'p2p',
  'conn',
  'offline',
  'retained',
  'topics',
  'sessions',
  'given',
] as const;
export type ScenarioName = (typeof scenarioNames)[number];

export const help = `generator SCENARIO [options]   scenarios: ${scenarioNames.join(' ')}
  --url URL        mqtt://, mqtts://, ws:// or wss:// (mqtt://127.0.0.1:1883)   -P PORT  the same with another port
  --to URL         fanin, fanout, p2p: where the subscribers are, behind a bridge (the same)
  -V 4|5           protocol version (4)              -q QOS      of publishing and subscribing (0)
  -a PUBS -b SUBS  publishers, subscribers (1, 1)    -n N        pairs, connections, sessions or topics (100)
  -s BYTES         payload (64, at least 24)         -m MSGS     offline: messages per session (1000)
  -w N             unacknowledged per publisher (20) -W N        undelivered per publisher (as -w)
  -r RATE          open loop, messages/s in all      -B N        other subscriptions, with wildcards (0)
  -d S -u S        measured seconds (5), warm-up (1) -c N        connection attempts under way (64)
  -p PID           the broker's process, to account  --idle S    conn: how long they are held (3)
  --bgconns N      connections for -B (50)           --hex DIGITS      given: the payload of its pairs
  --churn RATE     SUBSCRIBE and UNSUBSCRIBE packets a second beside the flow (0)
`;

/** Begins the client identifiers and topics of this process, so that several can load one broker. */
export const ownName = `load-${process.pid}`;

export interface LoadOptions {
  readonly scenario: ScenarioName;
  readonly url: URL;
  /** Of subscribers. */
  readonly to: URL;
  readonly version: 4 | 5;
  readonly qos: 0 | 1 | 2;
  readonly publishers: number;
  readonly subscribers: number;
  readonly count: number;
  readonly payloadBytes: number;
  /** `given`: the payload itself. */
  readonly payload: Buffer;
  readonly messages: number;
  readonly unacknowledgedMax: number;
  readonly undeliveredMax: number;
  /** 0: closed loop. */
  readonly rate: number;
  readonly otherSubscriptions: number;
  readonly otherConnections: number;
  readonly changesPerSecond: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly connectingMax: number;
  readonly idleSeconds: number;
  readonly brokerPid: number | null;
}

export function parseLoadOptions(argv: readonly string[]): LoadOptions {
  const text = (short: string, fallback: string) => ({ type: 'string', short, default: fallback }) as const;
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      url: { type: 'string', default: 'mqtt://127.0.0.1:1883' },
      port: { type: 'string', short: 'P' },
      to: { type: 'string' },
      version: text('V', '4'),
      qos: text('q', '0'),
      publishers: text('a', '1'),
      subscribers: text('b', '1'),
      count: text('n', '100'),
      payload: text('s', '64'),
      hex: { type: 'string', default: '' },
      messages: text('m', '1000'),
      unacknowledged: text('w', '20'),
      undelivered: { type: 'string', short: 'W' },
      rate: text('r', '0'),
      others: text('B', '0'),
      bgconns: { type: 'string', default: '50' },
      churn: { type: 'string', default: '0' },
      seconds: text('d', '5'),
      warmup: text('u', '1'),
      connecting: text('c', '64'),
      idle: { type: 'string', default: '3' },
      pid: { type: 'string', short: 'p' },
      quiet: { type: 'boolean' },
    },
  });
  const scenario = scenarioNames.find((name) => name === positionals[0]);
  if (scenario === undefined || positionals.length !== 1) throw new Error(help);
  const number = (name: keyof typeof values, least: number): number => {
    const value = Number(values[name]);
    if (!(value >= least)) throw new Error(`--${name} wants a number from ${least}, not "${values[name]}"`);
    return value;
  };
  const url = new URL(values.url);
  if (values.port !== undefined) url.port = values.port;
  return {
    scenario,
    url,
    to: values.to === undefined ? url : new URL(values.to),
    version: number('version', 4) === 5 ? 5 : 4,
    qos: Math.min(2, number('qos', 0)) as 0 | 1 | 2,
    publishers: number('publishers', 1),
    subscribers: number('subscribers', 1),
    count: number('count', 1),
    payloadBytes: number('payload', 24),
    payload: Buffer.from(values.hex, 'hex'),
    messages: number('messages', 1),
    unacknowledgedMax: Math.min(1_000, number('unacknowledged', 1)),
    undeliveredMax: values.undelivered === undefined ? number('unacknowledged', 1) : number('undelivered', 1),
    rate: number('rate', 0),
    otherSubscriptions: number('others', 0),
    otherConnections: number('bgconns', 1),
    changesPerSecond: number('churn', 0),
    seconds: number('seconds', 0.1),
    warmUpSeconds: number('warmup', 0),
    connectingMax: number('connecting', 1),
    idleSeconds: number('idle', 0),
    brokerPid: values.pid === undefined ? null : number('pid', 1),
  };
}
