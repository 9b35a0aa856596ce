/**
 * What a frame of kind 7 says of shared subscriptions, as JSON before its messages: members that come, go, or are
 * better or worse placed; and for each message whose it was. Or all members as of an entry, in several frames.
 */
import type { Sequence } from '../contracts/cluster-engine.ts';
import { FrameError } from './frame.ts';
import { type HandedOn, type MemberChange, Standing } from './group-table.ts';
import type { Position } from './places.ts';

/** Of one message of the frame, of the same index. */
export interface HandedMessage extends HandedOn {
  /** Where its giver had it from: the record of that one may still name it. */
  readonly places: readonly Position[];
}

/** Some of all members. `part` counts from 0. */
export interface MembersCopy {
  readonly asOf: Sequence;
  readonly part: number;
  readonly parts: number;
  readonly members: readonly (readonly [group: string, clientId: string, standing: Standing])[];
}

export interface SharedHeader {
  readonly changes: readonly MemberChange[];
  readonly handed: readonly HandedMessage[];
  readonly copy: MembersCopy | null;
}

/** Names are written once: a session that ends gives many messages of few groups. */
interface Described {
  readonly names: readonly string[];
  readonly changes: readonly (readonly [
    group: number,
    client: number,
    before: Standing | null,
    after: Standing | null,
  ])[];
  readonly handed: readonly (readonly [
    group: number,
    giver: number,
    refused: readonly number[],
    places: readonly number[],
  ])[];
  readonly copy?: Omit<MembersCopy, 'members'> & { readonly members: readonly (readonly [number, number, Standing])[] };
}

export function encodeShared({ changes, handed, copy }: SharedHeader): Buffer {
  const numbers = new Map<string, number>();
  const number = (name: string): number => {
    const known = numbers.get(name) ?? numbers.size;
    numbers.set(name, known);
    return known;
  };
  const described = {
    changes: changes.map(
      ({ group, clientId, before, after }) => [number(group), number(clientId), before, after] as const,
    ),
    handed: handed.map(({ group, giver, refused, places }) => {
      const flat = places.flatMap(({ sequence, index }) => [sequence, index]);
      return [number(group), number(giver), refused.map(number), flat] as const;
    }),
    ...(copy !== null && {
      copy: {
        ...copy,
        members: copy.members.map(
          ([group, clientId, standing]) => [number(group), number(clientId), standing] as const,
        ),
      },
    }),
  };
  return Buffer.from(JSON.stringify({ names: [...numbers.keys()], ...described } satisfies Described));
}

/** Throws a FrameError unless `encodeShared` has made it, for so many messages. */
export function decodeShared(json: Buffer, messages: number): SharedHeader {
  try {
    const { names, changes, handed, copy } = JSON.parse(json.toString()) as Described;
    const name = (number: number): string => {
      const found = names[number];
      if (typeof found === 'string') return found;
      throw new Error(`there is no name ${number}`);
    };
    if (handed.length !== messages)
      throw new Error(`it names ${handed.length} messages, and the frame has ${messages}`);
    return {
      changes: changes.map(([group, client, before, after]) => {
        return {
          group: name(group),
          clientId: name(client),
          before: standingOrNone(before),
          after: standingOrNone(after),
        };
      }),
      handed: handed.map(([group, giver, refused, places]) => {
        return { group: name(group), giver: name(giver), refused: refused.map(name), places: positionsIn(places) };
      }),
      copy: copy === undefined ? null : copyFrom(copy, name),
    };
  } catch (error) {
    const why = (error as Error).message;
    throw new FrameError(`What a frame says of shared subscriptions cannot be read: ${why}`, { cause: error });
  }
}

function copyFrom({ asOf, part, parts, members }: NonNullable<Described['copy']>, name: (number: number) => string) {
  const all = members.map(([group, client, standing]) => [name(group), name(client), standingFrom(standing)] as const);
  return { asOf: wholeFrom(asOf), part: wholeFrom(part), parts: wholeFrom(parts), members: all };
}

function standingFrom(value: unknown): Standing {
  if (Object.values(Standing).includes(value as Standing)) return value as Standing;
  throw new Error(`a member has the standing ${value}`);
}

const standingOrNone = (value: unknown): Standing | null => (value === null ? null : standingFrom(value));

function wholeFrom(value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw new Error(`${value} stands for a whole number`);
}

function positionsIn(flat: readonly unknown[]): Position[] {
  const positions: Position[] = [];
  for (let at = 0; at < flat.length; at += 2) {
    positions.push({ sequence: wholeFrom(flat[at]), index: wholeFrom(flat[at + 1]) });
  }
  return positions;
}
