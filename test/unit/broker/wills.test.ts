/**
 * A will passes what a PUBLISH of its client passes, and outlives the connection, the session and the process until it
 * has.
 */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type App, startApp } from '../../../src/app.ts';
import { parseConfig } from '../../../src/config/load.ts';
import type { ConfigInput } from '../../../src/config/schema.ts';
import type { ClientIdentity, Hooks, PublishVerdict } from '../../../src/contracts/hooks.ts';
import { partsOf, type Use } from '../../../src/pipeline/used.ts';
import { type ConnectOptions, type Received, WireClient } from '../../support/wire-client.ts';

const text = (packet: Received) => packet.payload?.toString();
const keep: PublishVerdict = { verdict: 'keep' };
const lasting = { sessionExpiryInterval: 1_000 };

let directories: string[] = [];
/** The last one is the one that is in use; those before it have crashed. */
let apps: App[] = [];
let releases: (() => void)[] = [];
const app = () => apps.at(-1)!;

beforeEach(async () => {
  [directories, apps, releases] = [[], [], []];
  directories.push(await mkdtemp(join(tmpdir(), 'sluice-wills-')));
});
afterEach(async () => {
  for (const release of releases) release();
  for (const each of apps) await each.close();
  for (const directory of directories) await rm(directory, { recursive: true });
});

interface Setup {
  readonly config?: ConfigInput;
  readonly hooks?: Hooks;
  readonly use?: Use;
  readonly store?: ConfigInput['store'];
}

async function start({ config = {}, hooks, use, store }: Setup = {}): Promise<void> {
  const directory = directories.at(-1)!;
  const settings = parseConfig({
    listeners: [{ kind: 'tcp', port: 0 }],
    log: { level: 'silent' },
    store: store ?? { kind: 'level', directory },
    // Steps hang here until the test lets them answer, or the broker stops.
    pipelineLimits: { stepSeconds: 600 },
    ...config,
  });
  // In place before wills are published that were left: they may be, before it has started.
  const options = { ...(hooks === undefined ? {} : { hooks }), ...(use === undefined ? {} : { use: [use] }) };
  apps.push(await startApp(settings, options));
}

async function stop(): Promise<void> {
  await apps.pop()!.close();
}

/** What is on disk at this moment is all that the next broker finds. */
async function crash(): Promise<void> {
  const next = await mkdtemp(join(tmpdir(), 'sluice-wills-'));
  await cp(directories.at(-1)!, next, { recursive: true, filter: (source) => !source.endsWith('.sock') });
  directories.push(next);
}

const connect = (clientId: string, options: ConnectOptions = {}) =>
  WireClient.connect(app().listeners[0]!.port, { version: 5, clientId, clean: false, properties: lasting, ...options });

/** Everything that the broker has decided so far is on disk. */
async function everythingStored(): Promise<void> {
  const witness = await connect('witness', { clean: true, properties: {} });
  await witness.publish('witness', String(Math.random()), { qos: 1, retain: true });
  await witness.disconnect();
}

async function watcher(topic: string, qos = 1): Promise<WireClient> {
  const client = await connect('watcher');
  await client.subscribe(topic, { qos });
  return client;
}

/** A step that answers when it is told to. */
function gate(filter = 'will/#') {
  let reached = () => {};
  const answers: ((verdict: PublishVerdict) => void)[] = [];
  const clients: (ClientIdentity | null)[] = [];
  releases.push(() => {
    for (const answer of answers.splice(0)) answer(keep);
  });
  const step: Use = {
    filter,
    onPublish: (client) => {
      clients.push(client);
      reached();
      return new Promise((resolve) => answers.push(resolve));
    },
  };
  return {
    step,
    clients,
    /** So many messages are in it. */
    async holds(count: number): Promise<void> {
      while (answers.length < count) await new Promise<void>((resolve) => (reached = resolve));
    },
    answer: (verdict: PublishVerdict = keep) => answers.shift()!(verdict),
  };
}

const marked: Use = {
  filter: 'will/#',
  onPublish: (client, { payload }) => ({
    verdict: 'change',
    change: { payload: Buffer.from(`${payload} of ${client?.clientId}`) },
  }),
};

describe('what a program decides of its clients holds for their wills', () => {
  const soon = async <T>(answer: T) => {
    await new Promise((resolve) => setImmediate(resolve));
    return answer;
  };

  describe.each(['at once', 'later'])('an authorizePublish that answers %s', (when) => {
    test.each([
      [5, 0x87],
      [4, 5],
    ] as const)('keeps out a client whose will it refuses [MQTT5 3.1.4-2] (version %i)', async (version, code) => {
      const answer = (name: string) => (name.startsWith('secret') ? 0x87 : 0);
      await start({
        hooks: {
          authorizePublish: (_, { name }) => (when === 'later' ? soon(answer(name)) : answer(name)),
        },
      });
      const client = await WireClient.open(app().listeners[0]!.port, version);
      client.sendConnect({ clientId: 'dying', will: { topic: 'secret/will', payload: 'gone' } });
      const connack = await client.next('connack');
      expect(version === 5 ? connack.reasonCode : connack.returnCode).toBe(code);
      await client.closed();
      expect((await connect('dying', { will: { topic: 'open/will', payload: 'gone' } })).connack).toBeDefined();
    });

    test('is asked again when the will is due; one that it refuses is counted and audited, and its record goes', async () => {
      let isAllowed = true;
      const file = join(directories[0]!, 'audit.ndjson');
      const setup: Setup = {
        config: { audit: { file } },
        hooks: {
          authorizePublish: (client) => {
            const code = isAllowed || client.clientId !== 'dying' ? 0 : 0x87;
            return when === 'later' ? soon(code) : code;
          },
        },
      };
      await start(setup);
      const subscriber = await watcher('will/#');
      const dying = await connect('dying', { will: { topic: 'will/a', payload: 'gone', qos: 1 } });
      isAllowed = false;
      await dying.vanish();
      await (await connect('other', { will: { topic: 'will/b', payload: 'other' } })).vanish();
      expect(text(await subscriber.next('publish'))).toBe('other');
      expect(app().broker.counters.dropped.willRefused).toBe(1);
      await everythingStored();
      await crash();
      isAllowed = true;
      await start({ ...setup, config: { wills: { restartGraceSeconds: 0 } } });
      const again = await connect('watcher');
      await everythingStored();
      await again.nothingElse();
      await apps[0]!.close();
      const lines = (await readFile(file, 'utf8')).trim().split('\n');
      const refused = lines.map((line) => JSON.parse(line)).filter(({ event }) => event === 'willRefused');
      expect(refused).toMatchObject([{ client: 'dying', topic: 'will/a', qos: 1, retain: false }]);
    });
  });

  test('onPublish of the hooks and of steps gets it, with the client that it is of', async () => {
    await start({
      hooks: {
        onPublish: (client, { topic, payload }) => {
          if (topic === 'will/refused') return { verdict: 'reject', reasonCode: 0x99 };
          return { verdict: 'change', change: { payload: Buffer.from(`${payload} of ${client.username}`) } };
        },
      },
      use: marked,
    });
    const subscriber = await watcher('#');
    await (await connect('one', { will: { topic: 'will/refused', payload: 'gone' } })).vanish();
    await (await connect('two', { username: 'ada', will: { topic: 'will/a', payload: 'gone' } })).vanish();
    expect(text(await subscriber.next('publish'))).toBe('gone of two of ada');
  });

  test('one that a step refuses when it is due is counted', async () => {
    await start({ use: { onPublish: () => ({ verdict: 'reject', reasonCode: 0x99 }) } });
    await (await connect('dying', { will: { topic: 'will/a', payload: 'gone' } })).vanish();
    await everythingStored().catch(() => {});
    expect(app().broker.counters.dropped.willRefused).toBe(1);
  });
});

describe('a will in an asynchronous step', () => {
  const mortal = (payload: string, options: ConnectOptions = {}) =>
    connect('dying', { will: { topic: 'will/a', payload, qos: 1 }, ...options });

  test('comes after the restart if the process dies meanwhile [MQTT5 3.1.2-8]', async () => {
    const { step, holds } = gate();
    await start({ use: step });
    const subscriber = await watcher('will/#');
    await (await mortal('gone')).vanish();
    await (await mortal('gone too', { clientId: 'with its session', properties: {} })).vanish();
    await holds(2);
    await subscriber.disconnect();
    await everythingStored();
    await crash();
    await start({ use: marked });
    const again = await connect('watcher');
    expect((await again.collect('publish', 2)).map(text).sort()).toEqual([
      'gone of dying',
      'gone too of with its session',
    ]);
  });

  test('comes once if the process dies after it was published', async () => {
    const { step, holds, answer } = gate();
    await start({ use: step });
    const subscriber = await watcher('will/#');
    await (await mortal('gone')).vanish();
    await holds(1);
    await everythingStored();
    answer();
    const packet = await subscriber.next('publish');
    await everythingStored();
    await crash();
    await start({ config: { wills: { restartGraceSeconds: 0 } } });
    const again = await connect('watcher');
    expect((await again.next('publish')).messageId).toBeDefined();
    expect(text(packet)).toBe('gone');
    await again.nothingElse();
  });

  test('is neither lost nor doubled by a client that comes back with another one, leaves, and ends its session', async () => {
    const { step, holds, answer } = gate();
    await start({ use: step });
    const subscriber = await watcher('will/#');
    await (await mortal('first')).vanish();
    await holds(1);
    const second = await mortal('second');
    await second.vanish();
    await (await mortal('called off', { clean: true, properties: {} })).disconnect();
    answer();
    await holds(1);
    answer();
    expect((await subscriber.collect('publish', 2)).map(text)).toEqual(['first', 'second']);
    await subscriber.nothingElse();
    await everythingStored();
    await stop();
    await start();
    const again = await connect('watcher');
    await again.collect('publish', 2);
    await again.nothingElse();
  });

  test('is not overtaken by what its client publishes when it is back [MQTT5 4.6.0-6]', async () => {
    const { step, holds, answer } = gate();
    await start({ use: step });
    const subscriber = await watcher('#');
    await (await mortal('gone')).vanish();
    await holds(1);
    const back = await connect('dying');
    await back.publish('state', 'online');
    await connect('other').then((other) => other.publish('state', 'of others', { qos: 1 }));
    expect(text(await subscriber.next('publish'))).toBe('of others');
    answer();
    expect((await subscriber.collect('publish', 2)).map(text)).toEqual(['gone', 'online']);
  });

  test('that hangs holds up its client for some seconds only, and comes at the next start', {
    timeout: 300_000,
  }, async () => {
    const { step, holds } = gate();
    await start({ use: step });
    const subscriber = await watcher('#');
    await (await mortal('gone')).vanish();
    await holds(1);
    const back = await connect('dying');
    await back.publish('state', 'online', { qos: 1 });
    expect(text(await subscriber.next('publish'))).toBe('online');
    await stop();
    await start();
    expect((await (await connect('watcher')).collect('publish', 2)).map(text).sort()).toEqual(['gone', 'online']);
  });

  test('counts: clients with wills are refused where a step that hangs has as many as limits.sessions', async () => {
    const { step, holds, answer } = gate();
    await start({ use: step, config: { limits: { sessions: 3 } } });
    const will = { topic: 'will/a', payload: 'gone' };
    const ending = { clean: true, properties: {} };
    for (const clientId of ['one', 'two', 'three']) await (await connect(clientId, { ...ending, will })).vanish();
    await holds(3);
    await expect(connect('four', { ...ending, will })).rejects.toThrow(`CONNACK refused with ${0x97}`);
    await (await connect('four', ending)).nothingElse();
    answer();
    await expect
      .poll(() =>
        connect('five', { ...ending, will }).then(
          () => true,
          () => false,
        ),
      )
      .toBe(true);
  });

  test('of a connection that is taken over, and of DISCONNECT with will, comes as well', async () => {
    const { step, holds, answer } = gate();
    await start({ use: step });
    const subscriber = await watcher('will/#');
    const first = await mortal('taken over');
    const second = await mortal('disconnected');
    await first.closed();
    await second.disconnect(4);
    await holds(1);
    answer();
    await holds(1);
    answer();
    expect((await subscriber.collect('publish', 2)).map(text)).toEqual(['taken over', 'disconnected']);
  });

  test('is not overtaken by the will of the next connection, though that need not wait for any step [MQTT5 4.6.0-6]', async () => {
    const { step, holds, answer } = gate();
    await start({ use: step });
    const subscriber = await watcher('#');
    await (await mortal('slow')).vanish();
    await holds(1);
    await (await mortal('', { will: { topic: 'state', payload: 'fast', qos: 1 } })).vanish();
    await connect('other').then((other) => other.publish('state', 'of others', { qos: 1 }));
    expect(text(await subscriber.next('publish'))).toBe('of others');
    answer();
    expect((await subscriber.collect('publish', 2)).map(text)).toEqual(['slow', 'fast']);
  });

  test('goes on as it began when the pipelines are reloaded', async () => {
    const { step, holds, answer } = gate();
    await start({ use: step });
    const subscriber = await watcher('will/#');
    await (await mortal('gone')).vanish();
    await holds(1);
    app().pipelines.use(...partsOf({ filter: 'will/#', onPublish: () => ({ verdict: 'drop' }) }));
    answer();
    expect(text(await subscriber.next('publish'))).toBe('gone');
  });

  test('is waited for when the broker stops, and the pipelines are there until then', async () => {
    const { step, holds, answer } = gate();
    const use: Use = {
      ...step,
      onPublish: async (client, message) => {
        await step.onPublish!(client, message);
        return marked.onPublish!(client, message);
      },
    };
    await start({ use });
    await (await watcher('will/#')).disconnect();
    await (await mortal('gone')).vanish();
    await holds(1);
    const stopped = stop();
    answer();
    await stopped;
    await start();
    const again = await connect('watcher');
    expect(text(await again.next('publish'))).toBe('gone of dying');
    await again.nothingElse();
  });
});

describe('a connection that is over before its CONNACK was sent', () => {
  // CONNACK waits for the commit.
  const slow = () => ({ kind: 'level', directory: directories.at(-1)!, maxCommitDelayMs: 200 }) as const;
  const sendConnect = async (payload: string, options: ConnectOptions = {}) => {
    const client = await WireClient.open(app().listeners[0]!.port, 5);
    client.sendConnect({
      ...{ clientId: 'dying', clean: false, properties: lasting, will: { topic: 'will/a', payload } },
      ...options,
    });
    return client;
  };

  test.each([
    ['taken over', () => sendConnect('the second')],
    ['taken over by a clean start', () => sendConnect('the second', { clean: true, properties: {} })],
  ])('%s, has no will: its client was never connected [MQTT5 3.1.2-7]', async (_, takeOver) => {
    await start({ store: slow() });
    const subscriber = await watcher('will/#');
    const first = await sendConnect('the first');
    const second = await takeOver();
    await first.closed();
    await second.next('connack');
    await second.vanish();
    expect(text(await subscriber.next('publish'))).toBe('the second');
    await subscriber.nothingElse();
  });

  test('closed by its client, has none either', async () => {
    await start({ store: slow() });
    const subscriber = await watcher('will/#');
    const first = await sendConnect('the first');
    await first.vanish();
    const second = await sendConnect('the second');
    await second.next('connack');
    await second.vanish();
    expect(text(await subscriber.next('publish'))).toBe('the second');
  });
});

describe("wills that the broker's own end leaves behind", () => {
  const halts = [
    ['an orderly stop', stop],
    [
      'a crash',
      async () => {
        await everythingStored();
        await crash();
      },
    ],
  ] as const;
  const graced = { config: { wills: { restartGraceSeconds: 1 } } };
  const dead = (payload: string) => ({ topic: 'will/a', payload, qos: 1 as const });

  describe.each([
    ['a session that lasts', { clean: false, properties: lasting }],
    ['a session that ends with its connection', { clean: true, properties: {} }],
    ['3.1.1', { version: 4, clean: true, properties: undefined }],
  ] as const)('a drain sends its client away, of %s: it waits', (_, options) => {
    async function drained(config: ConfigInput = {}): Promise<void> {
      await start({ config });
      const client = await watcher('will/#');
      const clients = [
        await connect('dying', { ...options, will: dead('gone') } as ConnectOptions),
        await connect('dead', { ...options, will: dead('stays away') } as ConnectOptions),
      ];
      app().broker.drain({ perSecond: 10_000, serverReference: null });
      await Promise.all([client, ...clients].map((each) => each.closed()));
    }
    async function expectOneOnly(): Promise<void> {
      const subscriber = await connect('watcher');
      await connect('dying', options as ConnectOptions);
      expect(text(await subscriber.next('publish'))).toBe('stays away');
      await subscriber.nothingElse();
    }

    test('for the next start', async () => {
      await drained();
      await stop();
      await start(graced);
      await expectOneOnly();
    });

    test('until clients are taken again', async () => {
      await drained(graced.config);
      app().broker.cancelDrain();
      await expectOneOnly();
    });
  });

  describe.each(halts)('after %s', (_, halt) => {
    test.each([
      ['a session that lasts', { clean: false, properties: lasting }],
      ['a session that ends with its connection', { clean: true, properties: {} }],
      ['3.1.1', { version: 4, clean: true, properties: undefined }],
    ] as const)('wait for their clients, and are called off if those are back in time (%s)', async (_, options) => {
      await start();
      await watcher('will/#');
      await connect('dying', { ...options, will: dead('gone') } as ConnectOptions);
      await connect('dead', { ...options, will: dead('stays away') } as ConnectOptions);
      await halt();
      await start(graced);
      const subscriber = await connect('watcher');
      const back = await connect('dying', options as ConnectOptions);
      expect(text(await subscriber.next('publish'))).toBe('stays away');
      await subscriber.nothingElse();
      await back.disconnect();
      await halt();
      await start(graced);
      await everythingStored();
    });

    test('go through the pipeline when they are due', async () => {
      await start();
      await watcher('will/#');
      // The delay is void where the session ends with its connection. [MQTT5 3.1.3-9]
      const will = { ...dead('gone'), properties: { willDelayInterval: 1_000 } };
      await connect('dying', { properties: {}, will });
      await halt();
      await start({ ...graced, use: marked });
      expect(text(await (await connect('watcher')).next('publish'))).toBe('gone of dying');
    });

    test('are called off by a clean start within that time as well', async () => {
      await start();
      await watcher('will/#');
      await connect('dying', { will: { ...dead('gone'), properties: { willDelayInterval: 2 } } });
      await connect('dead', { will: { ...dead('stays away'), properties: { willDelayInterval: 2 } } });
      await halt();
      await start(graced);
      const subscriber = await connect('watcher');
      await connect('dying', { clean: true, properties: {} });
      expect(text(await subscriber.next('publish'))).toBe('stays away');
      await subscriber.nothingElse();
    });

    test('wait again if the broker stops again meanwhile', async () => {
      await start();
      await watcher('will/#');
      await connect('dying', { properties: {}, will: dead('gone') });
      await halt();
      await start({ config: { wills: { restartGraceSeconds: 1_000 } } });
      await halt();
      await start(graced);
      expect(text(await (await connect('watcher')).next('publish'))).toBe('gone');
    });

    test('are published at once with a grace of 0', async () => {
      const { config } = { config: { wills: { restartGraceSeconds: 0 } } };
      await start({ config, use: marked });
      await watcher('will/#');
      await connect('dying', { properties: {}, will: dead('gone') });
      await halt();
      await start({ config, use: marked });
      const again = await connect('watcher');
      expect(text(await again.next('publish'))).toBe('gone of dying');
      await again.nothingElse();
    });
  });

  test('wait only for the user whose they are', async () => {
    const hooks: Hooks = { authenticate: () => ({ outcome: 'accept' }) };
    await start({ hooks });
    await watcher('will/#');
    await connect('dying', { username: 'ada', properties: {}, will: dead('gone') });
    await stop();
    await start({ hooks, config: { wills: { restartGraceSeconds: 1_000 } } });
    const subscriber = await connect('watcher');
    await connect('dying', { username: 'eve', clean: true, properties: {} });
    expect(text(await subscriber.next('publish'))).toBe('gone');
  });

  test('are published at the stop, through the pipeline, where nothing outlives it', async () => {
    const seen: string[] = [];
    const use: Use = {
      onPublish: async (client, { payload }) => {
        await new Promise((resolve) => setImmediate(resolve));
        seen.push(`${payload} of ${client?.clientId}`);
        return keep;
      },
    };
    await start({ store: { kind: 'memory' }, use });
    await connect('dying', { will: dead('gone') });
    await stop();
    expect(seen).toEqual(['gone of dying']);
  });

  test('do not make one that was due before wait', async () => {
    await start();
    await watcher('will/#');
    const will = { ...dead('was due'), properties: { willDelayInterval: 1 } };
    await (await connect('dying', { will })).disconnect(4);
    await stop();
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await start({ config: { wills: { restartGraceSeconds: 1_000 } } });
    expect(text(await (await connect('watcher')).next('publish'))).toBe('was due');
  });
});
