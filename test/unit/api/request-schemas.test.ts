/** What every command's request must bound. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type CommandName, commands } from '../../../src/contracts/commands.ts';

interface Node {
  readonly type?: string;
  readonly maxItems?: number;
}

/** Of lists anywhere in a schema, where each is. */
function* listsOf(node: unknown, at: string): Generator<[at: string, list: Node]> {
  if (typeof node !== 'object' || node === null) return;
  if ((node as Node).type === 'array') yield [at, node as Node];
  for (const [key, value] of Object.entries(node)) yield* listsOf(value, `${at}.${key}`);
}

test('a list says how long it may be: checking each of very many wrong items takes the event loop a second', () => {
  for (const name of Object.keys(commands) as CommandName[]) {
    const schema = z.toJSONSchema(commands[name].request, { io: 'input', unrepresentable: 'any' });
    for (const [at, { maxItems }] of listsOf(schema, name)) {
      expect(maxItems, `${at} has no .max()`).toBeDefined();
      expect(maxItems, at).toBeLessThanOrEqual(1_000);
    }
  }
});
