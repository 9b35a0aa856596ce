/** Each string and binary field of each packet at its longest, as a client may send it. */
import type { ProtocolVersion } from '../../src/protocol/traits.ts';
import { encodeAsClient } from './mqtt-packet.ts';

/** A length on the wire has two bytes. */
const bytesMax = 65_535;
const filler = {
  plain: (bytes: number) => 'x'.repeat(bytes),
  /** Each of them takes six characters where it is shown. */
  control: (bytes: number) => '\u001b'.repeat(bytes),
  /** Four bytes each. */
  wide: (bytes: number) => '🙂'.repeat(Math.floor(bytes / 4)),
} as const;
export type Fill = keyof typeof filler;
export const fills = Object.keys(filler) as Fill[];

export interface LongPacket {
  /** `connect will.topic` */
  readonly name: string;
  /** Whether it is the first packet of its connection. */
  readonly isFirst: boolean;
  readonly bytes: Buffer;
}

/** `length`: of the field, in bytes. */
export function longPackets(version: ProtocolVersion, fill: Fill, length = bytesMax): LongPacket[] {
  const text = filler[fill](length);
  const data = Buffer.alloc(length, 0x1b);
  const pairs = [{ userProperties: { [text]: 'v' } }, { userProperties: { n: text } }];
  const reasons = [{ reasonString: text }, ...pairs];
  const forMessage = [{ contentType: text }, { responseTopic: text }, { correlationData: data }, ...pairs];
  const connect = {
    cmd: 'connect',
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion: version,
    clientId: 'long',
    clean: true,
    keepalive: 60,
  };
  const will = { topic: 't', payload: 'p', qos: 1, retain: false };
  const publish = { cmd: 'publish', topic: 't', payload: 'p', qos: 0, retain: false, dup: false };
  const packets: [name: string, packet: object][] = [
    ['connect clientId', { ...connect, clientId: text }],
    ['connect username', { ...connect, username: text }],
    ['connect password', { ...connect, username: 'u', password: data }],
    ['connect will.topic', { ...connect, will: { ...will, topic: text } }],
    ['connect will.payload', { ...connect, will: { ...will, payload: data } }],
    ['subscribe topic', { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: text, qos: 1 }] }],
    ['subscribe $share', { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: shared(text), qos: 1 }] }],
    ['unsubscribe topic', { cmd: 'unsubscribe', messageId: 1, unsubscriptions: [text] }],
    ...([0, 1, 2] as const).map((qos): [string, object] => [
      `publish topic QoS ${qos}`,
      { ...publish, topic: text, qos, ...(qos === 0 ? {} : { messageId: 7 }) },
    ]),
    ['publish $SYS', { ...publish, topic: `$SYS/${text}`.slice(0, text.length) }],
  ];
  if (version === 5) {
    const each = (name: string, packet: object, all: readonly object[]) => {
      for (const properties of all) packets.push([`${name} ${Object.keys(properties)[0]}`, { ...packet, properties }]);
    };
    each('connect', connect, [
      { authenticationMethod: text },
      { authenticationMethod: text, authenticationData: data },
      { authenticationMethod: 'm', authenticationData: data },
      ...pairs,
    ]);
    for (const properties of forMessage) {
      packets.push([`connect will ${Object.keys(properties)[0]}`, { ...connect, will: { ...will, properties } }]);
    }
    each('publish', publish, forMessage);
    each('publish QoS 1', { ...publish, qos: 1, messageId: 7 }, forMessage);
    each('subscribe', { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't', qos: 1 }] }, pairs);
    each('unsubscribe', { cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['t'] }, pairs);
    for (const cmd of ['puback', 'pubrec', 'pubrel', 'pubcomp']) {
      each(cmd, { cmd, messageId: 1, reasonCode: 0x80 }, reasons);
    }
    each('disconnect', { cmd: 'disconnect', reasonCode: 0x80 }, [...reasons, { serverReference: text }]);
    each('auth', { cmd: 'auth', reasonCode: 0x18 }, [
      { authenticationMethod: text },
      { authenticationMethod: 'm', authenticationData: data },
      ...reasons.map((reason) => ({ authenticationMethod: 'm', ...reason })),
    ]);
  }
  return packets.map(([name, packet]) => {
    return { name, isFirst: name.startsWith('connect'), bytes: encodeAsClient(packet as never, version) };
  });
}

/** With the share name at its longest. */
const shared = (text: string) => `$share/${text.slice(0, -16)}/t`;
