/** What a node says of itself, and others of it once it is dead, in its record. */
import { createHash } from 'node:crypto';
import type { Sequence } from '../contracts/cluster-engine.ts';
import { decodeVersioned } from './versioned-json.ts';

/** Of records. Whoever reads another one leaves the node alone that wrote it. */
const formatVersion = 1;

export interface NodeRecord {
  readonly state: 'up' | 'draining' | 'dead';
  /** Counts the writes of the node itself, so that no two are the same. */
  readonly beat: number;
  /** Who wrote this: the token of a node. */
  readonly by: string;
  /** For each partition of the log: all sessions of the node are served, or recorded, up to here. */
  readonly at: readonly Sequence[];
  /** For each partition: the lowest entry that a session of the node still needs. A session that comes may lower it. */
  readonly low: readonly Sequence[];
  /** Dead nodes whose sessions, as far as they are its share, it has taken in. */
  readonly adopted: readonly string[];
  /** Of a dead node: who shares its sessions, by `holderOf`. */
  readonly heirs: readonly string[];
}

export function encodeNode(record: NodeRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ v: formatVersion, ...record }));
}

/** Null: something else wrote it, or a version that we do not know. */
export function decodeNode(bytes: Uint8Array): NodeRecord | null {
  const decoded = decodeVersioned<NodeRecord & { v: number }>(bytes, formatVersion);
  if (decoded === null) return null;
  const { v: _, ...record } = decoded;
  return record;
}

/** Whether something that belongs to a dead node may fall to `heir`. */
export function mayFallTo(heir: string, dead: string, nodes: ReadonlyMap<string, NodeRecord>): boolean {
  const asked = new Set<string>();
  const ask = (node: string): boolean => {
    if (asked.has(node)) return false;
    asked.add(node);
    const record = nodes.get(node);
    if (record === undefined || record.state !== 'dead') return node === heir;
    return record.heirs.some(ask);
  };
  return ask(dead);
}

/**
 * Which living node has what belongs to `owner` under `key`: the owner itself, or the one of its heirs that the key
 * falls to, or of that one's heirs. All who see the same records find the same node. Null: none of them lives.
 *
 * Heirs may lead back to a dead node: two that leave at the same time name each other. So nobody is asked twice.
 */
export function holderOf(owner: string, key: string, nodes: ReadonlyMap<string, NodeRecord>): string | null {
  const asked = new Set<string>();
  const number = createHash('sha256').update(key).digest().readUInt32BE(0);
  const ask = (node: string): string | null => {
    if (asked.has(node)) return null;
    asked.add(node);
    const record = nodes.get(node);
    if (record === undefined) return null;
    if (record.state !== 'dead') return node;
    const { heirs } = record;
    for (let at = 0; at < heirs.length; at++) {
      const found = ask(heirs[(number + at) % heirs.length]!);
      if (found !== null) return found;
    }
    return null;
  };
  return ask(owner);
}
