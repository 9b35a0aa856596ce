/**
 * How large a value may be that a CEL expression is tried on where nothing interrupts it. Each operator looks at what
 * it is given once, and what goes through a list does what is inside it once for each element.
 */
import { loopBytes } from '../loop-limits.ts';
import { regexCharactersMax } from '../regex-bound.ts';

/** By how many of those that go through a list are inside one another. */
const bytesMaxByDepth = [loopBytes, 512, 64];

const throughLists = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);
const short = new Set(
  `has size startsWith endsWith contains indexOf lastIndexOf substring lowerAscii upperAscii trim int uint double string bool bytes
   type dyn timestamp duration`.split(/\s+/),
);

interface Node {
  readonly op: string;
  readonly args: unknown;
}

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && 'op' in value;

/** 0: of no value at all. */
export function celBytesMax(ast: unknown): number {
  const found = { bytesMax: loopBytes, depth: 0 };
  look(ast, 0, found);
  return Math.min(found.bytesMax, bytesMaxByDepth[found.depth] ?? 0);
}

function look(node: unknown, depth: number, found: { bytesMax: number; depth: number }): void {
  if (Array.isArray(node)) {
    for (const each of node) look(each, depth, found);
    return;
  }
  if (!isNode(node)) return;
  const { op, args } = node;
  if (op !== 'call' && op !== 'rcall') return look(args, depth, found);
  const [name, ...rest] = args as [string, ...unknown[]];
  const given = rest.flat() as unknown[];
  if (throughLists.has(name)) {
    found.depth = Math.max(found.depth, depth + 1);
    return look(given, depth + 1, found);
  }
  if (name === 'matches') {
    const pattern = given.at(-1);
    // One that the message brings is any.
    const bytesMax = isNode(pattern) && typeof pattern.args === 'string' ? regexCharactersMax(pattern.args) : 0;
    found.bytesMax = Math.min(found.bytesMax, bytesMax);
  } else if (!short.has(name) && !/^get[A-Z]/.test(name)) found.bytesMax = 0;
  look(given, depth, found);
}
