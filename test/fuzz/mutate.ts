/**
 * Changes to an input that know nothing of its meaning: bits, bytes, numbers, lengths, pieces of other inputs.
 */
import type { Random } from '../../scripts/crash/random.ts';

const tellingBytes = [0, 1, 2, 0x0a, 0x20, 0x22, 0x2b, 0x7f, 0x80, 0x81, 0xc3, 0xfe, 0xff];
const tellingNumbers = [
  0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
];

export interface MutationOptions {
  readonly tokens: readonly Uint8Array[];
  readonly bytesMax: number;
}

/** A changed copy, after one to a few changes. `other` gives another input to take from. */
export function mutateBytes(
  input: Uint8Array,
  random: Random,
  other: () => Uint8Array,
  { tokens, bytesMax }: MutationOptions,
): Uint8Array {
  let bytes = new Uint8Array(input);
  for (let left = 1 + (random.isLucky(0.5) ? 0 : random.between(0, 4)); left > 0; left--) {
    bytes = changed(bytes, random, other, tokens);
    if (bytes.length > bytesMax) bytes = bytes.slice(0, bytesMax);
  }
  return bytes;
}

function changed(
  bytes: Uint8Array<ArrayBuffer>,
  random: Random,
  other: () => Uint8Array,
  tokens: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const at = random.between(0, Math.max(0, bytes.length - 1));
  const end = Math.min(bytes.length, at + lengthOf(random));
  switch (random.between(0, 11)) {
    case 0:
    case 1:
      if (bytes.length > 0) bytes[at]! ^= 1 << random.between(0, 7);
      return bytes;
    case 2:
      if (bytes.length > 0) bytes[at] = random.between(0, 255);
      return bytes;
    case 3:
      if (bytes.length > 0) bytes[at] = random.pick(tellingBytes);
      return bytes;
    case 4:
      if (bytes.length > 0) bytes[at]! += random.between(-8, 8);
      return bytes;
    case 5:
      return withNumber(bytes, at, random);
    case 6:
      return replaced(bytes, at, end, []);
    case 7:
      return replaced(bytes, at, at, bytes.subarray(at, end));
    case 8: {
      const from = other();
      const start = random.between(0, Math.max(0, from.length - 1));
      return replaced(bytes, at, random.isLucky(0.5) ? at : end, from.subarray(start, start + lengthOf(random)));
    }
    case 9:
      return random.isLucky(0.3) ? bytes.slice(0, at) : replaced(bytes, at, at, randomBytes(random));
    case 10:
      // What costs more than its length shows only when there is much of it.
      return random.isLucky(0.01) ? replaced(bytes, at, at, repeated(bytes.subarray(at, end), random)) : bytes;
    default:
      if (tokens.length === 0) return bytes;
      return replaced(bytes, at, random.isLucky(0.5) ? at : end, random.pick(tokens));
  }
}

/** Mostly short. */
const lengthOf = (random: Random) => 1 + Math.floor(random.fraction() ** 3 * 40);

const randomBytes = (random: Random) => Uint8Array.from({ length: lengthOf(random) }, () => random.between(0, 255));

function repeated(piece: Uint8Array, random: Random): Uint8Array {
  const times = 1 << random.between(3, 14);
  const all = new Uint8Array(Math.min(times * piece.length, 262_144));
  for (let at = 0; at < all.length; at += piece.length) all.set(piece.subarray(0, all.length - at), at);
  return all;
}

function withNumber(bytes: Uint8Array<ArrayBuffer>, at: number, random: Random): Uint8Array<ArrayBuffer> {
  const size = random.pick([1, 2, 4]);
  const view = Buffer.from(bytes.buffer);
  if (at + size > bytes.length) return bytes;
  const number = (random.isLucky(0.5) ? random.pick(tellingNumbers) : bytes.length - at - size) % 256 ** size;
  if (random.isLucky(0.5)) view.writeUIntBE(number, at, size);
  else view.writeUIntLE(number, at, size);
  return bytes;
}

export function replaced(bytes: Uint8Array, from: number, to: number, by: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(bytes.length - (to - from) + by.length);
  result.set(bytes.subarray(0, from));
  result.set(by, from);
  result.set(bytes.subarray(to), from + by.length);
  return result;
}
