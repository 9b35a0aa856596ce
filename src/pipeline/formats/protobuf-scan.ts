/**
 * Looks through a Protobuf message before anything is made of it. Two bytes are an element of a list, and with defaults
 * one with all the fields of its type, so a payload could take a hundred times its size.
 */
import protobuf from 'protobufjs';
import type { PipelineLimits } from '../../contracts/pipeline-settings.ts';
import { TooLarge } from './format.ts';

const WireType = { varint: 0, fixed64: 1, sized: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const;
/** Of number types whose elements all have the same size. */
const elementBytes: Readonly<Record<string, number>> = {
  fixed32: 4,
  sfixed32: 4,
  float: 4,
  fixed64: 8,
  sfixed64: 8,
  double: 8,
};

/**
 * What is read of a message: fields by their number, and how many of them are there though the payload has them not.
 */
interface Shape {
  readonly fields: ReadonlyMap<number, protobuf.Field>;
  readonly defaults: number;
}

export class ProtobufScan {
  readonly #hasDefaults: boolean;
  readonly #limits: PipelineLimits;
  readonly #shapes = new Map<protobuf.Type, Shape>();
  #bytes: Uint8Array = Buffer.alloc(0);
  #at = 0;
  #items = 0;

  constructor(hasDefaults: boolean, limits: PipelineLimits) {
    this.#hasDefaults = hasDefaults;
    this.#limits = limits;
  }

  /**
   * Throws TooLarge if there is more in it, or deeper, than the limits allow. What is malformed is for the package to
   * find.
   */
  check(type: protobuf.Type, bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#at = this.#items = 0;
    this.#message(type, bytes.length, this.#limits.depth);
  }

  #message(type: protobuf.Type, end: number, depthLeft: number): void {
    if (depthLeft <= 0) throw TooLarge.depth(this.#limits);
    const { fields, defaults } = this.#shapeOf(type);
    this.#count(1 + defaults);
    while (this.#at < end) {
      const tag = this.#varint();
      this.#field(fields.get(Math.floor(tag / 8)), tag % 8, end, depthLeft);
    }
    this.#at = end;
  }

  #field(field: protobuf.Field | undefined, wireType: number, end: number, depthLeft: number): void {
    if (wireType !== WireType.sized) {
      if (field?.repeated) this.#count(1);
      return this.#skip(wireType);
    }
    const to = Math.min(this.#varint() + this.#at, end);
    const type = field?.resolvedType instanceof protobuf.Type ? field.resolvedType : null;
    if (field?.map) this.#entry(type, to, depthLeft - 1);
    else if (type !== null) this.#message(type, to, depthLeft - 1);
    else if (field?.repeated) this.#count(this.#elements(field, to));
    this.#at = to;
  }

  /** Of a map: key and value. */
  #entry(type: protobuf.Type | null, end: number, depthLeft: number): void {
    if (type === null) this.#count(1);
    while (this.#at < end) {
      const tag = this.#varint();
      const wireType = tag % 8;
      if (wireType !== WireType.sized) this.#skip(wireType);
      else {
        const to = Math.min(this.#varint() + this.#at, end);
        if (type !== null && Math.floor(tag / 8) === 2) this.#message(type, to, depthLeft);
        this.#at = to;
      }
    }
  }

  /** How many are packed up to there; a text or bytes are one. */
  #elements(field: protobuf.Field, to: number): number {
    const isEnum = field.resolvedType instanceof protobuf.Enum;
    if (!isEnum && !Object.hasOwn(protobuf.types.packed, field.type)) return 1;
    const size = elementBytes[field.type];
    if (size !== undefined) return Math.floor((to - this.#at) / size);
    let elements = 0;
    for (let i = this.#at; i < to; i++) if (this.#bytes[i]! < 0x80) elements++;
    return elements;
  }

  #skip(wireType: number): void {
    if (wireType === WireType.varint) this.#varint();
    else if (wireType === WireType.fixed64) this.#at += 8;
    else if (wireType === WireType.fixed32) this.#at += 4;
    else if (wireType === WireType.groupStart) this.#group();
  }

  /** Of older files: passed over with what is in it. */
  #group(): void {
    for (let open = 1; open > 0 && this.#at < this.#bytes.length; ) {
      this.#count(1);
      const wireType = this.#varint() % 8;
      if (wireType === WireType.groupStart) open++;
      else if (wireType === WireType.groupEnd) open--;
      else if (wireType === WireType.sized) this.#at += this.#varint();
      else this.#skip(wireType);
    }
  }

  #varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 64; scale *= 128) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) break;
    }
    return value;
  }

  #count(items: number): void {
    this.#items += items;
    if (this.#items > this.#limits.items) throw TooLarge.items(this.#limits);
  }

  #shapeOf(type: protobuf.Type): Shape {
    let shape = this.#shapes.get(type);
    if (shape === undefined) {
      const fields = type.fieldsArray.map((field) => field.resolve());
      // Messages that are absent stay so, and so do all alternatives but one.
      const given = fields.filter((field) => !field.partOf && !(field.resolvedType instanceof protobuf.Type));
      const defaults = this.#hasDefaults ? given.length : 0;
      this.#shapes.set(type, (shape = { fields: new Map(fields.map((field) => [field.id, field])), defaults }));
    }
    return shape;
  }
}
