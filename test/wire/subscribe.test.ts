/**
 * SUBSCRIBE and UNSUBSCRIBE. 5.0 answers a filter whose wildcards are misplaced in the SUBACK; before, such a packet
 * breaks the protocol. [MQTT5 3.8] [MQTT5 3.10]
 */
import { describe } from 'vitest';
import type { SubscribePacket, SubscriptionRequest, UnsubscribePacket } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { accepts, every, type Row, refuses, testRows, v3, v5, v31, v311, wire } from '../support/wire.ts';

const { MalformedPacket, ProtocolError } = ReasonCode;
/** [MQTT5 2.2.2.2] */
const forbiddenProperty = MalformedPacket;

const request = (topic: string, fields: Partial<SubscriptionRequest> = {}): SubscriptionRequest => {
  return { topic, qos: 0, nl: false, rap: false, rh: 0, ...fields };
};
const aSubscribe = (
  subscriptions: SubscriptionRequest[],
  properties: SubscribePacket['properties'] = {},
): SubscribePacket => {
  return { cmd: 'subscribe', messageId: 1, subscriptions, properties };
};
const anUnsubscribe = (
  unsubscriptions: string[],
  properties: UnsubscribePacket['properties'] = {},
): UnsubscribePacket => {
  return { cmd: 'unsubscribe', messageId: 1, unsubscriptions, properties };
};
const options5 = (options: string, fields: Partial<SubscriptionRequest>) =>
  [wire`82 { 0001 00 'a' ${options} }`, aSubscribe([request('a', fields)])] as const;

const subscribe: Row[] = [
  accepts('QoS 0', v3, wire`82 { 0001 'a' 00 }`, aSubscribe([request('a')])),
  accepts('QoS 1', v3, wire`82 { 0001 'a' 01 }`, aSubscribe([request('a', { qos: 1 })])),
  accepts('QoS 2', v3, wire`82 { 0001 'a' 02 }`, aSubscribe([request('a', { qos: 2 })])),
  accepts('QoS 0, spelled out', v3, wire`82 06 0001 0001 61 00`, aSubscribe([request('a')])),
  accepts('packet id 65,535', v3, wire`82 { ffff 'a' 00 }`, { ...aSubscribe([request('a')]), messageId: 65_535 }),
  accepts(
    'several filters in their order, one of them twice',
    v3,
    wire`82 { 0001 'b/#' 01 'a/+' 02 'b/#' 00 }`,
    aSubscribe([request('b/#', { qos: 1 }), request('a/+', { qos: 2 }), request('b/#')]),
  ),
  accepts('QoS 0 in 5.0', v5, ...options5('00', {})),
  accepts('QoS 2 in 5.0', v5, ...options5('02', { qos: 2 })),
  accepts('No Local', v5, ...options5('04', { nl: true })),
  accepts('Retain As Published', v5, ...options5('08', { rap: true })),
  accepts('Retain Handling 1', v5, ...options5('10', { rh: 1 })),
  accepts('Retain Handling 2', v5, ...options5('20', { rh: 2 })),
  accepts('every option', v5, ...options5('2e', { qos: 2, nl: true, rap: true, rh: 2 })),
  accepts(
    'a shared subscription',
    v5,
    wire`82 { 0001 00 '$share/g/a' 01 }`,
    aSubscribe([request('$share/g/a', { qos: 1 })]),
  ),
  accepts(
    'No Local on a filter that only looks shared',
    v5,
    wire`82 { 0001 00 '$shared/a' 04 '$share' 04 }`,
    aSubscribe([request('$shared/a', { nl: true }), request('$share', { nl: true })]),
  ),
  accepts(
    'Subscription Identifier 1',
    v5,
    wire`82 { 0001 { 0b 01 } 'a' 00 }`,
    aSubscribe([request('a')], { subscriptionIdentifier: 1 }),
  ),
  accepts(
    'the largest Subscription Identifier',
    v5,
    wire`82 { 0001 { 0b ffffff7f } 'a' 00 }`,
    aSubscribe([request('a')], { subscriptionIdentifier: 268_435_455 }),
  ),
  accepts(
    'User Properties in their order',
    v5,
    wire`82 { 0001 { 26 'b' '1' 0b 8001 26 'a' '2' 26 'b' '3' } 'a' 00 }`,
    aSubscribe([request('a')], {
      subscriptionIdentifier: 128,
      userProperties: [
        ['b', '1'],
        ['a', '2'],
        ['b', '3'],
      ],
    }),
  ),
  accepts(
    'misplaced wildcards, which SUBACK answers',
    v5,
    wire`82 { 0001 00 'a/#/b' 00 'a+' 00 }`,
    aSubscribe([request('a/#/b'), request('a+')]),
  ),
  accepts(
    'a broken $share, which SUBACK answers',
    v5,
    wire`82 { 0001 00 '$share/g' 00 }`,
    aSubscribe([request('$share/g')]),
  ),
  accepts('sent again with DUP, as 3.1 has it', v31, wire`8a { 0001 'a' 00 }`, aSubscribe([request('a')])),
  refuses('DUP, which 3.1.1 reserves [MQTT3 3.8.1-1]', v311, wire`8a { 0001 'a' 00 }`, MalformedPacket),
  refuses('DUP, which 5.0 reserves [MQTT5 3.8.1-1]', v5, wire`8a { 0001 00 'a' 00 }`, MalformedPacket),
  ...['a#', 'a/#/b', '#/a', 'a+', 'a/+b', '$share/g/a#'].map((filter) =>
    refuses(
      `the misplaced wildcard ${filter} [MQTT3 4.7.1-2] [MQTT3 4.7.1-3] [MQTT3 4.8.0-1]`,
      v3,
      wire`82 { 0001 'a' 00 '${filter}' 00 }`,
      ProtocolError,
    ),
  ),
  accepts(
    'a broken $share, which SUBACK answers',
    v3,
    wire`82 { 0001 '$share/g' 00 }`,
    aSubscribe([request('$share/g')]),
  ),
  ...[0, 1, 3, 4, 6, 15].map((flags) =>
    refuses(`flags ${flags} [MQTT5 3.8.1-1]`, every, wire`8${flags.toString(16)} { 0001 00 'a' 00 }`, MalformedPacket),
  ),
  refuses('nothing', every, wire`8200`, MalformedPacket),
  refuses('a truncated packet id', every, wire`82 { 01 }`, MalformedPacket),
  refuses('packet id 0 [MQTT5 2.2.1-3]', v3, wire`82 { 0000 'a' 00 }`, MalformedPacket),
  refuses('packet id 0 in 5.0 [MQTT5 2.2.1-3]', v5, wire`82 { 0000 00 'a' 00 }`, MalformedPacket),
  refuses('no filter (empty SUBSCRIBE) [MQTT3 3.8.3-3]', v3, wire`82 { 0001 }`, ProtocolError),
  refuses('no filter (empty SUBSCRIBE) in 5.0 [MQTT5 3.8.3-2]', v5, wire`82 { 0001 00 }`, ProtocolError),
  refuses('neither filter nor properties in 5.0', v5, wire`82 { 0001 }`, MalformedPacket),
  refuses('a filter without options', v3, wire`82 { 0001 'a' }`, MalformedPacket),
  refuses('a second filter without options', v5, wire`82 { 0001 00 'a' 00 'b' }`, MalformedPacket),
  refuses('a filter longer than the packet', v3, wire`82 { 0001 0003 6100 }`, MalformedPacket),
  refuses('half a filter length', v3, wire`82 { 0001 'a' 00 00 }`, MalformedPacket),
  refuses('an empty filter [MQTT5 4.7.3-1]', v3, wire`82 { 0001 '' 00 }`, MalformedPacket),
  refuses('an empty filter in 5.0 [MQTT5 4.7.3-1]', v5, wire`82 { 0001 00 'a' 00 '' 00 }`, MalformedPacket),
  refuses('a filter that is not UTF-8 [MQTT5 3.8.3-1]', v3, wire`82 { 0001 0001 ff 00 }`, MalformedPacket),
  refuses('a surrogate in the filter', v5, wire`82 { 0001 00 0003 edb080 00 }`, MalformedPacket),
  refuses('U+0000 in the filter [MQTT5 4.7.3-2]', v3, wire`82 { 0001 0003 610062 00 }`, MalformedPacket),
  refuses('QoS 3', v3, wire`82 { 0001 'a' 03 }`, ProtocolError),
  refuses('QoS 3 in 5.0', v5, wire`82 { 0001 00 'a' 03 }`, ProtocolError),
  ...['04', '08', '10', '20', '40', '80'].map((options) =>
    refuses(
      `the reserved option bit ${options} [MQTT3 3.8.3-4]`,
      v3,
      wire`82 { 0001 'a' ${options} }`,
      MalformedPacket,
    ),
  ),
  ...['40', '80', 'c0'].map((options) =>
    refuses(
      `the reserved option bits ${options} [MQTT5 3.8.3-5]`,
      v5,
      wire`82 { 0001 00 'a' ${options} }`,
      MalformedPacket,
    ),
  ),
  refuses('Retain Handling 3', v5, wire`82 { 0001 00 'a' 30 }`, ProtocolError),
  refuses('No Local on a shared subscription [MQTT5 3.8.3-4]', v5, wire`82 { 0001 00 '$share/g/a' 04 }`, ProtocolError),
  refuses('Subscription Identifier 0', v5, wire`82 { 0001 { 0b 00 } 'a' 00 }`, ProtocolError),
  refuses('a non-minimal Subscription Identifier', v5, wire`82 { 0001 { 0b 8100 } 'a' 00 }`, MalformedPacket),
  refuses('a Subscription Identifier of five bytes', v5, wire`82 { 0001 { 0b 8080808001 } 'a' 00 }`, MalformedPacket),
  refuses('Subscription Identifier twice', v5, wire`82 { 0001 { 0b 01 0b 02 } 'a' 00 }`, ProtocolError),
  refuses('Reason String', v5, wire`82 { 0001 { 1f 'a' } 'a' 00 }`, forbiddenProperty),
  refuses('Topic Alias', v5, wire`82 { 0001 { 23 0001 } 'a' 00 }`, forbiddenProperty),
  refuses('an unknown property', v5, wire`82 { 0001 { 05 00 } 'a' 00 }`, MalformedPacket),
  refuses('a property length past the packet', v5, wire`82 { 0001 7f 'a' 00 }`, MalformedPacket),
  refuses('properties before 5.0', v3, wire`82 { 0001 00 'a' 00 }`, MalformedPacket),
];

const unsubscribe: Row[] = [
  accepts('one filter', v3, wire`a2 { 0001 'a' }`, anUnsubscribe(['a'])),
  accepts('one filter in 5.0', v5, wire`a2 { 0001 00 'a' }`, anUnsubscribe(['a'])),
  accepts('several filters in their order', v3, wire`a2 { 0001 'b' 'a/#' 'b' }`, anUnsubscribe(['b', 'a/#', 'b'])),
  accepts('a shared subscription', v5, wire`a2 { 0001 00 '$share/g/a' }`, anUnsubscribe(['$share/g/a'])),
  accepts('misplaced wildcards, which UNSUBACK answers', v5, wire`a2 { 0001 00 'a#' }`, anUnsubscribe(['a#'])),
  accepts(
    'User Properties in their order',
    v5,
    wire`a2 { 0001 { 26 'b' '1' 26 'a' '2' 26 'b' '3' } 'a' }`,
    anUnsubscribe(['a'], {
      userProperties: [
        ['b', '1'],
        ['a', '2'],
        ['b', '3'],
      ],
    }),
  ),
  accepts('sent again with DUP, as 3.1 has it', v31, wire`aa { 0001 'a' }`, anUnsubscribe(['a'])),
  refuses('DUP, which 3.1.1 reserves [MQTT3 3.10.1-1]', v311, wire`aa { 0001 'a' }`, MalformedPacket),
  refuses('DUP, which 5.0 reserves [MQTT5 3.10.1-1]', v5, wire`aa { 0001 00 'a' }`, MalformedPacket),
  refuses('a misplaced wildcard [MQTT3 4.7.1-2] [MQTT3 4.8.0-1]', v3, wire`a2 { 0001 'a' 'a#' }`, ProtocolError),
  ...[0, 1, 3, 6, 15].map((flags) =>
    refuses(`flags ${flags} [MQTT5 3.10.1-1]`, every, wire`a${flags.toString(16)} { 0001 00 'a' }`, MalformedPacket),
  ),
  refuses('nothing', every, wire`a200`, MalformedPacket),
  refuses('a truncated packet id', every, wire`a2 { 01 }`, MalformedPacket),
  refuses('packet id 0 [MQTT5 2.2.1-3]', v3, wire`a2 { 0000 'a' }`, MalformedPacket),
  refuses('packet id 0 in 5.0 [MQTT5 2.2.1-3]', v5, wire`a2 { 0000 00 'a' }`, MalformedPacket),
  refuses('no filter [MQTT3 3.10.3-2]', v3, wire`a2 { 0001 }`, ProtocolError),
  refuses('no filter in 5.0 [MQTT5 3.10.3-2]', v5, wire`a2 { 0001 00 }`, ProtocolError),
  refuses('an empty filter', v3, wire`a2 { 0001 '' }`, MalformedPacket),
  refuses('a filter longer than the packet', v5, wire`a2 { 0001 00 0002 61 }`, MalformedPacket),
  refuses('a filter that is not UTF-8 [MQTT5 3.10.3-1]', v3, wire`a2 { 0001 0002 6180 }`, MalformedPacket),
  refuses('U+0000 in the filter', v5, wire`a2 { 0001 00 0001 00 }`, MalformedPacket),
  refuses('Subscription Identifier', v5, wire`a2 { 0001 { 0b 01 } 'a' }`, forbiddenProperty),
  refuses('a property length past the packet', v5, wire`a2 { 0001 7f 'a' }`, MalformedPacket),
];

describe('SUBSCRIBE', () => testRows(subscribe));
describe('UNSUBSCRIBE', () => testRows(unsubscribe));
