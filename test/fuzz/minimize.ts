/**
 * The smallest input that still fails: pieces are left out as long as it does, then bytes made plain.
 */
import { replaced } from './mutate.ts';

const triesMax = 2_000;

/** `fails` must be true of `input`. */
export async function minimized(
  input: Uint8Array,
  fails: (smaller: Uint8Array) => Promise<boolean>,
): Promise<Uint8Array> {
  let smallest = input;
  let tries = 0;
  const attempt = async (candidate: Uint8Array) => {
    if (++tries > triesMax || !(await fails(candidate))) return false;
    smallest = candidate;
    return true;
  };
  let isSmaller = true;
  while (isSmaller && tries < triesMax) {
    isSmaller = false;
    for (let size = 2 ** Math.floor(Math.log2(Math.max(1, smallest.length))); size >= 1; size = Math.floor(size / 2)) {
      for (let at = 0; at < smallest.length && tries < triesMax; ) {
        if (await attempt(replaced(smallest, at, Math.min(smallest.length, at + size), []))) isSmaller = true;
        else at += size;
      }
    }
  }
  for (let at = 0; at < smallest.length && tries < triesMax; at++) {
    for (const plain of [0, 0x61]) {
      if (smallest[at] === plain || (await attempt(replaced(smallest, at, at + 1, [plain])))) break;
    }
  }
  return smallest;
}
