/** Commands that one node of a cluster has carried out by another one. */
import * as z from 'zod';
import type { SingleName } from './commands.ts';
import type { Caller } from './roles.ts';

/** A node whose part of an answer is missing, and why. */
export interface MissingNode {
  readonly node: string;
  readonly why: string;
}

/** Of another node. Who may give it was looked at where it came in, and its request checked. */
export interface NodeCommand {
  readonly name: SingleName;
  readonly request: object;
  readonly caller: Caller;
}

export interface CommandPeers {
  /** This node. */
  readonly id: string;
  /** The other nodes that live, as far as is known here, those as well that do not answer at the moment. */
  others(): readonly string[];
  /** Nodes that have ended and whose sessions no living node has yet. */
  departing(): readonly string[];
  /**
   * Rejects with the CommandFailure of that node, or with `NodeSilent` if it does not answer in time, when it may have
   * been carried out.
   */
  ask(node: string, command: NodeCommand, waitMs: number): Promise<object>;
  /** What other nodes ask of this one. Set once. */
  answer(carryOut: (command: NodeCommand) => Promise<object>): void;
}

/** Where a list of several nodes goes on. */
export const listPlace = z.strictObject({
  list: z.string(),
  /** The first one from its cursor on, and then the others. */
  nodes: z.array(z.string().min(1).max(1_000)).min(1).max(1_000),
  cursor: z.string().nullable(),
});
export type ListPlace = z.output<typeof listPlace>;

/** A node did not answer, or not in a way that this one understands. */
export class NodeSilent extends Error {
  override readonly name = 'NodeSilent';
}
