/**
 * Commands between nodes, as questions and answers on the bus. All of it is JSON, and an answer that is too long for
 * one message is fetched piece by piece.
 *
 * An answer: `u8` 0 and JSON; or `u8` 1, `u32` a number, `u32` the length of the JSON, and the first piece of it. The
 * rest is asked for by that number.
 */
import type { Timers } from '../base/clock.ts';
import { CursorError } from '../base/pages.ts';
import { type EngineBus, NoAnswerInTime, NobodyAnswers } from '../contracts/cluster-engine.ts';
import { CommandFailure, type FailureKind, failures } from '../contracts/failures.ts';
import { type CommandPeers, type NodeCommand, NodeSilent } from '../contracts/node-commands.ts';
import type { Membership } from './membership.ts';
import { holderOf, mayFallTo } from './node-record.ts';

export interface CommandExchangeOptions {
  readonly bus: EngineBus;
  readonly node: string;
  readonly entryBytesMax: number;
  readonly membership: Pick<Membership, 'nodes'>;
  readonly timers: Timers;
  /** A command of another node met a bug here. */
  readonly failed: (error: unknown, command: string) => void;
}

/** So many commands of other nodes are carried out at one time. */
const underWayMax = 64;
/** An answer is no longer than this. */
const answerBytesMax = 33_554_432;
/** So long, and so much in all, is kept for those who fetch the rest of an answer. */
const keptMs = 10_000;
const keptBytesMax = 2 * answerBytesMax;
const headerBytes = 9;

const subjectOf = (node: string) => `command.${node}`;

type Question = { readonly command: NodeCommand } | { readonly rest: number; readonly from: number };
interface Failure {
  readonly kind: FailureKind;
  readonly message: string;
  readonly retryAfterSeconds: number | null;
}
type Answer = { readonly answer: object } | { readonly failure: Failure };

export class CommandExchange implements CommandPeers {
  readonly #options: CommandExchangeOptions;
  readonly #kept = new Map<number, Buffer>();
  #keptBytes = 0;
  #numbers = 0;
  #underWay = 0;
  #stop: () => void = () => {};

  constructor(options: CommandExchangeOptions) {
    this.#options = options;
  }

  get id(): string {
    return this.#options.node;
  }

  others(): readonly string[] {
    const { node, membership } = this.#options;
    return [...membership.nodes].flatMap(([id, { state }]) => (id === node || state === 'dead' ? [] : [id])).sort();
  }

  departing(): readonly string[] {
    const { nodes } = this.#options.membership;
    const isTakenIn = (dead: string) =>
      holderOf(dead, '', nodes) !== null &&
      [...nodes].every(
        ([id, { state, adopted }]) => state === 'dead' || adopted.includes(dead) || !mayFallTo(id, dead, nodes),
      );
    return [...nodes].flatMap(([id, { state }]) => (state === 'dead' && !isTakenIn(id) ? [id] : []));
  }

  async ask(node: string, command: NodeCommand, waitMs: number): Promise<object> {
    const read = JSON.parse(await this.#fetch(node, { command }, waitMs)) as Answer;
    if ('answer' in read) return read.answer;
    const { kind, message, retryAfterSeconds } = read.failure;
    if (!Object.hasOwn(failures, kind))
      throw new NodeSilent(`it answers as another version of Sluice does: ${message}`);
    throw new CommandFailure(kind, message, retryAfterSeconds === null ? {} : { retryAfterSeconds });
  }

  answer(carryOut: (command: NodeCommand) => Promise<object>): void {
    const { bus, node } = this.#options;
    this.#stop = bus.answer(subjectOf(node), async (bytes) => {
      const question = JSON.parse(Buffer.from(bytes).toString()) as Question;
      if ('rest' in question) return this.#rest(question.rest, question.from);
      return this.#begin(Buffer.from(JSON.stringify(await this.#carryOut(question.command, carryOut))));
    });
  }

  close(): void {
    this.#stop();
    this.#kept.clear();
  }

  /** `waitMs`: for each piece. */
  async #fetch(node: string, first: Question, waitMs: number): Promise<string> {
    const answer = await this.#request(node, first, waitMs);
    if (answer[0] === 0) return answer.toString('utf8', 1);
    const rest = answer.readUInt32BE(1);
    const length = answer.readUInt32BE(5);
    if (length > answerBytesMax) throw new NodeSilent(`its answer has ${length} bytes, more than ${answerBytesMax}`);
    const pieces = [answer.subarray(headerBytes)];
    for (let from = answer.length - headerBytes; from < length; ) {
      const piece = (await this.#request(node, { rest, from }, waitMs)).subarray(1);
      if (piece.length === 0) throw new NodeSilent('it does not give the rest of its answer');
      pieces.push(piece);
      from += piece.length;
    }
    return Buffer.concat(pieces).toString();
  }

  async #request(node: string, question: Question, waitMs: number): Promise<Buffer> {
    const { bus, entryBytesMax } = this.#options;
    const bytes = Buffer.from(JSON.stringify(question));
    if (bytes.length > entryBytesMax) {
      throw new CommandFailure('too-large', `Node ${node} is to be asked, and a question has ${entryBytesMax} bytes`);
    }
    try {
      return Buffer.from(await bus.request(subjectOf(node), bytes, waitMs));
    } catch (cause) {
      if (cause instanceof NobodyAnswers) throw new NodeSilent('it is not connected', { cause });
      const isLate = cause instanceof NoAnswerInTime;
      throw new NodeSilent(isLate ? `it has not answered within ${waitMs / 1_000} s` : (cause as Error).message, {
        cause,
      });
    }
  }

  /** Never rejects: a command that fails says nothing about the node. */
  async #carryOut(command: NodeCommand, carryOut: (command: NodeCommand) => Promise<object>): Promise<Answer> {
    const failure = (kind: FailureKind, message: string, retryAfterSeconds: number | null = null): Answer => {
      return { failure: { kind, message, retryAfterSeconds } };
    };
    if (this.#underWay >= underWayMax) return failure('unavailable', `Node ${this.id} has too much to answer`, 1);
    this.#underWay++;
    try {
      return { answer: await carryOut(command) };
    } catch (error) {
      if (error instanceof CursorError) return failure('cursor-expired', error.message);
      if (error instanceof CommandFailure) return failure(error.kind, error.message, error.retryAfterSeconds);
      this.#options.failed(error, command.name);
      return failure('internal-error', `Node ${this.id} met a bug; its log has more`);
    } finally {
      this.#underWay--;
    }
  }

  /** Within one message, or its first piece. */
  #begin(json: Buffer): Buffer {
    const room = this.#options.entryBytesMax - headerBytes;
    if (json.length <= room) return Buffer.concat([Buffer.of(0), json]);
    const answer = Buffer.alloc(headerBytes + room);
    answer[0] = 1;
    answer.writeUInt32BE(this.#keep(json), 1);
    answer.writeUInt32BE(json.length, 5);
    json.copy(answer, headerBytes);
    return answer;
  }

  #rest(number: number, from: number): Buffer {
    const json = this.#kept.get(number) ?? Buffer.alloc(0);
    return Buffer.concat([Buffer.of(0), json.subarray(from, from + this.#options.entryBytesMax - headerBytes)]);
  }

  #keep(json: Buffer): number {
    const number = (this.#numbers = (this.#numbers + 1) >>> 0);
    // Whoever asks for an answer that is too long is told its length.
    if (json.length > answerBytesMax) return number;
    this.#kept.set(number, json);
    this.#keptBytes += json.length;
    for (const oldest of this.#kept.keys()) if (this.#keptBytes > keptBytesMax) this.#drop(oldest);
    this.#options.timers.after(keptMs, () => this.#drop(number));
    return number;
  }

  #drop(number: number): void {
    this.#keptBytes -= this.#kept.get(number)?.length ?? 0;
    this.#kept.delete(number);
  }
}
