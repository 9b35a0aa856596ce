/**
 * `explain` names what stands in the way of a message. Each mishap is prepared with clients of its own on a broker of
 * its own; then the message is really sent, and it arrives, or does not, as was said.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Broker } from '../../../src/broker/broker.ts';
import { type CommandRequest, checkedRequest } from '../../../src/contracts/commands.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import { type BrokerOptions, createBroker, type SluiceBroker } from '../../../src/index.ts';
import { listen } from '../../../src/net/listen.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { BadDisk, brokerOn } from '../../support/bad-disk.ts';
import { type ConnectOptions, type Received, WireClient } from '../../support/wire-client.ts';

type Request = CommandRequest<'explain'>;

interface Scene {
  readonly sluice: SluiceBroker;
  readonly connect: (options: ConnectOptions) => Promise<WireClient>;
  readonly a: WireClient;
  /** Null: B is not connected. */
  b: WireClient | null;
}

interface Mishap {
  readonly title: string;
  readonly options?: BrokerOptions;
  /** How B connects; null: it never does. */
  readonly b?: ConnectOptions | null;
  /** What B subscribes to, with its options; null: nothing. */
  readonly filter?: string | null;
  readonly granted?: object;
  readonly publish?: {
    readonly topic?: string;
    readonly payload?: string | Buffer;
    readonly qos?: 0 | 1 | 2;
    readonly retain?: boolean;
    readonly properties?: object;
  };
  /** Whether B is the publisher, too. */
  readonly isOwn?: boolean;
  readonly prepare?: (scene: Scene) => Promise<void>;
  readonly asked?: Partial<Request>;
  /** `step`, and a text of the conclusion; null: it would arrive. */
  readonly expected: readonly [verdict: 'no' | 'depends', step: string, text: RegExp] | null;
  /** What happens then. `later`: only after `afterwards`. */
  readonly really: 'arrives' | 'stays away' | 'comes later';
  readonly afterwards?: (scene: Scene) => Promise<void>;
}

const directory = mkdtempSync(join(tmpdir(), 'sluice-explain-'));
const plugin = (name: string) => join(import.meta.dirname, '../../support/plugins', name);
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => rmSync(directory, { recursive: true }));

const lasting: ConnectOptions = {
  version: 5,
  clientId: 'B',
  clean: false,
  properties: { sessionExpiryInterval: 1_000 },
};
const lastingWith = (properties: object): ConnectOptions => ({
  ...lasting,
  properties: { ...lasting.properties, ...properties },
});

async function bLeaves(scene: Scene): Promise<void> {
  await scene.b!.disconnect();
  scene.b = null;
}

async function bComes(scene: Scene): Promise<void> {
  scene.b = await scene.connect(lasting);
}

/** So many messages wait for B, who is away. */
const wait =
  (count: number, payload = 'before') =>
  async (scene: Scene) => {
    await bLeaves(scene);
    for (let i = 0; i < count; i++) await scene.a.publish('a/b', payload, { qos: 1 });
  };

const filters: readonly (readonly [title: string, filter: string, topic: string, text: RegExp])[] = [
  ['a filter in another case', 'A/b', 'a/b', /upper and lower case differ in level 1/],
  ['a filter with a slash at the beginning', '/a/b', 'a/b', /filter wants a slash at the beginning/],
  ['a topic with a slash at the beginning', 'a/b', '/a/b', /topic begins with a slash/],
  ['a filter with a slash at the end', 'a/b/', 'a/b', /filter wants a slash at the end/],
  ['a topic with a slash at the end', 'a/b', 'a/b/', /topic ends with a slash/],
  ['a filter with one level more', 'a/b/+', 'a/b', /level 3 is "\+" in the filter and missing in the topic/],
  ['a filter with one level less', 'a', 'a/b', /filter ends at level 1, and the topic goes on with "b"/],
  ['a filter with another word in one level', 'a/+/c', 'a/x/b', /level 3 is "c" in the filter and "b" in the topic/],
  ['a wildcard of another language', 'a/*', 'a/b', /\* is no wildcard of MQTT/],
  ['white space in a level', 'a/b ', 'a/b', /white space differs in level 2/],
  ['a letter that looks the same', 'caf\u00e9', 'cafe\u0301', /look the same and are not/],
];

const wildcardsAndDollar = (filter: string): Mishap => ({
  title: `${filter} does not match what begins with $`,
  options: { config: { allowedDollarPrefixes: ['$line'] } },
  filter,
  publish: { topic: '$line/x' },
  expected: ['no', 'subscription', /begins with a wildcard does not match topics that begin with \$/],
  really: 'stays away',
});

const mishaps: readonly Mishap[] = [
  { title: 'everything is right', expected: null, really: 'arrives' },
  { title: 'everything is right at QoS 0', publish: { qos: 0 }, expected: null, really: 'arrives' },
  { title: 'everything is right at QoS 2', publish: { qos: 2 }, expected: null, really: 'arrives' },
  ...filters.map(
    ([title, filter, topic, text]): Mishap => ({
      title,
      filter,
      publish: { topic },
      expected: ['no', 'subscription', text],
      really: 'stays away',
    }),
  ),
  wildcardsAndDollar('#'),
  wildcardsAndDollar('+/x'),
  {
    title: 'B has subscribed to nothing',
    filter: null,
    expected: ['no', 'subscription', /"B" has no subscriptions/],
    really: 'stays away',
  },
  {
    title: 'B has unsubscribed',
    prepare: async ({ b }) => void (await b!.unsubscribe('a/b')),
    expected: ['no', 'subscription', /"B" has no subscriptions/],
    really: 'stays away',
  },
  { title: 'B was never here', b: null, expected: ['no', 'session', /no session of "B"/], really: 'stays away' },
  {
    title: 'the session of B has ended with its connection',
    b: { version: 5, clientId: 'B' },
    prepare: bLeaves,
    expected: ['no', 'session', /no session of "B"/],
    really: 'stays away',
    afterwards: bComes,
  },
  {
    title: 'the session of B has expired',
    b: lastingWith({ sessionExpiryInterval: 1 }),
    async prepare(scene) {
      await bLeaves(scene);
      const sessions = async () => (await scene.sluice.view.sessions()).items.map(({ clientId }) => clientId);
      await expect.poll(sessions).not.toContain('B');
    },
    expected: ['no', 'session', /no session of "B"/],
    really: 'stays away',
    afterwards: bComes,
  },
  {
    title: 'B came with Clean Start and did not subscribe again',
    async prepare(scene) {
      await bLeaves(scene);
      scene.b = await scene.connect({ ...lasting, clean: true });
    },
    expected: ['no', 'subscription', /no subscriptions/],
    really: 'stays away',
  },
  {
    title: 'QoS 0 while B is away',
    publish: { qos: 0 },
    prepare: bLeaves,
    expected: ['no', 'connection', /QoS 0: the client is not connected/],
    really: 'stays away',
    afterwards: bComes,
  },
  {
    title: 'a subscription at QoS 0 while B is away',
    granted: { qos: 0 },
    prepare: bLeaves,
    expected: ['no', 'connection', /QoS 0: the client is not connected/],
    really: 'stays away',
    afterwards: bComes,
  },
  {
    title: 'QoS 1 while B is away',
    prepare: bLeaves,
    expected: ['depends', 'connection', /waits in the queue, since the client is not connected/],
    really: 'comes later',
    afterwards: bComes,
  },
  {
    title: 'QoS 0 that is kept while B is away',
    options: { config: { queueQoS0: true } },
    publish: { qos: 0 },
    prepare: bLeaves,
    expected: ['depends', 'connection', /the client is not connected/],
    really: 'comes later',
    afterwards: bComes,
  },
  {
    title: 'No Local',
    granted: { qos: 1, nl: true },
    isOwn: true,
    expected: ['no', 'subscription', /publishes it itself.*No Local/],
    really: 'stays away',
  },
  {
    title: 'No Local, and another subscription without it',
    granted: { qos: 1, nl: true },
    isOwn: true,
    prepare: async ({ b }) => void (await b!.subscribe('a/#', { qos: 1 })),
    expected: null,
    really: 'arrives',
  },
  {
    title: 'another member of the shared subscription',
    filter: null,
    async prepare({ b, connect }) {
      const first = await connect({ version: 5, clientId: 'C' });
      await first.subscribe('$share/group/a/b', { qos: 1 });
      await b!.subscribe('$share/group/a/b', { qos: 1 });
    },
    expected: ['depends', 'subscription', /one of the 2 members/],
    really: 'stays away',
  },
  { title: 'a shared subscription of its own', filter: '$share/group/a/+', expected: null, really: 'arrives' },
  {
    title: 'a rule against the publisher',
    options: { config: { authorization: { rules: [{ deny: 'publish', topics: ['a/#'] }, { allow: 'all' }] } } },
    expected: ['no', 'rules', /0x87.*deny publish a\/#/],
    really: 'stays away',
  },
  {
    title: 'a rule against the receiver, which kept it from subscribing',
    options: {
      config: {
        authorization: { rules: [{ deny: 'all', topics: ['a/b'], for: { clientId: 'B' } }, { allow: 'all' }] },
      },
    },
    filter: null,
    expected: ['no', 'readRules', /do not let "B" have.*deny all a\/b/],
    really: 'stays away',
  },
  {
    title: 'a rule against the receiver, whose filter covers more',
    options: {
      config: {
        authorization: { rules: [{ deny: 'subscribe', topics: ['a/b'], for: { clientId: 'B' } }, { allow: 'all' }] },
      },
    },
    filter: '#',
    expected: ['no', 'readRules', /do not let "B" have.*deny subscribe a\/b/],
    really: 'stays away',
  },
  {
    title: 'an ACL file that has changed meanwhile',
    options: { config: { authorization: { aclFile: join(directory, 'acl') } } },
    async prepare({ sluice }) {
      writeFileSync(join(directory, 'acl'), 'topic read #\n');
      const reloaded = async () => (await sluice.command('explain', { topic: 'a/b', from: 'A', qos: 1 })).step;
      await expect.poll(reloaded).toBe('rules');
    },
    expected: ['no', 'rules', /0x87/],
    really: 'stays away',
  },
  {
    title: 'a topic that is the broker’s own',
    filter: '$SYS/mine',
    publish: { topic: '$SYS/mine' },
    expected: ['no', 'topic', /only the broker itself publishes/],
    really: 'stays away',
  },
  {
    title: 'a topic that begins with $',
    filter: '$other/x',
    publish: { topic: '$other/x' },
    expected: ['no', 'topic', /allowedDollarPrefixes names \$other/],
    really: 'stays away',
  },
  {
    title: 'a topic with a wildcard',
    publish: { topic: 'a/+' },
    filter: 'a/+',
    expected: ['no', 'topic', /wildcard/],
    really: 'stays away',
  },
  {
    title: 'a topic that is too long',
    options: { config: { limits: { topicBytes: 10 } } },
    filter: '#',
    publish: { topic: 'a/b/c/d/e/f/g' },
    expected: ['no', 'topic', /has 13 bytes, more than the 10 allowed/],
    really: 'stays away',
  },
  {
    title: 'a topic with too many levels',
    options: { config: { limits: { topicLevels: 3 } } },
    filter: '#',
    publish: { topic: 'a/b/c/d' },
    expected: ['no', 'topic', /has 4 levels, more than the 3 allowed/],
    really: 'stays away',
  },
  {
    title: 'a packet that is too large for the broker',
    options: { config: { limits: { packetBytes: 1_000 } } },
    publish: { payload: Buffer.alloc(2_000) },
    asked: { payloadBytes: 2_000 },
    expected: ['no', 'limits', /limits\.packetBytes/],
    really: 'stays away',
  },
  {
    title: 'a packet of just the size that the broker takes',
    options: { config: { limits: { packetBytes: 1_000 } } },
    publish: { payload: Buffer.alloc(1_000 - 11) },
    asked: { payloadBytes: 1_000 - 11 },
    expected: null,
    really: 'arrives',
  },
  {
    title: 'a QoS that is not accepted',
    options: { config: { maximumQoS: 1 } },
    publish: { qos: 2 },
    expected: ['no', 'limits', /maximumQoS/],
    really: 'stays away',
  },
  {
    title: 'a retained message where there are none',
    options: { config: { retainAvailable: false } },
    publish: { retain: true },
    expected: ['no', 'limits', /retainAvailable/],
    really: 'stays away',
  },
  {
    title: 'a Topic Alias above the maximum',
    options: { config: { limits: { topicAliases: 2 } } },
    publish: { properties: { topicAlias: 3 } },
    asked: { topicAlias: 3 },
    expected: ['no', 'limits', /Topic Alias 3 exceeds/],
    really: 'stays away',
  },
  {
    title: 'more in flight than Receive Maximum allows',
    options: { config: { limits: { receiveMaximum: 1 } } },
    async prepare({ a }) {
      a.send({ cmd: 'publish', topic: 'elsewhere', payload: 'x', qos: 2, messageId: 1_000 });
      await a.next('pubrec');
    },
    publish: { qos: 2 },
    expected: ['depends', 'limits', /Receive Maximum/],
    really: 'stays away',
  },
  {
    title: 'a publisher that sends too fast',
    options: { config: { limits: { messagesPerSecond: 1 } } },
    async prepare({ a, sluice }) {
      for (let i = 0; i < 3; i++) a.send({ cmd: 'publish', topic: 'elsewhere', payload: 'x', qos: 0 });
      const step = async () => (await sluice.command('explain', { topic: 'a/b', from: 'A' })).step;
      await expect.poll(step, { interval: 1 }).toBe('limits');
    },
    expected: ['depends', 'limits', /limits\.messagesPerSecond/],
    really: 'comes later',
    afterwards: async () => {},
  },
  {
    title: 'no room for one more retained message',
    options: { config: { limits: { retainedMessages: 0 }, sysIntervalSeconds: 0 } },
    publish: { retain: true },
    expected: ['no', 'room', /limits\.retainedMessages.*0x97/],
    really: 'stays away',
  },
  {
    title: 'a message larger than B takes',
    b: lastingWith({ maximumPacketSize: 100 }),
    publish: { payload: Buffer.alloc(200) },
    asked: { payloadBytes: 200 },
    expected: ['no', 'packetSize', /larger than the 100 bytes/],
    really: 'stays away',
  },
  {
    title: 'a full queue that drops what is new',
    options: { config: { limits: { queueMessages: 2, queuePolicy: 'drop-newest' } } },
    prepare: wait(2),
    expected: ['no', 'queue', /queue is full: 2 of 2 messages.*drop-newest/],
    really: 'stays away',
    afterwards: bComes,
  },
  {
    title: 'a full queue that drops what is old',
    options: { config: { limits: { queueMessages: 2 } } },
    prepare: wait(2),
    expected: ['depends', 'connection', /not connected \(0 in flight, 2 wait\)/],
    really: 'comes later',
    afterwards: bComes,
  },
  {
    title: 'a queue that is full of bytes',
    options: { config: { limits: { queueBytes: 1_000, queuePolicy: 'drop-newest' } } },
    prepare: wait(1, 'before'.padEnd(900)),
    publish: { payload: Buffer.alloc(200) },
    asked: { payloadBytes: 200 },
    expected: ['no', 'queue', /of 1000 bytes/],
    really: 'stays away',
    afterwards: bComes,
  },
  {
    title: 'a client that may hold no more memory',
    options: { config: { limits: { memoryBytes: 4_000_000, queuePolicy: 'drop-newest' } } },
    prepare: wait(20, 'before'.padEnd(100_000)),
    publish: { payload: Buffer.alloc(100_000) },
    asked: { payloadBytes: 100_000 },
    expected: ['no', 'queue', /may hold no more memory \(limits\.memoryBytes\)/],
    really: 'stays away',
    afterwards: bComes,
  },
  {
    title: 'a message larger than a whole queue',
    options: { config: { limits: { queueBytes: 1_000 } } },
    prepare: bLeaves,
    publish: { payload: Buffer.alloc(2_000) },
    asked: { payloadBytes: 2_000 },
    expected: ['no', 'queue', /larger than a whole queue/],
    really: 'stays away',
    afterwards: bComes,
  },
  {
    title: 'the full queue of another receiver, where that is a refusal',
    options: { config: { limits: { queueMessages: 1, queuePolicy: 'reject' } } },
    filter: 'a/+',
    async prepare({ a, connect }) {
      const c = await connect({ ...lasting, clientId: 'C' });
      await c.subscribe('a/b', { qos: 1 });
      await c.subscribe('only/c', { qos: 1 });
      await c.disconnect();
      await a.publish('only/c', 'x', { qos: 1 });
    },
    expected: ['no', 'room', /the queue of "C" is full \(queuePolicy: reject\).*0x97/],
    really: 'stays away',
  },
  {
    title: 'a window that B does not acknowledge',
    b: lastingWith({ receiveMaximum: 1 }),
    async prepare({ a, b }) {
      await a.publish('a/b', 'before', { qos: 1 });
      b!.waiting.push(await b!.next('publish'));
    },
    expected: ['depends', 'connection', /has not acknowledged.*1 in flight/],
    really: 'comes later',
    afterwards: async ({ b }) => b!.acknowledge(b!.waiting.find(({ cmd }) => cmd === 'publish')!),
  },
  {
    title: 'QoS 0 for a client that does not read',
    options: { config: { limits: { outputBytes: 1_024 } } },
    publish: { qos: 0 },
    prepare: (scene) => stuff(scene),
    expected: ['no', 'connection', /does not read as fast as it is sent to/],
    really: 'stays away',
    afterwards: async ({ b }) => b!.resume(),
  },
  {
    title: 'QoS 1 for a client that does not read',
    options: { config: { limits: { outputBytes: 1_024 } } },
    prepare: (scene) => stuff(scene),
    expected: ['depends', 'connection', /does not read what it is sent/],
    really: 'comes later',
    afterwards: async ({ b }) => b!.resume(),
  },
  {
    title: 'a message that expires at once while B is away',
    publish: { properties: { messageExpiryInterval: 0 } },
    asked: { expirySeconds: 0 },
    prepare: bLeaves,
    expected: ['no', 'expiry', /expires after 0 s of waiting/],
    really: 'stays away',
    afterwards: bComes,
  },
  {
    title: 'a pipeline that drops it',
    options: { config: { pipelines: [{ name: 'few', filter: 'a/#', stages: [{ filter: 'value.n > 5' }] }] } },
    publish: { payload: '{"n":1}' },
    asked: { payload: '{"n":1}' },
    expected: ['no', 'pipeline', /pipeline few, stage 1 filter drops it/],
    really: 'stays away',
  },
  {
    title: 'a pipeline that lets it pass',
    options: { config: { pipelines: [{ name: 'few', filter: 'a/#', stages: [{ filter: 'value.n > 5' }] }] } },
    publish: { payload: '{"n":6}' },
    asked: { payload: '{"n":6}' },
    expected: null,
    really: 'arrives',
  },
  {
    title: 'a pipeline, and a payload that is not told',
    options: { config: { pipelines: [{ name: 'few', filter: 'a/#', stages: [{ filter: 'value.n > 5' }] }] } },
    publish: { payload: '{"n":1}' },
    expected: ['depends', 'pipeline', /depends on the payload: few \(1 filter\)/],
    really: 'stays away',
  },
  {
    title: 'the quarantine',
    options: { config: { pipelines: [{ name: 'json', filter: 'a/#', stages: [{ decode: 'json' }] }] } },
    publish: { payload: '{' },
    asked: { payload: '{' },
    expected: ['no', 'pipeline', /pipeline json, stage 1 decode.*quarantine: .*not JSON/],
    really: 'stays away',
  },
  {
    title: 'a pipeline that refuses it',
    options: {
      config: { pipelines: [{ name: 'json', filter: 'a/#', stages: [{ decode: 'json', onError: 'reject' }] }] },
    },
    publish: { payload: '{' },
    asked: { payload: '{' },
    expected: ['no', 'pipeline', /pipeline json, stage 1 decode refuses it: .*not JSON/],
    really: 'stays away',
  },
  {
    title: 'a pipeline that gives it another topic',
    options: { config: { pipelines: [{ name: 'move', filter: 'a/b', stages: [{ topic: 'moved/x' }] }] } },
    publish: { payload: '{}' },
    asked: { payload: '{}' },
    expected: ['no', 'subscription', /none matches/],
    really: 'stays away',
  },
  {
    title: 'a pipeline that gives it a topic that its publisher may not publish to',
    options: {
      config: {
        pipelines: [{ name: 'move', filter: 'a/b', stages: [{ topic: 'secret/x' }] }],
        authorization: { rules: [{ deny: 'publish', topics: ['secret/#'] }, { allow: 'all' }] },
      },
    },
    filter: 'secret/#',
    publish: { payload: '{}' },
    asked: { payload: '{}' },
    expected: ['no', 'pipeline', /may not publish to secret\/x/],
    really: 'stays away',
  },
  {
    title: 'a pipeline that makes a message to a topic of the broker',
    options: {
      config: { pipelines: [{ name: 'forge', filter: 'a/b', stages: [{ topic: '$SYS/x', trusted: true }] }] },
    },
    filter: '$SYS/x',
    publish: { payload: '{}' },
    asked: { payload: '{}' },
    expected: ['no', 'pipeline', /\$SYS\/x is for the broker only/],
    really: 'stays away',
  },
  {
    title: 'a pipeline that makes several, of which B wants the second',
    options: {
      config: {
        pipelines: [{ name: 'split', filter: 'a/b', stages: [{ plugin: { file: plugin('split.js') } }] }],
      },
    },
    filter: 'a/b/1',
    publish: { payload: '[1,2,3]' },
    asked: { payload: '[1,2,3]' },
    expected: ['depends', 'pipeline', /what came before it decides as well: split: 1 plugin/],
    really: 'arrives',
  },
  {
    title: 'a pipeline on the way to B',
    options: {
      config: {
        pipelines: [
          { name: 'own', filter: 'a/#', on: 'deliver', for: { clientId: 'B' }, stages: [{ filter: 'value.n > 5' }] },
        ],
      },
    },
    publish: { payload: '{"n":1}' },
    asked: { payload: '{"n":1}' },
    expected: ['no', 'form', /pipeline own, stage 1 filter drops it/],
    really: 'stays away',
  },
  {
    title: 'a pipeline on the way to others',
    options: {
      config: {
        pipelines: [
          { name: 'own', filter: 'a/#', on: 'deliver', for: { clientId: 'C' }, stages: [{ filter: 'value.n > 5' }] },
        ],
      },
    },
    publish: { payload: '{"n":1}' },
    expected: null,
    really: 'arrives',
  },
  {
    title: 'a stage that lets every value pass once',
    options: { config: { pipelines: [{ name: 'news', filter: 'a/#', stages: [{ 'on-change': {} }] }] } },
    async prepare({ a, b }) {
      await a.publish('a/b', '{"n":1}', { qos: 1 });
      await b!.acknowledge(await b!.next('publish'));
    },
    publish: { payload: '{"n":1}' },
    asked: { payload: '{"n":1}' },
    expected: ['depends', 'pipeline', /what came before it decides as well: news: 1 on-change/],
    really: 'stays away',
  },
  {
    title: 'a hook of the program',
    options: { hooks: { authorizePublish: ({ clientId }) => (clientId === 'A' ? 0x87 : 0) } },
    expected: ['depends', 'hook', /the hook of the program decides about it/],
    really: 'stays away',
  },
  {
    title: 'a step of the program',
    options: { use: [{ name: 'gate', filter: 'a/#', onPublish: () => ({ verdict: 'drop' }) }] },
    expected: ['depends', 'pipeline', /the program decides about it.*step gate/],
    really: 'stays away',
  },
  {
    title: 'a step of the program on the way to subscribers',
    options: { use: [{ name: 'gate', filter: 'a/#', onDeliver: () => ({ verdict: 'drop' }) }] },
    expected: ['depends', 'form', /the program decides about it.*step gate/],
    really: 'stays away',
  },
  {
    title: 'a publisher that is not connected',
    prepare: async ({ a }) => a.disconnect(),
    expected: ['depends', 'publisher', /"A" is not connected/],
    really: 'stays away',
  },
];

/** B reads nothing, until the broker notices. */
async function stuff({ a, b, sluice }: Scene): Promise<void> {
  await b!.subscribe('flood');
  b!.pause();
  const isStuck = async () => {
    for (let i = 0; i < 50; i++) await a.publish('flood', Buffer.alloc(60_000), { qos: 0 });
    await a.nothingElse();
    return (await sluice.command('explain', { topic: 'flood', to: 'B' })).step;
  };
  await expect.poll(isStuck, { interval: 1 }).toBe('connection');
}

/** Whether B has got it by the time at which everything that was sent to it before has come. */
async function hasArrived({ a, b }: Scene, isLate = false): Promise<boolean> {
  if (!a.isClosed) {
    a.send({ cmd: 'pingreq' });
    await a.collect('pingresp', 1);
  }
  if (b === null) return false;
  const isIt = ({ cmd, payload }: Received) => cmd === 'publish' && !/^before|^\0{60000}/.test(payload!.toString());
  const seen: Received[] = [];
  if (isLate) while (!seen.some(isIt)) seen.push(await nextOf(b));
  b.send({ cmd: 'pingreq' });
  while (seen.at(-1)?.cmd !== 'pingresp') seen.push(await nextOf(b));
  return seen.some(isIt);
}

async function nextOf(b: WireClient): Promise<Received> {
  const packet = await b.next();
  if (packet.cmd === 'publish' && packet.qos === 1) b.send({ cmd: 'puback', messageId: packet.messageId });
  return packet;
}

function send({ a, b }: Scene, { publish = {}, isOwn = false }: Mishap): void {
  const { topic = 'a/b', payload = 'it', qos = 1, retain = false, properties = {} } = publish;
  const publisher = isOwn ? b! : a;
  if (publisher.isClosed) return;
  const messageId = qos === 0 ? undefined : publisher.newId() + 100;
  if (/[+#]/.test(topic)) {
    // mqtt-packet refuses to make it.
    return publisher.sendBytes(Buffer.from([0x32, 8, 0, 3, ...Buffer.from(topic), 0, 9, 0]));
  }
  publisher.send({ cmd: 'publish', topic, payload, qos, retain, dup: false, messageId, properties });
}

/** What comes back to A, to the end of a QoS 2 exchange, or to the end of its connection. */
async function answered({ a, b }: Scene, { publish = {}, isOwn = false }: Mishap): Promise<void> {
  const { qos = 1 } = publish;
  const publisher = isOwn ? b! : a;
  if (publisher.isClosed) return;
  if (qos === 0) {
    // Nothing answers it, and what another connection brings could be read before it.
    if (publisher === a) await a.nothingElse();
    return;
  }
  const answer = await publisher.next().catch(() => null);
  if (answer?.cmd === 'publish') publisher.waiting.unshift(answer);
  if (answer?.cmd === 'disconnect') await publisher.closed();
}

async function open({ options = {}, b = lasting, filter = 'a/b', granted = { qos: 1 } }: Mishap): Promise<Scene> {
  writeFileSync(join(directory, 'acl'), 'topic readwrite #\n');
  const sluice = await createBroker({
    ...options,
    config: {
      listeners: [{ kind: 'tcp', port: 0 }],
      log: { level: 'silent' },
      store: { kind: 'memory' },
      ...options.config,
    },
  });
  closing.push(() => sluice.close());
  const connect = (how: ConnectOptions) => WireClient.connect(sluice.listeners[0]!.port, how);
  const a = await connect({ version: 5, clientId: 'A' });
  const receiver = b === null ? null : await connect(b);
  if (filter !== null) await receiver?.subscribe(filter, granted);
  return { sluice, connect, a, b: receiver };
}

test.each(mishaps)('$title', async (mishap) => {
  const { prepare, publish = {}, asked = {}, expected, really, afterwards, isOwn = false } = mishap;
  const scene = await open(mishap);
  await prepare?.(scene);
  const { topic = 'a/b', qos = 1, retain = false } = publish;
  const request = { topic, from: isOwn ? 'B' : 'A', to: 'B', qos, retain, ...asked };
  const explanation = await scene.sluice.command('explain', request);
  const { arrives, step, conclusion } = explanation;
  expect({ arrives, step }).toEqual({ arrives: expected?.[0] ?? 'yes', step: expected?.[1] ?? null });
  expect(conclusion).toMatch(expected?.[2] ?? /^it would arrive$/);
  // It has sent nothing, and asking again finds the same.
  expect(await scene.sluice.command('explain', request)).toEqual(explanation);

  send(scene, mishap);
  if (really !== 'comes later') await answered(scene, mishap);
  if (really === 'comes later') {
    if (scene.b !== null) scene.b.waiting.push(...scene.b.waiting.splice(0));
    await afterwards!(scene);
    expect(await hasArrived(scene, true)).toBe(true);
    return;
  }
  await afterwards?.(scene);
  expect(await hasArrived(scene)).toBe(really === 'arrives');
});

test('there are at least forty of them', () => expect(mishaps.length).toBeGreaterThanOrEqual(40));

const unasked = checkedRequest('explain', { topic: 'a' });

test('the disk takes no writes: 5.0 publishers are refused, and the message does not arrive', async () => {
  const disk = new BadDisk();
  const on = await brokerOn(disk);
  closing.push(() => on.dispose());
  const away = await on.connect(lasting);
  await away.subscribe('a/b', { qos: 1 });
  await away.disconnect();
  const filler = await on.connect({ version: 5 });
  disk.mood = 'refusing';
  filler.send({ cmd: 'publish', topic: 'a/b', payload: 'before', qos: 1, messageId: 1 });
  await expect.poll(() => on.store.isFailing).toBe(true);
  const a = await on.connect({ version: 5, clientId: 'A' });
  const { arrives, step, conclusion } = await on.broker.explain({
    ...unasked,
    topic: 'a/b',
    from: 'A',
    to: 'B',
    qos: 1,
  });
  expect({ arrives, step, conclusion }).toEqual({
    arrives: 'no',
    step: 'disk',
    conclusion: 'the disk takes no writes: the message is refused with 0x97',
  });
  expect((await a.publish('a/b', 'it', { qos: 1 }))?.reasonCode).toBe(0x97);
});

test('another node of the cluster decides, or has the session', async () => {
  const cluster = { claim: () => 0, forward: () => 0x97 };
  const broker = new Broker({ settings: defaultSettings, store: new MemoryStore(), cluster });
  await broker.start();
  const here = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const listener = await listen(here, (url) => (stream) => broker.accept(stream, url));
  closing.push(() => broker.close());
  closing.push(() => listener.close());
  const connect = (clientId: string) => WireClient.connect(listener.port, { version: 5, clientId });
  const [a, b] = [await connect('A'), await connect('B')];
  await b.subscribe('a/b', { qos: 1 });
  const asked = { ...unasked, topic: 'a/b', from: 'A', qos: 1 } as const;
  expect(await broker.explain({ ...asked, to: 'B' })).toMatchObject({ arrives: 'depends', step: 'cluster' });
  const { findings } = await broker.explain({ ...asked, to: 'elsewhere' });
  expect(findings.at(-1)).toMatchObject({
    step: 'session',
    verdict: 'depends',
    text: expect.stringMatching(/another node/),
  });
  expect((await a.publish('a/b', 'it', { qos: 1 }))?.reasonCode).toBe(0x97);
  await b.nothingElse();
});

test('a broker that stops takes nothing in', async () => {
  const on = await brokerOn(new BadDisk());
  closing.push(() => on.dispose());
  const a = await on.connect({ version: 5, clientId: 'A' });
  await a.subscribe('a/b', { qos: 1 });
  const closed = on.broker.close();
  const explanation = await on.broker.explain({ ...unasked, topic: 'a/b', from: 'A', to: 'A', qos: 1 });
  expect(explanation).toMatchObject({ arrives: 'no', step: 'broker' });
  await closed;
  expect(a.isClosed || (await a.closed()).every(({ cmd }) => cmd === 'disconnect')).toBe(true);
});

test('without a receiver it counts those who would get it, or names topics that others subscribe to', async () => {
  const scene = await open({ title: '', filter: 'a/b/', expected: null, really: 'arrives' });
  const explained = (topic: string) => scene.sluice.command('explain', { topic, from: 'A' });
  expect(await explained('a/b/')).toMatchObject({
    arrives: 'yes',
    receivers: { sessions: 1, sharedGroups: 0, clientIds: ['B'], groups: [] },
  });
  expect(await explained('a/b')).toMatchObject({
    arrives: 'no',
    step: 'subscription',
    conclusion: 'nobody who may have it has subscribed to a/b; there are subscribers to "a/b/"',
    receivers: { sessions: 0, sharedGroups: 0 },
  });
});

test('nobody gets what no member of a shared subscription may have, and it is counted for its topic', async () => {
  const options: BrokerOptions = {
    config: { authorization: { rules: [{ deny: 'subscribe', topics: ['a/b'] }, { allow: 'all' }] } },
  };
  const { sluice, a } = await open({ title: '', options, filter: '$share/g/a/#', expected: null, really: 'arrives' });
  expect(await sluice.command('explain', { topic: 'a/b', from: 'A' })).toMatchObject({
    arrives: 'no',
    step: 'subscription',
    receivers: { sessions: 0, sharedGroups: 0, groups: [] },
  });
  expect(await a.publish('a/b', 'it', { qos: 1 })).toMatchObject({ reasonCode: 0x10 });
  expect((await sluice.drops.unmatched()).items).toMatchObject([{ topic: 'a/b', count: 1 }]);
  expect(await sluice.command('explain', { topic: 'a/c', from: 'A' })).toMatchObject({
    arrives: 'yes',
    receivers: { sharedGroups: 1, groups: ['g/a/#'] },
  });
});

test('with a time it tells what was dropped and refused since then', async () => {
  const { sluice, a, b } = await open({ title: '', expected: null, really: 'arrives' });
  await b!.disconnect();
  await a.publish('a/b', 'it', { qos: 0 });
  await a.publish('a/other', 'it', { qos: 0 });
  await a.nothingElse();
  const request = { topic: 'a/b', from: 'A', to: 'B' };
  const { drops } = await sluice.command('explain', { ...request, sinceSeconds: 60 });
  expect(drops).toMatchObject([{ reason: 'clientAway', topic: 'a/b', recipient: 'B', publisher: { clientId: 'A' } }]);
  expect((await sluice.command('explain', { ...request, to: 'C', sinceSeconds: 60 })).drops).toEqual([]);
  expect((await sluice.command('explain', request)).drops).toBe(null);
});
