/**
 * Bridges: the settings of connections to other brokers. docs/guides/bridge.md explains them.
 */
import * as z from 'zod';
import type { DeepReadonly } from '../base/freeze.ts';
import { parseFilter } from '../protocol/topic.ts';
import { findLoop } from './bridge-loops.ts';
import type { PeerAddress } from './transport.ts';
import { bytes, milliseconds, qos, seconds, secret, text, topicName, whole } from './values.ts';

type Issues = z.core.$RefinementCtx;

const refuse = (context: Issues, path: (string | number)[], message: string) =>
  context.addIssue({ code: 'custom', path, message });

const kinds = { 'mqtt:': 'tcp', 'mqtts:': 'tls', 'ws:': 'ws', 'wss:': 'wss' } as const;
const ports = { tcp: 1883, tls: 8883, ws: 80, wss: 443 } as const;
const addressText = 'mqtt://host:port, mqtts://host:port, ws://host:port/path or wss://host:port/path';

/** Null: it is no address of a broker. */
export function parseAddress(url: string): PeerAddress | null {
  if (!URL.canParse(url)) return null;
  const { protocol, hostname, port, pathname, search, username, password, hash } = new URL(url);
  const kind = Object.hasOwn(kinds, protocol) ? kinds[protocol as keyof typeof kinds] : null;
  if (kind === null || hostname === '' || username !== '' || password !== '' || hash !== '') return null;
  const hasPath = kind === 'ws' || kind === 'wss';
  if (!hasPath && (search !== '' || !['', '/'].includes(pathname))) return null;
  const path = !hasPath ? '' : `${['', '/'].includes(pathname) ? '/mqtt' : pathname}${search}`;
  const host = decodeURIComponent(hostname).replace(/^\[(.*)\]$/, '$1');
  return { kind, host, port: port === '' ? ports[kind] : Number(port), path };
}

const address = z.string().refine((url) => parseAddress(url) !== null, addressText);

/** Names beginning with SLUICE_ set settings themselves. */
const variable = text.refine((name) => !name.startsWith('SLUICE_'), 'a name that does not begin with SLUICE_');

const tls = z
  .strictObject({
    caFile: text.optional().describe("authorities of the peer's certificate, PEM; without it the public ones"),
    certFile: text.optional().describe('a certificate to show to the peer, PEM, with those that lead to its authority'),
    keyFile: text.optional().describe('its key'),
    passphraseFile: text.optional().describe('a file with the passphrase of an encrypted key'),
    passphraseEnv: variable.optional().describe('or the name of an environment variable with it'),
    serverName: text
      .optional()
      .describe('the name to ask for (SNI) and to find in the certificate; without it the host'),
    alpn: z
      .array(text)
      .max(16)
      .optional()
      .describe('protocols to offer (ALPN), as `[x-amzn-mqtt-ca]`; without it none'),
    verifyName: z.boolean().default(true).describe("whether the peer's certificate must have its name"),
    minVersion: z.enum(['TLSv1.2', 'TLSv1.3']).default('TLSv1.2').describe('the oldest version'),
    ciphers: text.optional().describe("suites in OpenSSL's notation, instead of the default"),
  })
  .superRefine(({ certFile, keyFile, passphraseFile, passphraseEnv }, context) => {
    if ((certFile === undefined) !== (keyFile === undefined))
      refuse(context, ['keyFile'], 'certFile and keyFile together');
    if (passphraseFile !== undefined && passphraseEnv !== undefined) {
      refuse(context, ['passphraseEnv'], 'either passphraseFile or passphraseEnv');
    }
  });

const textCharactersMax = 65_535;
const prefix = z
  .string()
  .max(textCharactersMax)
  .regex(/^[^+#\u0000]*$/, 'the beginning of a topic, without wildcards');

const topic = z
  .strictObject({
    filter: z.string().max(textCharactersMax).default('#').describe('topics, without their prefixes'),
    direction: z
      .enum(['out', 'in', 'both'])
      .default('out')
      .describe('`out`: from here to the peer. `in`: from the peer to here'),
    qos: qos.default(1).describe('highest QoS'),
    localPrefix: prefix.default('').describe('stands before the filter here, as `site7/`'),
    remotePrefix: prefix.default('').describe('stands before it at the peer'),
    retain: z
      .enum(['keep', 'clear', 'as-published'])
      .default('keep')
      .describe(
        '`keep`: retained messages go over when the bridge begins, and stay retained. `as-published`: ' +
          'only those that are published from then on. `clear`: nothing is retained on the other side',
      ),
    pipeline: text
      .optional()
      .describe('the pipeline (`on: bridge`) that its messages go through on their way, under their topics here'),
    forward: z
      .enum(['all', 'subscribed'])
      .default('all')
      .describe(
        '`subscribed`: only what somebody has subscribed to where it goes. What comes in is asked for so at any peer, ' +
          'what goes out needs a peer that is a Sluice; to others, all goes',
      ),
    priority: whole(0, 9)
      .default(0)
      .describe('of what waits for the peer, messages of entries with a higher one go first. Only for what goes out'),
  })
  .superRefine(({ filter, direction, localPrefix, remotePrefix, priority }, context) => {
    if (direction === 'in' && priority > 0) refuse(context, ['priority'], 'it only for what goes out');
    for (const whole of [localPrefix + filter, remotePrefix + filter]) {
      const parsed = parseFilter(whole);
      if (parsed !== null && parsed.shareName === null) continue;
      return refuse(context, ['filter'], 'a topic filter behind either prefix, such as factory/+/temperature');
    }
  });

/** A peer is asked about so many: see `broker/demand-teller.ts`. */
const askedMax = 32;

const askedOf = (topics: readonly z.output<typeof topic>[]) =>
  new Set(
    topics
      .filter(({ direction, forward }) => direction !== 'in' && forward === 'subscribed')
      .map(({ filter, remotePrefix }) => remotePrefix + filter),
  ).size;

/** Each has a queue of its own: see `bridge/lanes.ts`. */
const lanesMax = 16;

const lanesOf = (topics: readonly z.output<typeof topic>[]) =>
  new Set(topics.map(({ pipeline, priority }) => `${priority} ${pipeline ?? ''}`)).size;

export const bridge = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'letters, digits, "_", "." and "-", 64 at most')
      .describe('names it in the log, in metrics and for commands. Required'),
    addresses: z
      .array(address)
      .min(1)
      .max(16)
      .describe(`where the peer is: ${addressText}. Of several, each is tried after the one before. Required`),
    roundRobin: z
      .boolean()
      .default(false)
      .describe('whether the next address is as good as the first. `false`: the first is returned to'),
    version: z
      .enum(['auto', '5.0', '3.1.1'])
      .default('auto')
      .describe('of MQTT. `auto`: 5.0, and 3.1.1 if the peer does not know that'),
    clientId: z
      .string()
      .min(1)
      .max(textCharactersMax)
      .regex(/^[^\u0000]+$/, 'a client identifier')
      .optional()
      .describe('as whom it connects; without it a name that this broker keeps'),
    username: text.optional().describe('user name at the peer'),
    usernameEnv: variable.optional().describe('or the name of an environment variable with it'),
    password: secret(z.string()).optional().describe('password at the peer'),
    passwordEnv: variable.optional().describe('or the name of an environment variable with it'),
    passwordFile: text.optional().describe('or a file with it, read at each attempt'),
    tls: tls.optional().describe('for mqtts:// and wss://'),
    keepAliveSeconds: seconds(1, 65_535)
      .default(60)
      .describe('the peer is asked whether it is there after so much silence; a link is given up after 1.5 times that'),
    connectTimeoutSeconds: seconds(1, 600).default(10).describe('from an attempt to its CONNACK'),
    reconnect: z
      .strictObject({
        minimumMs: milliseconds(100, 3_600_000).default(1_000).describe('least time between two attempts'),
        maximumMs: milliseconds(100, 86_400_000)
          .default(30_000)
          .describe('most of it: it is drawn between the least and three times the last one'),
      })
      .prefault({})
      .describe('how soon a lost peer is tried again'),
    cleanStart: z
      .boolean()
      .default(false)
      .describe('whether the peer forgets at each connection what it has kept for the bridge'),
    sessionExpirySeconds: seconds(0, 0xffffffff)
      .default(0xffffffff)
      .describe('how long it keeps that while the bridge is away (MQTT 5); the default means for ever'),
    start: z
      .enum(['automatic', 'lazy', 'once', 'manual'])
      .default('automatic')
      .describe(
        'when it connects. `lazy`: while there is something to send. `once`: at the start, and not again after a failure. ' +
          '`manual`: on the command `bridges resume`',
      ),
    lazy: z
      .strictObject({
        threshold: whole(1).default(10).describe('it connects once so many messages wait'),
        idleSeconds: seconds(1, 86_400)
          .default(60)
          .describe('it disconnects once no message has gone over it for so long'),
      })
      .prefault({})
      .describe('for `start: lazy`'),
    returnSeconds: seconds(0, 86_400)
      .default(30)
      .describe(
        'while it is connected to another address than the first, how often that one is asked whether it takes ' +
          'connections; then the bridge returns to it. 0, or with `roundRobin`: not before the link is lost',
      ),
    topics: z
      .array(topic)
      .min(1)
      .max(1_000)
      .refine((all) => lanesOf(all) <= lanesMax, `at most ${lanesMax} combinations of pipeline and priority`)
      .refine((all) => askedOf(all) <= askedMax, `at most ${askedMax} that go out with forward: subscribed`)
      .describe('what goes over it; of those that match a topic, the first. Required'),
    queue: z
      .strictObject({
        maxBytes: bytes(1)
          .default(1_073_741_824)
          .describe(
            'messages that wait for the peer: their payloads, properties and topics, on disk. With priorities or ' +
              'pipelines, of each combination of these',
          ),
        maxAgeSeconds: seconds(0, 0xffffffff)
          .default(0)
          .describe('a message that has waited for so long is dropped (`tooOld`). 0: none is'),
        whenFull: z
          .enum(['refuse', 'drop-oldest'])
          .default('refuse')
          .describe(
            '`refuse`: publishers of QoS 1 and 2 get 0x97, and those before MQTT 5 wait, until there is room. ' +
              '`drop-oldest`: the oldest makes room',
          ),
      })
      .prefault({})
      .describe('what waits while the peer is away or slow'),
    rate: z
      .strictObject({
        messagesPerSecond: whole(0, 1_000_000_000)
          .default(0)
          .describe('messages to the peer, in the mean. 0: any number'),
        bytesPerSecond: whole(0).default(0).describe('bytes of these, in the mean. 0: any number'),
      })
      .prefault({})
      .describe('how fast it sends; what is more waits in the queue, and QoS 0 is dropped'),
    maxPacketBytes: bytes(128, 268_435_460)
      .optional()
      .describe(
        'largest packet to send, for a peer that cannot say it itself: before MQTT 5, or as AWS IoT Core has it. ' +
          'What is larger is put into the quarantine',
      ),
    notifications: z
      .strictObject({
        local: z
          .boolean()
          .default(true)
          .describe('`1` or `0`, retained, in `$SYS/broker/connection/{name}/state` here, and more in `…/details`'),
        remote: z
          .boolean()
          .default(false)
          .describe('`1` or `0`, retained, at the peer, which has a will for that: it is told also of a lost link'),
        remoteTopic: topicName
          .optional()
          .describe('topic there; without it `$SYS/broker/connection/{clientId}/state`, which not every peer allows'),
      })
      .prefault({})
      .describe('who is told whether the bridge is connected'),
    maxInflight: whole(1, 65_535)
      .default(100)
      .describe('QoS 1 and 2 messages in flight to the peer; its Receive Maximum lowers it, and `limits.inflight`'),
  })
  .superRefine((settings, context) => {
    const { addresses, tls, reconnect, notifications } = settings;
    if (notifications.remoteTopic !== undefined && !notifications.remote) {
      refuse(context, ['notifications', 'remoteTopic'], 'it only with remote: true');
    }
    const isSecure = (url: string) => /^(mqtts|wss):/.test(url);
    if (tls !== undefined && !addresses.some(isSecure)) refuse(context, ['tls'], 'it only for mqtts:// and wss://');
    if (reconnect.maximumMs < reconnect.minimumMs) {
      refuse(context, ['reconnect', 'maximumMs'], 'no less than minimumMs');
    }
    const given = (names: readonly (keyof typeof settings)[]) => names.filter((name) => settings[name] !== undefined);
    for (const names of [
      ['username', 'usernameEnv'],
      ['password', 'passwordEnv', 'passwordFile'],
    ] as const) {
      if (given(names).length > 1) refuse(context, [given(names)[1]!], `one of ${names.join(', ')}`);
    }
  });

export const bridges = z
  .array(bridge)
  .max(256)
  .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'each name once')
  .superRefine((all, context) => {
    const loop = findLoop(all, (out, into) => out !== into && areOpenToLoops(all[out]!, all[into]!));
    if (loop === null) return;
    const { topic, out, into } = loop;
    const [one, other] = [all[out]!.name, all[into]!.name];
    const what = `topics that cannot go round: what is published to ${topic} leaves by ${one} and comes back by ${other} for ever`;
    refuse(context, [into, 'topics'], `${what}, since MQTT 3.1.1 has nothing against it (see docs/guides/bridge.md)`);
  })
  .default([]);

/** Two bridges to one broker, of which a message of MQTT 5.0 would have its path. */
function areOpenToLoops(one: z.output<typeof bridge>, other: z.output<typeof bridge>): boolean {
  const isOld = one.version === '3.1.1' || other.version === '3.1.1';
  return isOld && one.addresses.some((each) => other.addresses.includes(each));
}

export type BridgeSettings = DeepReadonly<z.output<typeof bridge>>;
export type BridgeTopic = BridgeSettings['topics'][number];
