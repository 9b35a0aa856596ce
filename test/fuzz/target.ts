/**
 * What is fuzzed: one parser, or one part of the broker that is fed by others.
 */
import type { Random } from '../../scripts/crash/random.ts';

export interface Target {
  readonly name: string;
  /** Inputs to begin with: valid ones, of every kind. */
  readonly seeds: readonly Uint8Array[];
  /** Pieces that mean something here; inputs are often made of them. */
  readonly tokens: readonly Uint8Array[];
  /**
   * Does with the input what the broker would, and checks what comes of it. Whatever it throws is a finding: errors
   * that are answers to bad input are caught here. Returns how it went, in few words: an input that goes a new way is
   * kept for later.
   */
  run(input: Buffer): string | Promise<string>;
  /** Changes an input by what it means, where bytes alone would seldom lead to anything valid. */
  readonly mutate?: (input: Uint8Array, random: Random, other: () => Uint8Array) => Uint8Array;
  /** Longest input, in bytes. */
  readonly bytesMax: number;
  /** Of processor time for one input; 100 unless it says so. */
  readonly millisecondsMax?: number;
  close?(): void;
}

/** A target, or why the module of this name has none. */
export type MakeTarget = (seed: number) => Target | Promise<Target>;

/** For checks: what must hold of an input's outcome. */
export function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

export const bytesOf = (...texts: readonly string[]): Buffer[] => texts.map((text) => Buffer.from(text));

/** An error's message without what came from the input. */
export const wordsOf = ({ message }: Error): string =>
  message
    .split(/["']/, 1)[0]!
    .slice(0, 80)
    .replace(/\b(0x)?[0-9a-f]+\b/g, '…');
