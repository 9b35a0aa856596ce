/** What a long packet costs before anybody asks for what is in it: a check, and no text. */
import { afterEach, beforeEach, expect, type MockInstance, test, vi } from 'vitest';
import { Framer } from '../../../src/codec/framer.ts';
import { lastUserProperty } from '../../../src/codec/properties.ts';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import type { ConnectPacket, ControlPacket, SubscribePacket } from '../../../src/protocol/packets.ts';
import { aPacketDecoder, openGate, variableByteInteger } from '../../support/wire.ts';

let texts: MockInstance;
beforeEach(() => {
  texts = vi.spyOn(Buffer.prototype, 'toString');
});
afterEach(() => texts.mockRestore());

const text = (value: string) => Buffer.concat([Buffer.of(value.length >> 8, value.length & 255), Buffer.from(value)]);
const packet = (header: number, ...parts: Buffer[]) => {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(header), variableByteInteger(body.length), body]);
};
const properties = (...list: Buffer[]) => {
  const all = Buffer.concat(list);
  return Buffer.concat([variableByteInteger(all.length), all]);
};
const pair = (name: string, value: string) => Buffer.concat([Buffer.of(0x26), text(name), text(value)]);
const pairs = Array.from({ length: 1_000 }, (_, i) => pair(`n${i}`, 'v'));

function received(bytes: Buffer, version: 0 | 5): ControlPacket[] {
  const packets: ControlPacket[] = [];
  const ignored = { onPublish() {}, onAck() {}, onPing() {} };
  const receiver = { ...ignored, onPacket: (each: ControlPacket) => void packets.push(each) };
  const framer = new Framer(aPacketDecoder(100_000), receiver, openGate);
  framer.version = version;
  framer.push(bytes, 0, bytes.length);
  return packets;
}

test('the filters of a SUBSCRIBE are made one by one, as they are asked for', () => {
  const filters = Array.from({ length: 1_000 }, (_, i) => Buffer.concat([text(`a/${i}`), Buffer.of(1)]));
  const [subscribe] = received(packet(0x82, Buffer.of(0, 1), properties(), ...filters), 5) as [SubscribePacket];
  expect(texts).not.toHaveBeenCalled();

  const requests = subscribe.subscriptions[Symbol.iterator]();
  expect([requests.next().value, requests.next().value]).toMatchObject([{ topic: 'a/0' }, { topic: 'a/1' }]);
  expect(texts).toHaveBeenCalledTimes(2);
});

test('a SUBSCRIBE of which the last filter is wrong reaches nobody', () => {
  const filters = Array.from({ length: 1_000 }, () => Buffer.concat([text('a'), Buffer.of(1)]));
  const bytes = packet(0x82, Buffer.of(0, 1), properties(), ...filters, text('a'), Buffer.of(3));
  expect(() => received(bytes, 5)).toThrow(ProtocolError);
});

test('user properties that nobody asks for are no texts', () => {
  const connect = packet(0x10, text('MQTT'), Buffer.of(5, 2, 0, 0), properties(...pairs), text('me'));
  const [{ properties: read, clientId }] = received(connect, 0) as [ConnectPacket];
  // The protocol's name, twice, and the client identifier.
  expect(texts).toHaveBeenCalledTimes(3);
  expect(clientId).toBe('me');
  expect(read.userProperties).toHaveLength(1_000);
  expect(read.userProperties!.at(-1)).toEqual(['n999', 'v']);
});

test('of a thousand user properties, the last one of a name is found without the others', () => {
  const list = [
    pair('accept', 'first'),
    ...pairs,
    Buffer.of(0x0b, 0x85, 0x01),
    pair('accept', 'last'),
    pair('x', 'accept'),
  ];
  const filter = Buffer.concat([text('a'), Buffer.of(1)]);
  const [{ properties: read }] = received(packet(0x82, Buffer.of(0, 1), properties(...list), filter), 5) as [
    ControlPacket,
  ];
  expect(lastUserProperty(read, 'accept')).toBe('last');
  expect(lastUserProperty(read, 'accep')).toBeUndefined();
  expect(lastUserProperty({}, 'accept')).toBeUndefined();
  expect(texts).toHaveBeenCalledTimes(1);
});
