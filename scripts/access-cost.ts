/**
 * `npm run bench:access`: what 1,000 rules cost a QoS 0 message, without a network and so without what the network
 * costs.
 *
 * Three brokers in one process, without an access policy, without rules and with them, are fed the same bytes in turns
 * of 2,000 messages, so that whatever else the machine does meets them all.
 */
import { join } from 'node:path';
import { generate, type Packet } from 'mqtt-packet';
import { parse } from 'yaml';
import { rulesWithMatchAtTheEnd } from './bench/brokers.ts';
import { median } from './bench/results.ts';
import { readOptions } from './command-line.ts';
import { projectRoot } from './project-root.ts';

readOptions('npm run bench:access   has no options\n', {});

const pairs = 100;
const burst = 20;
const turns = 3_000;
const warmUpTurns = 300;

interface Receiver {
  onBytes(bytes: Buffer, start: number, end: number): void;
}

/** What is used of the built broker. */
interface Built {
  readonly Broker: new (options: object) => { start(): Promise<void>; accept(stream: object, url: string): Receiver };
  readonly MemoryStore: new () => object;
  readonly defaultSettings: object;
  readonly RulePolicy: new () => { replace(rules: object): void };
  prepareRules(settings: object, where: (index: number) => string): { readonly rules: object };
}

const load = async (file: string) => (await import(join(projectRoot(), 'dist', file))) as Built;
const { Broker } = await load('broker/broker.js');
const { MemoryStore } = await load('store/memory.js');
const { defaultSettings } = await load('contracts/settings.js');
const { RulePolicy } = await load('auth/authorization/policy.js');
const { prepareRules } = await load('auth/authorization/authorization.js');

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));
let deliveredBytes = 0;

/**
 * Pairs of clients on a broker of their own; each call publishes a burst from each, and resolves with the microseconds
 * it took.
 */
async function pairsOn(policy: object | null): Promise<() => Promise<number>> {
  const settings = { ...defaultSettings, sysIntervalSeconds: 0 };
  const broker = new Broker({ settings, store: new MemoryStore(), ...(policy === null ? {} : { access: policy }) });
  await broker.start();
  const connect = (clientId: string) => {
    const receiver = broker.accept(
      {
        ...{ kind: 'tcp', remoteAddress: '127.0.0.1:50000', certificate: null, pendingBytes: 0 },
        ...{ pause() {}, resume() {}, end() {}, destroy() {} },
        write(bytes: Uint8Array) {
          deliveredBytes += bytes.length;
        },
      },
      'mqtt://127.0.0.1:1883',
    );
    const send = (bytes: Buffer) => receiver.onBytes(bytes, 0, bytes.length);
    send(generate({ cmd: 'connect', clientId, clean: true, keepalive: 0 } as Packet));
    return send;
  };
  const publishers: (() => void)[] = [];
  for (let i = 0; i < pairs; i++) {
    const topic = `load/pair/${i}`;
    connect(`subscriber-${i}`)(generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 0 }] }));
    const publish = connect(`publisher-${i}`);
    const message = generate({ cmd: 'publish', topic, payload: Buffer.alloc(64), qos: 0, dup: false, retain: false });
    const messages = Buffer.concat(new Array<Buffer>(burst).fill(message));
    publishers.push(() => publish(messages));
    await nextTurn();
  }
  return async () => {
    const start = performance.now();
    for (const publish of publishers) publish();
    await nextTurn();
    return (performance.now() - start) * 1_000;
  };
}

const ruled = new RulePolicy();
const rules = rulesWithMatchAtTheEnd(1_000).map((rule) => parse(rule) as object);
ruled.replace(prepareRules({ rules, default: 'deny' }, String).rules);
const runs = {
  'without a policy': await pairsOn(null),
  'without rules': await pairsOn(new RulePolicy()),
  'with 1,000 rules': await pairsOn(ruled),
};
const names = Object.keys(runs) as (keyof typeof runs)[];
const times = new Map(names.map((name) => [name, [] as number[]]));
for (let turn = 0; turn < warmUpTurns + turns; turn++) {
  if (turn === warmUpTurns) deliveredBytes = 0;
  // None of them is always the one behind another.
  for (let i = 0; i < names.length; i++) {
    const name = names[(turn + i * (1 + (turn & 1))) % names.length]!;
    const microseconds = await runs[name]();
    if (turn >= warmUpTurns) times.get(name)!.push(microseconds);
  }
}
const messages = pairs * burst;
const expected = turns * names.length * messages * (2 + 2 + 'load/pair/00'.length + 64);
if (Math.abs(deliveredBytes / expected - 1) > 0.01) throw new Error(`${deliveredBytes} bytes came, not ${expected}`);
process.stdout.write('| nanoseconds a message | lowest | median |\n|---|--:|--:|\n');
for (const [name, each] of times) {
  const tell = (microseconds: number) => ((microseconds * 1_000) / messages).toFixed(1);
  process.stdout.write(`| ${name} | ${tell(Math.min(...each))} | ${tell(median(each))} |\n`);
}
process.exit();
