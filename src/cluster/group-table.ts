/**
 * The shared subscriptions of the cluster, and their members, as the log says: each node reads the same, so each finds
 * the same member for a message, and nobody has to be asked.
 *
 * What is picked depends on the place of the message in the log and on what stands before it, and on nothing else. So
 * whoever takes in a session later finds out which messages were for it: changes are remembered as far back as that may
 * be asked.
 */
import type { Sequence } from '../contracts/cluster-engine.ts';
import { matches } from '../protocol/topic.ts';
import { TopicTree } from '../protocol/topic-tree.ts';
import type { Position } from './places.ts';

/**
 * How well a member is placed to get the next message: a lower one comes first, and those of a standing take it in
 * turns. Busy: messages wait for it. Full: its queue has hardly any room. Lossy: away, and it asked for QoS 0.
 */
export const Standing = { ready: 0, busy: 1, away: 2, full: 3, lossy: 4 } as const;
export type Standing = (typeof Standing)[keyof typeof Standing];
const standings = 5;

/** Null: it is no member. */
export interface MemberChange {
  readonly group: string;
  readonly clientId: string;
  readonly before: Standing | null;
  readonly after: Standing | null;
}

/** A message of a group that goes on to another member: where a pick of it may not, or should not, end. */
export interface HandedOn {
  readonly group: string;
  /** Whose it was. It gets it again if there is nobody else. */
  readonly giver: string;
  /** These may not have it. */
  readonly refused: readonly string[];
}

/** `{share name}/{topic filter}` of `$share/{share name}/{topic filter}`. */
export const filterOf = (group: string): string => group.slice(group.indexOf('/') + 1);

interface Change {
  readonly sequence: Sequence;
  readonly clientId: string;
  readonly before: Standing | null;
  readonly after: Standing | null;
}

/** The members of one group, at one place of the log. */
class Members {
  readonly #standing: Map<string, Standing>;
  /** Each in the order of client identifiers, which is the same at all nodes. */
  readonly #rows: string[][];

  constructor(other?: Members) {
    this.#standing = new Map(other === undefined ? [] : other.#standing);
    this.#rows = Array.from({ length: standings }, (_, which) => (other === undefined ? [] : [...other.#rows[which]!]));
  }

  get size(): number {
    return this.#standing.size;
  }

  get all(): Iterable<[string, Standing]> {
    return this.#standing;
  }

  get(clientId: string): Standing | null {
    return this.#standing.get(clientId) ?? null;
  }

  set(clientId: string, standing: Standing | null): void {
    const before = this.get(clientId);
    if (before === standing) return;
    if (before !== null) {
      const row = this.#rows[before]!;
      row.splice(placeIn(row, clientId), 1);
      this.#standing.delete(clientId);
    }
    if (standing === null) return;
    const row = this.#rows[standing]!;
    row.splice(placeIn(row, clientId), 0, clientId);
    this.#standing.set(clientId, standing);
  }

  /** Whether another one has this standing, or a better one. */
  hasOther(clientId: string, worst: Standing): boolean {
    return this.#rows.some((row, which) => which <= worst && row.some((each) => each !== clientId));
  }

  /** `turn`: any whole number. */
  pick(turn: number, giver: string | null = null, refused: readonly string[] = []): string | null {
    for (const row of this.#rows) {
      for (let each = 0; each < row.length; each++) {
        const clientId = row[(turn + each) % row.length]!;
        if (clientId !== giver && !refused.includes(clientId)) return clientId;
      }
    }
    return giver !== null && this.#standing.has(giver) && !refused.includes(giver) ? giver : null;
  }
}

/** Where it is, or belongs. */
function placeIn(row: readonly string[], clientId: string): number {
  let [low, high] = [0, row.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (row[middle]! < clientId) low = middle + 1;
    else high = middle;
  }
  return low;
}

class Group {
  readonly name: string;
  readonly filter: string;
  readonly seed: number;
  members = new Members();
  changes: Change[] = [];
  /** For what has no place in the log. */
  turn = 0;

  constructor(name: string) {
    this.name = name;
    this.filter = filterOf(name);
    this.seed = hashOf(name);
  }

  /** As they were once all entries up to `after` had been read. */
  membersAt(after: Sequence): Members {
    const members = new Members(this.members);
    for (let i = this.changes.length - 1; i >= 0 && this.changes[i]!.sequence > after; i--) {
      const { clientId, before } = this.changes[i]!;
      members.set(clientId, before);
    }
    return members;
  }
}

export class GroupTable {
  readonly #groups = new Map<string, Group>();
  readonly #ofClient = new Map<string, Set<string>>();
  /** By client: groups that it has left, as far back as changes are known. */
  readonly #leftBy = new Map<string, Set<string>>();
  readonly #byFilter = new TopicTree<Group>();
  readonly #search = this.#byFilter.search();
  /** The first entry that said something of members, but for what a later copy of all says. 0: none did. */
  #firstChange: Sequence = 0;
  /** The newest copy of all is as of this entry. */
  #copiedAsOf: Sequence = 0;

  /** The first entry of the log from which on all members are known again; Infinity: there are none. */
  get first(): Sequence {
    if (this.#ofClient.size === 0) return Number.POSITIVE_INFINITY;
    return this.#copiedAsOf > 0 ? this.#copiedAsOf + 1 : this.#firstChange;
  }

  get isEmpty(): boolean {
    return this.#ofClient.size === 0;
  }

  /** Of a group, in the order of their client identifiers. */
  membersOf(group: string): (readonly [clientId: string, standing: Standing])[] {
    return [...(this.#groups.get(group)?.members.all ?? [])].sort(([one], [other]) => (one < other ? -1 : 1));
  }

  /** Groups that the client is a member of. */
  groupsOf(clientId: string): Iterable<string> {
    return this.#ofClient.get(clientId) ?? [];
  }

  /** Of any group. */
  isMember(clientId: string): boolean {
    return this.#ofClient.has(clientId);
  }

  standing(group: string, clientId: string): Standing | null {
    return this.#groups.get(group)?.members.get(clientId) ?? null;
  }

  /** Whether the group has another member that is connected, or any other one. */
  hasOther(group: string, clientId: string, mustBeConnected: boolean): boolean {
    const worst = mustBeConnected ? Standing.busy : Standing.lossy;
    return this.#groups.get(group)?.members.hasOther(clientId, worst) === true;
  }

  /** An entry of the log says this. */
  apply(sequence: Sequence, changes: readonly MemberChange[]): void {
    if (changes.length > 0 && this.#firstChange === 0) this.#firstChange = sequence;
    for (const { group, clientId, before, after } of changes) {
      const changed = this.#groupOf(group);
      changed.changes.push({ sequence, clientId, before, after });
      this.#set(changed, clientId, after);
      if (after === null) this.#left(clientId, group);
    }
  }

  #groupOf(name: string): Group {
    const known = this.#groups.get(name);
    if (known !== undefined) return known;
    const group = new Group(name);
    this.#groups.set(name, group);
    this.#byFilter.add(group.filter, group);
    return group;
  }

  #left(clientId: string, group: string): void {
    this.#leftBy.set(clientId, (this.#leftBy.get(clientId) ?? new Set()).add(group));
  }

  #set(group: Group, clientId: string, standing: Standing | null): void {
    group.members.set(clientId, standing);
    const groups = this.#ofClient.get(clientId) ?? new Set();
    if (standing === null) groups.delete(group.name);
    else groups.add(group.name);
    if (groups.size > 0) this.#ofClient.set(clientId, groups);
    else this.#ofClient.delete(clientId);
  }

  /** All of them, once all entries up to here were read. */
  *all(): Generator<readonly [group: string, clientId: string, standing: Standing]> {
    for (const { name, members } of this.#groups.values()) {
      for (const [clientId, standing] of members.all) yield [name, clientId, standing];
    }
  }

  /** The log has all of them again, as they were as of an entry. */
  copied(asOf: Sequence): void {
    this.#copiedAsOf = Math.max(this.#copiedAsOf, asOf);
  }

  /** The same, for who reads the log from its first entry, which others may have stood before. */
  restore(asOf: Sequence, all: Iterable<readonly [group: string, clientId: string, standing: Standing]>): void {
    for (const [name, clientId] of [...this.all()]) this.#set(this.#groups.get(name)!, clientId, null);
    for (const [name, clientId, standing] of all) {
      this.#set(this.#groupOf(name), clientId, standing);
    }
    for (const group of this.#groups.values()) {
      for (const { sequence, clientId, after } of group.changes) {
        if (sequence > asOf) this.#set(group, clientId, after);
      }
    }
    this.copied(asOf);
  }

  /** Nobody asks any more what was before this entry. */
  forgetBefore(entry: Sequence): void {
    this.#leftBy.clear();
    for (const [name, group] of this.#groups) {
      const kept = group.changes.findIndex(({ sequence }) => sequence >= entry);
      if (kept !== 0) group.changes = kept < 0 ? [] : group.changes.slice(kept);
      for (const { clientId, after } of group.changes) if (after === null) this.#left(clientId, name);
      if (group.changes.length > 0 || group.members.size > 0) continue;
      this.#groups.delete(name);
      this.#byFilter.remove(group.filter, group);
    }
  }

  /** Whose a message is that stands at this place; all up to there, and nothing behind it, has been read. */
  pick(group: string, place: Position): string | null {
    const found = this.#groups.get(group);
    return found === undefined ? null : found.members.pick(turnAt(found.seed, place));
  }

  /** The same of one that goes on from another member. */
  pickNext({ group, giver, refused }: HandedOn, place: Position): string | null {
    const found = this.#groups.get(group);
    return found === undefined ? null : found.members.pick(turnAt(found.seed, place), giver, refused);
  }

  /** Of a message that has no place in the log: each group that gets it, and whose turn it is there. */
  *turns(topicName: string): Generator<readonly [group: string, clientId: string]> {
    if (this.isEmpty) return;
    const groups: Group[] = [];
    this.#search.begin(topicName);
    this.#search.step(Number.POSITIVE_INFINITY, groups);
    for (const group of groups) {
      const clientId = group.members.pick(group.turn++ & 0x3fff_ffff);
      if (clientId !== null) yield [group.name, clientId];
    }
  }

  /** What was for this client behind an entry: see `Past`. */
  pastOf(clientId: string, after: Sequence): Past {
    const names = new Set([...this.groupsOf(clientId), ...(this.#leftBy.get(clientId) ?? [])]);
    return new Past(
      clientId,
      after,
      [...names].flatMap((name) => this.#groups.get(name) ?? []),
    );
  }
}

/** The groups that a client was in behind an entry: asked about one place after the other, in the order of the log. */
export class Past {
  readonly #clientId: string;
  readonly #groups: { readonly group: Group; readonly members: Members; next: number }[];

  constructor(clientId: string, after: Sequence, groups: readonly Group[]) {
    this.#clientId = clientId;
    this.#groups = groups.map((group) => {
      const next = group.changes.findIndex(({ sequence }) => sequence > after);
      return { group, members: group.membersAt(after), next: next < 0 ? group.changes.length : next };
    });
  }

  /** All that this entry, and those before it, say of members is so from now on. */
  advance(sequence: Sequence): void {
    for (const past of this.#groups) {
      const { changes } = past.group;
      for (; past.next < changes.length && changes[past.next]!.sequence <= sequence; past.next++) {
        const { clientId, after } = changes[past.next]!;
        past.members.set(clientId, after);
      }
    }
  }

  /** By which groups it was to get this message. */
  groupsFor(topicName: string, place: Position): string[] {
    const own = this.#groups.filter(
      ({ group, members }) =>
        matches(group.filter, topicName) && members.pick(turnAt(group.seed, place)) === this.#clientId,
    );
    return own.map(({ group }) => group.name);
  }

  isNext({ group: name, giver, refused }: HandedOn, place: Position): boolean {
    const found = this.#groups.find(({ group }) => group.name === name);
    return found?.members.pick(turnAt(found.group.seed, place), giver, refused) === this.#clientId;
  }
}

/** Places follow each other in patterns, so that the plain number of one would prefer some members. */
function turnAt(seed: number, { sequence, index }: Position): number {
  let hash = Math.imul(seed ^ (sequence >>> 0), 0x9e37_79b1);
  hash = Math.imul(hash ^ (hash >>> 15) ^ index ^ Math.trunc(sequence / 0x1_0000_0000), 0x85eb_ca77);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae3d);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function hashOf(name: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x0100_0193);
  return hash >>> 0;
}
