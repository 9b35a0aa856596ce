/**
 * Random packets for property tests: valid ones, of every kind and version.
 */
import fc from 'fast-check';
import type { Packet } from 'mqtt-packet';
import type { ServerPacket } from '../../src/protocol/packets.ts';
import type { ProtocolVersion } from '../../src/protocol/traits.ts';
import { encodeAsClient } from './mqtt-packet.ts';

const u16 = fc.integer({ min: 0, max: 65_535 });
const packetId = fc.integer({ min: 1, max: 65_535 });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const text = fc.string({ unit: 'binary', maxLength: 20 }).map((value) => value.replaceAll('\0', ''));
const topic = text.map((value) => value.replace(/[+#]/g, '')).filter((value) => value !== '');
const filter = text.filter((value) => value !== '');
const binary = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
export const aVersion = fc.constantFrom<ProtocolVersion>(3, 4, 5);
const byName = fc.dictionary(text, fc.array(text, { minLength: 1, maxLength: 3 }), { minKeys: 1, maxKeys: 3 });
const pairs = fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 6 });

const some = <T extends Record<string, fc.Arbitrary<unknown>>>(model: T) => fc.record(model, { requiredKeys: [] });
const messageProperties = {
  payloadFormatIndicator: fc.boolean(),
  messageExpiryInterval: u32,
  contentType: text,
  responseTopic: topic,
  correlationData: binary,
  userProperties: byName,
};
const connectProperties = some({
  sessionExpiryInterval: u32,
  receiveMaximum: packetId,
  maximumPacketSize: fc.integer({ min: 1, max: 0xffffffff }),
  topicAliasMaximum: u16,
  requestResponseInformation: fc.boolean(),
  requestProblemInformation: fc.boolean(),
  userProperties: byName,
});
const authentication = fc.record(
  { authenticationMethod: text, authenticationData: binary },
  { requiredKeys: ['authenticationMethod'] },
);

/** None before 5.0. */
const properties = (version: ProtocolVersion, arbitrary: fc.Arbitrary<object>) =>
  version === 5 ? arbitrary : fc.constant({});

const connect = (version: ProtocolVersion) =>
  fc
    .record({
      cmd: fc.constant('connect'),
      protocolId: fc.constant(version === 3 ? 'MQIsdp' : 'MQTT'),
      protocolVersion: fc.constant(version),
      clientId: filter,
      clean: fc.boolean(),
      keepalive: u16,
      will: fc.option(
        fc.record({
          topic,
          payload: binary,
          qos,
          retain: fc.boolean(),
          properties: properties(version, some({ ...messageProperties, willDelayInterval: u32 })),
        }),
        { nil: undefined },
      ),
      credentials: fc.constantFrom('none', 'username', 'both'),
      username: text,
      password: binary,
      properties: properties(
        version,
        fc.tuple(connectProperties, fc.option(authentication)).map(([a, b]) => ({ ...a, ...b })),
      ),
    })
    .map(({ credentials, username, password, ...rest }) => {
      const named = credentials === 'none' ? rest : { ...rest, username };
      return credentials === 'both' ? { ...named, password } : named;
    });

const publish = (version: ProtocolVersion) =>
  fc
    .record({
      cmd: fc.constant('publish'),
      topic,
      payload: binary,
      qos,
      retain: fc.boolean(),
      dup: fc.boolean(),
      messageId: packetId,
      properties: properties(version, some({ ...messageProperties, topicAlias: packetId })),
    })
    .map((packet) => ({ ...packet, dup: packet.dup && packet.qos > 0 }));

const acknowledgement = (version: ProtocolVersion, cmds: readonly string[], reasons: readonly number[]) =>
  fc.record({
    cmd: fc.constantFrom(...cmds),
    messageId: packetId,
    reasonCode: version === 5 ? fc.constantFrom(...reasons) : fc.constant(0),
    properties: properties(version, some({ reasonString: text, userProperties: byName })),
  });

const subscription = (version: ProtocolVersion) =>
  fc.record({
    topic: filter.filter((value) => !value.startsWith('$share/')),
    qos,
    ...(version === 5 ? { nl: fc.boolean(), rap: fc.boolean(), rh: fc.constantFrom(0, 1, 2) } : {}),
  });

const subscribe = (version: ProtocolVersion) =>
  fc.record({
    cmd: fc.constant('subscribe'),
    messageId: packetId,
    subscriptions: fc.array(subscription(version), { minLength: 1, maxLength: 4 }),
    properties: properties(
      version,
      some({ subscriptionIdentifier: fc.integer({ min: 1, max: 268_435_455 }), userProperties: byName }),
    ),
  });

const unsubscribe = (version: ProtocolVersion) =>
  fc.record({
    cmd: fc.constant('unsubscribe'),
    messageId: packetId,
    unsubscriptions: fc.array(filter, { minLength: 1, maxLength: 4 }),
    properties: properties(version, some({ userProperties: byName })),
  });

const disconnect = (version: ProtocolVersion) =>
  fc.record({
    cmd: fc.constant('disconnect'),
    reasonCode: version === 5 ? fc.constantFrom(0, 4, 0x80, 0x81, 0x82, 0x90, 0x99) : fc.constant(0),
    properties: properties(version, some({ sessionExpiryInterval: u32, reasonString: text, userProperties: byName })),
  });

const clientAuth = fc.record({
  cmd: fc.constant('auth'),
  reasonCode: fc.constantFrom(0x18, 0x19),
  properties: fc
    .tuple(authentication, some({ reasonString: text, userProperties: byName }))
    .map(([a, b]) => ({ ...a, ...b })),
});

/** The packets that a client of this version may send. */
export function clientPacket(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const packet = fc.oneof(
    { arbitrary: connect(version), weight: 3 },
    { arbitrary: publish(version), weight: 3 },
    acknowledgement(version, ['puback', 'pubrec'], [0, 0x10, 0x80, 0x99]),
    acknowledgement(version, ['pubrel', 'pubcomp'], [0, 0x92]),
    subscribe(version),
    unsubscribe(version),
    fc.constant({ cmd: 'pingreq' }),
    disconnect(version),
    ...(version === 5 ? [clientAuth] : []),
  );
  return packet as unknown as fc.Arbitrary<Packet>;
}

/** The bytes of such a packet, and the version of the connection they arrive on: 0 for CONNECT. */
export const sentPacket = aVersion.chain((version) =>
  clientPacket(version).map((packet) => {
    return { version: packet.cmd === 'connect' ? (0 as const) : version, bytes: encodeAsClient(packet, version) };
  }),
);

const answerProperties = some({ reasonString: text, userProperties: pairs });
const connackProperties = some({
  sessionExpiryInterval: u32,
  receiveMaximum: packetId,
  maximumQoS: fc.constantFrom(0, 1),
  retainAvailable: fc.boolean(),
  maximumPacketSize: fc.integer({ min: 1, max: 0xffffffff }),
  assignedClientIdentifier: text,
  topicAliasMaximum: u16,
  reasonString: text,
  userProperties: pairs,
  wildcardSubscriptionAvailable: fc.boolean(),
  subscriptionIdentifiersAvailable: fc.boolean(),
  sharedSubscriptionAvailable: fc.boolean(),
  serverKeepAlive: u16,
  responseInformation: text,
  serverReference: text,
  authenticationMethod: text,
  authenticationData: binary,
});

const grants = (codes: readonly number[]) => fc.array(fc.constantFrom(...codes), { minLength: 1, maxLength: 5 });

/** What the broker may send to a client of this version, apart from PUBLISH and its acknowledgements. */
export function anAnswer(version: ProtocolVersion): fc.Arbitrary<ServerPacket> {
  const is5 = version === 5;
  const connack = fc.record({
    cmd: fc.constant('connack'),
    sessionPresent: version === 3 ? fc.constant(false) : fc.boolean(),
    reasonCode: is5 ? fc.constantFrom(0, 0x81, 0x87) : fc.constantFrom(0, 1, 5),
    properties: is5 ? connackProperties : fc.constant({}),
  });
  const granted = (cmd: string, codes: readonly number[]) =>
    fc.record({
      cmd: fc.constant(cmd),
      messageId: packetId,
      granted: grants(codes),
      properties: is5 ? answerProperties : fc.constant({}),
    });
  const disconnect = fc.record({
    cmd: fc.constant('disconnect'),
    reasonCode: fc.constantFrom(0, 0x81, 0x8e, 0x9c),
    properties: some({ reasonString: text, userProperties: pairs, serverReference: text }),
  });
  const auth = fc.record({
    cmd: fc.constant('auth'),
    reasonCode: fc.constantFrom(0, 0x18),
    properties: fc.tuple(authentication, answerProperties).map(([a, b]) => ({ ...a, ...b })),
  });
  const packet = fc.oneof(
    connack,
    granted('suback', is5 ? [0, 1, 2, 0x80, 0x8f] : [0, 1, 2, 0x80]),
    granted('unsuback', [0, 0x11, 0x8f]),
    ...(is5 ? [disconnect, auth] : []),
  );
  return packet as unknown as fc.Arbitrary<ServerPacket>;
}
