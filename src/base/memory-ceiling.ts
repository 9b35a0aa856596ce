/**
 * How much memory clients may take by default.
 */
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';

const mebibyte = 1_048_576;
/** What the process takes without clients: Node, code, the database's buffers. */
const baseBytes = 128 * mebibyte;
/** However small the machine: with less nothing can be done. */
const leastBytes = 32 * mebibyte;
/** What is released stays for a while, until V8 collects it or the allocator gives it back. */
const memoryPart = 0.4;
/**
 * Objects, names and filters are on V8's heap, buffers are not. Even if all were, it has to hold what is garbage as
 * well.
 */
const heapPart = 0.7;

/** `memory`: of the container (cgroup v1 or v2) or the machine; `heap`: V8's limit. */
export function memoryCeiling(memory = memoryOfContainer(), heap = getHeapStatistics().heap_size_limit): number {
  return Math.floor(Math.max(leastBytes, Math.min((memory - baseBytes) * memoryPart, heap * heapPart)));
}

/** Where a container sets no limit, Node says 0, or more than there can be. */
function memoryOfContainer(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}
