/**
 * Whether messages can go round by bridges whose peers know nothing of bridges: out by one entry of `topics`, and back
 * in by another, again and again. Topics are followed as sets, each of which one topic filter has: what an entry takes
 * of a set, and what it is called on the other side.
 */

import { meet } from '../protocol/topic.ts';

/** Of an entry of `topics`, what matters here. */
interface Entry {
  readonly filter: string;
  readonly direction: 'in' | 'out' | 'both';
  readonly localPrefix: string;
  readonly remotePrefix: string;
}

interface Bridge {
  readonly topics: readonly Entry[];
}

/** A message that comes back so often does so for ever. */
const turnsMax = 6;

export interface Loop {
  /** That would go round. */
  readonly topic: string;
  /** Bridges by which it leaves and comes back, as numbers in the list. */
  readonly out: number;
  readonly into: number;
}

/** `returns`: whether what leaves by the one bridge may come back by the other. Null: nothing goes round. */
export function findLoop(bridges: readonly Bridge[], returns: (out: number, into: number) => boolean): Loop | null {
  const turns: { out: number; into: number; turn: (local: string) => string | null }[] = [];
  for (const [out, { topics }] of bridges.entries()) {
    for (const leaving of topics.filter(({ direction }) => direction !== 'in')) {
      for (const [into, other] of bridges.entries()) {
        if (!returns(out, into)) continue;
        for (const coming of other.topics.filter(({ direction }) => direction !== 'out')) {
          turns.push({ out, into, turn: (local) => turn(local, leaving, coming) });
        }
      }
    }
  }
  /** Whether something of the set goes on for so many turns. */
  const goesOn = (local: string, left: number): boolean => {
    if (left === 0) return true;
    return turns.some(({ turn: take }) => {
      const next = take(local);
      return next !== null && goesOn(next, left - 1);
    });
  };
  for (const { out, into, turn: take } of turns) {
    const local = take('#');
    if (local !== null && goesOn(local, turnsMax)) return { topic: exampleOf(local), out, into };
  }
  return null;
}

/** What comes back of a set of topics here, as a filter; null: nothing. */
function turn(local: string, out: Entry, into: Entry): string | null {
  const leaving = meet(local, out.localPrefix + out.filter);
  if (leaving === null) return null;
  const remote = out.remotePrefix + leaving.slice(out.localPrefix.length);
  const coming = meet(remote, into.remotePrefix + into.filter);
  return coming === null ? null : into.localPrefix + coming.slice(into.remotePrefix.length);
}

const exampleOf = (filter: string) => filter.replaceAll(/[+#]/g, 'x');
