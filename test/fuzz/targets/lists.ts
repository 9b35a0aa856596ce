/**
 * What the API tells of a broker with some of everything: lists with all their filters, gone through by cursor, and
 * what explains. Whatever is asked, the answer has the form that is declared, or it is refused; and the pages of a
 * list are, one behind the other, what a single large page gives.
 *
 * Input: JSON, a list of commands, each `[name, request]`. The text `CURSOR` in a request stands for the cursor of the
 * last page, and `NUMBER` for that of another list.
 */
import { generate, type Packet, parser } from 'mqtt-packet';
import type { Random } from '../../../scripts/crash/random.ts';
import { startApp } from '../../../src/app.ts';
import { CursorError } from '../../../src/base/pages.ts';
import { parseConfig } from '../../../src/config/load.ts';
import { type CommandName, checkedAnswer, checkedName, commands } from '../../../src/contracts/commands.ts';
import { CommandFailure, failures } from '../../../src/contracts/failures.ts';
import { program } from '../../../src/contracts/roles.ts';
import type { ByteStream } from '../../../src/contracts/transport.ts';
import type { ConnectionView } from '../../../src/contracts/views.ts';
import { mutateBytes } from '../mutate.ts';
import { bytesOf, must, type Target } from '../target.ts';

const bytesMax = 20_000;
const stepsMax = 12;
const pagesMax = 200;

/** Those that only tell, and end at once. */
const names = (Object.keys(commands) as CommandName[]).filter((name) => {
  const { route, isStream = false } = commands[name] as { route: string; isStream?: boolean };
  return route.startsWith('GET ') && !isStream && name !== 'topics tree';
});
/** Nothing changes what these list between two pages. */
const steady = new Set<string>([
  ...['clients list', 'connections list', 'subscriptions list', 'retained list', 'queue list', 'inflight list'],
  ...['topics subscribers', 'bans list'],
]);

const clientIds = ['a', 'device/1', '+', '#', '__proto__', 'constructor', 'ünï', '\u{1f600}', ' ', 'x'.repeat(3_000)];
const texts = [
  ...clientIds,
  ...[
    '',
    '/',
    'a/b',
    'a/+',
    'a/#',
    '+/+',
    '$SYS/#',
    '$share/g/a/#',
    '$share/g',
    '10.0.0.0/8',
    '::ffff:10.1.0.1',
    '::/0',
  ],
  ...['CURSOR', 'NUMBER', '0.1', 'CURSOR.1', 'everybody', 'yes', '\ud800', '\0'],
];
const values: readonly unknown[] = [
  ...texts,
  0,
  1,
  2,
  3,
  5,
  1_000,
  1_001,
  -1,
  0.5,
  1e21,
  true,
  false,
  null,
  [],
  {},
  ['a'],
];

type Commands = Awaited<ReturnType<Awaited<ReturnType<typeof startApp>>['commands']>>;

/** Clients without a network, some of them absent with messages that wait. Resolves when nothing changes any more. */
async function fill(broker: Awaited<ReturnType<typeof startApp>>['broker'], receiver: Commands): Promise<void> {
  const messages = 40;
  const ends: (() => void)[] = [];
  const acknowledged = { suback: 0, puback: 0 };
  const until = async (isSo: () => boolean | Promise<boolean>) => {
    while (!(await isSo())) await new Promise((done) => setTimeout(done, 5));
  };
  const senders = clientIds.map((clientId, i) => {
    const answers = parser();
    answers.on('packet', ({ cmd }) => {
      if (cmd === 'suback' || cmd === 'puback') acknowledged[cmd]++;
    });
    const stream: ByteStream = {
      ...{ kind: 'tcp', remoteAddress: `10.${i}.0.1:50000`, certificate: null, pendingBytes: 0 },
      ...{ pause() {}, resume() {}, end() {}, destroy() {} },
      write: (bytes) => void answers.parse(Buffer.from(bytes)),
    };
    const connection = broker.accept(stream, 'mqtt://127.0.0.1:1883')!;
    ends.push(() => connection.onClose(null));
    const send = (packet: object) => {
      const bytes = generate(packet as Packet, { protocolVersion: 4 });
      connection.onBytes(bytes, 0, bytes.length);
    };
    const login = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: false, keepalive: 0 };
    send({ ...login, clientId, ...(i % 2 === 0 ? { username: clientId.slice(0, 9) } : {}) });
    const topics = ['everybody', `a/${i}`, 'a/#', '$share/g/a/+', clientId === '#' ? '#' : `+/${i}`];
    const subscriptions = topics.map((topic) => ({ topic, qos: i % 3 }));
    send({ cmd: 'subscribe', messageId: 1, subscriptions });
    return send;
  });
  await until(() => acknowledged.suback === clientIds.length);
  // Half of them are absent, and messages wait for them.
  for (const [i, end] of ends.entries()) if (i % 2 === 1) end();
  const message = { cmd: 'publish', qos: 1, dup: false };
  for (let i = 0; i < messages; i++) {
    const topic = ['everybody', `a/${i % 10}`, `nobody/${i}`, 'a'][i % 4]!;
    senders[0]!({ ...message, topic, payload: `${i}`, retain: i % 3 === 0, messageId: i + 1 });
  }
  await until(() => acknowledged.puback === messages);
  const present = Math.ceil(clientIds.length / 2);
  await until(async () => {
    const { items } = (await receiver.receive('connections list', {}, program)) as { items: ConnectionView[] };
    return items.length === present && items.every(({ memoryBytes }) => memoryBytes === 0);
  });
}

type Step = readonly [name: string, request: object];

function stepsOf(input: Uint8Array): readonly Step[] | null {
  try {
    const steps: unknown = JSON.parse(Buffer.from(input).toString());
    if (!Array.isArray(steps)) return null;
    return steps.slice(0, stepsMax).map((step: unknown) => {
      const [name, request] = Array.isArray(step) ? (step as unknown[]) : [];
      return [String(name), (request ?? {}) as object];
    });
  } catch {
    return null;
  }
}

const bytes = (steps: readonly Step[]) => Buffer.from(JSON.stringify(steps));

/** A request of the command, each of its keys as the seeds have it or left out. */
function requestOf(name: CommandName, random: Random): object {
  const keys = Object.keys(commands[name].request.shape);
  return Object.fromEntries(
    keys.flatMap((key) => {
      if (key === 'cursor') return random.isLucky(0.4) ? [[key, 'CURSOR']] : [];
      if (key === 'limit') return random.isLucky(0.7) ? [[key, random.pick([1, 2, 3, 7, 1_000])]] : [];
      return random.isLucky(key === 'clientId' || key === 'topic' ? 0.8 : 0.3) ? [[key, random.pick(values)]] : [];
    }),
  );
}

const tokens = bytesOf(
  ...texts.map((text) => JSON.stringify(text)),
  ...names.map((name) => `["${name}",{`),
  ...['"limit":1', '},', ']'],
);

export async function lists(): Promise<Target> {
  const log = { level: 'silent' as const };
  const config = { store: { kind: 'memory' as const }, listeners: [{ kind: 'tcp' as const, port: 0 }], log };
  const app = await startApp(parseConfig(config));
  const receiver = await app.commands();
  await fill(app.broker, receiver);
  let [cursor, other] = ['1.1', '1.1'];

  async function give(name: string, request: object): Promise<[outcome: string, answer: object | null]> {
    try {
      const answer = await receiver.receive(name, request, program);
      checkedAnswer(checkedName(name), answer);
      return ['done', answer];
    } catch (error) {
      if (error instanceof CursorError) return ['cursor-expired', null];
      if (!(error instanceof CommandFailure)) throw error;
      must(failures[error.kind].status < 500, `${name} is answered with ${error.kind}`);
      return [error.kind, null];
    }
  }

  const itemsOf = (answer: object | null) => (answer as { items?: readonly unknown[] } | null)?.items ?? [];
  const cursorOf = (answer: object | null) => (answer as { cursor?: string | null } | null)?.cursor ?? null;

  /** From the first page to the last one, against one page with everything. */
  async function goThrough(name: string, request: object, first: object): Promise<void> {
    const { cursor: at, ...same } = request as { cursor?: unknown };
    if (at !== undefined && at !== null) return;
    const [, whole] = await give(name, { ...same, limit: 1_000 });
    if (cursorOf(whole) !== null) return;
    const items = [...itemsOf(first)];
    let next = cursorOf(first);
    for (let pages = 1; next !== null; pages++) {
      must(pages < pagesMax, `${name} does not end`);
      const [outcome, page] = await give(name, { ...same, cursor: next });
      must(outcome === 'done', `${name} does not go on: ${outcome}`);
      items.push(...itemsOf(page));
      next = cursorOf(page);
    }
    must(JSON.stringify(items) === JSON.stringify(itemsOf(whole)), `${name} has other items in small pages`);
  }

  return {
    name: 'lists',
    seeds: [
      ...names.map((name) =>
        bytes([[name, Object.fromEntries(Object.keys(commands[name].request.shape).map((k) => [k, 1]))]]),
      ),
      ...names.map((name) =>
        bytes([
          [name, { limit: 2 }],
          [name, { limit: 2, cursor: 'CURSOR' }],
        ]),
      ),
      bytes([
        ['clients list', { limit: 3 }],
        ['subscriptions list', { limit: 1 }],
        ['clients list', { cursor: 'NUMBER' }],
      ]),
      bytes([['clients list', { clientIdPrefix: 'device', clientIdContains: '1', username: 'a', connected: true }]]),
      bytes([['clients list', { address: '10.0.0.0/8', protocolVersion: 4, limit: 1 }]]),
      bytes([
        ['queue list', { clientId: 'device/1', limit: 1 }],
        ['inflight list', { clientId: 'a' }],
      ]),
      bytes([['retained list', { topicFilter: '+/#', limit: 1 }]]),
      bytes([
        ['explain', { topic: 'a/1', from: 'a', to: 'device/1', qos: 1 }],
        ['explain', { topic: 'everybody' }],
      ]),
    ],
    tokens,
    bytesMax,
    async run(input) {
      const steps = stepsOf(input);
      if (steps === null) return 'no JSON';
      const outcomes: string[] = [];
      for (const [name, request] of steps) {
        if (!(names as readonly string[]).includes(name)) continue;
        const text = JSON.stringify(request).replaceAll('CURSOR', cursor).replaceAll('NUMBER', other);
        const asked = JSON.parse(text) as object;
        const [outcome, answer] = await give(name, asked);
        if (answer !== null && steady.has(name)) await goThrough(name, asked, answer);
        const next = cursorOf(answer);
        if (next !== null) [cursor, other] = [next, cursor];
        outcomes.push(`${name} ${outcome} ${itemsOf(answer).length > 0} ${next !== null}`);
      }
      return outcomes.slice(0, 3).join(', ');
    },
    mutate(input, random, another) {
      const steps = stepsOf(input);
      if (steps === null || random.isLucky(0.1)) return mutateBytes(input, random, another, { tokens, bytesMax });
      const mutated = [...steps];
      const at = random.between(0, mutated.length);
      const [name, request] = mutated[at] ?? ['', {}];
      const command = random.isLucky(0.6) ? names.find((each) => each === name) : undefined;
      const made = command ?? random.pick(names);
      const kept = command === undefined || typeof request !== 'object' ? {} : request;
      mutated[at] = [made, { ...kept, ...requestOf(made, random) }];
      return bytes(mutated.slice(-stepsMax));
    },
    close() {
      void app.close();
    },
  };
}
