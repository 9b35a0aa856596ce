/** JSONata, for `map` and `filter`. */
import jsonata from 'jsonata';
import { PipelineError, StageFailure } from '../errors.ts';
import { TooLarge, weigh } from '../formats/format.ts';
import type { Item } from '../item.ts';
import { loopBytes } from '../loop-limits.ts';
import { isShortExpression } from './jsonata-bound.ts';
import type { Stage, StageContext } from './stage.ts';
import type { StageTools } from './stage-tools.ts';

/** How long one evaluation may take in the stage thread, and how deep functions may call each other. */
const jsonataMsMax = 100;
const jsonataDepthMax = 200;
/** Elements of a list on the way to the result. */
const sequenceMax = 1_000_000;
/**
 * Steps of one evaluation on the event loop: of one to two microseconds each, and longer where functions look at the
 * whole value.
 */
const loopSteps = { min: 20, max: 300, bytes: 40_000 };

interface Evaluator {
  /** The value of the expression on the message. */
  evaluate(item: Item, context: StageContext): Promise<unknown>;
  isShort(item: Item): boolean;
}

/** A JSONata expression; its variables are `$topic`, `$clientId` and so on. */
function jsonataExpression(text: string, path: readonly (string | number)[], { limits, loop }: StageTools): Evaluator {
  let expression: jsonata.Expression;
  try {
    // The package's own limit is ten million, which take more memory than a thread has.
    expression = loop === null ? jsonata(text, { sequence: sequenceMax }) : jsonata(text);
  } catch (cause) {
    const { message, position } = cause as { message: string; position: number };
    throw new PipelineError(path, `not JSONata: ${message} (character ${position})`, { cause });
  }
  const begin = loop === null ? timebox(expression) : countSteps(expression);
  const canBeShort = isShortExpression(expression.ast());
  const isShort = (item: Item) => canBeShort && item.size + item.besideSize <= loopBytes;
  const evaluate = async (item: Item, { publisher, now }: StageContext): Promise<unknown> => {
    const { value, topic, qos, retain, contentType } = item;
    const { clientId = null, username = null } = publisher ?? {};
    const userProperties = Object.fromEntries(item.userProperties);
    const variables = {
      topic,
      levels: topic.split('/'),
      clientId,
      username,
      qos,
      retain,
      contentType,
      userProperties,
      timestamp: now,
    };
    try {
      return await alone(async () => {
        begin(item.size);
        const result: unknown = await expression.evaluate(value, variables);
        weigh(result, limits);
        return plain(result);
      });
    } catch (cause) {
      if (cause instanceof TooLarge) throw cause;
      throw new StageFailure(`JSONata: ${(cause as Error).message}`, { cause });
    }
  };
  return { evaluate, isShort };
}

/** Evaluations that were asked for and are not done. */
let pending = 0;
let lastEvaluation: Promise<unknown> = Promise.resolve();
/** So long evaluations may follow each other before the broker looks after its connections again. */
const sliceMs = 1;
let sliceStartedAt = 0;

/**
 * JSONata waits for promises of its own at every step, so evaluations would mingle, and one that takes its whole time
 * would take that of the others as well. They are done one after the other.
 */
function alone<T>(evaluate: () => Promise<T>): Promise<T> {
  if (pending++ === 0) sliceStartedAt = performance.now();
  const done = lastEvaluation.then(async () => {
    if (performance.now() - sliceStartedAt > sliceMs) {
      await new Promise(setImmediate);
      sliceStartedAt = performance.now();
    }
    return evaluate();
  });
  lastEvaluation = done.then(
    () => pending--,
    () => pending--,
  );
  return done;
}

/** JSONata calls these at every step. */
function watch(expression: jsonata.Expression, entered: () => void, left: () => void): void {
  const hooks = expression as unknown as { assign(name: symbol, callback: () => void): void };
  hooks.assign(Symbol.for('jsonata.__evaluate_entry'), entered);
  hooks.assign(Symbol.for('jsonata.__evaluate_exit'), left);
}

/** On the event loop: what takes too many steps is too large for it. */
function countSteps(expression: jsonata.Expression): (bytes: number) => void {
  let left = 0;
  const entered = () => {
    if (--left < 0) throw new TooLarge('it takes too many steps');
  };
  watch(expression, entered, () => {});
  return (bytes) => {
    left = Math.max(loopSteps.min, Math.min(loopSteps.max, Math.floor(loopSteps.bytes / bytes)));
  };
}

/**
 * In the stage thread: an expression that recurses without end ends by itself. On a machine that is busy with something
 * else the clock runs on, so half of the time must be processor time of ours.
 */
function timebox(expression: jsonata.Expression): () => void {
  let depth = 0;
  let startedAt = 0;
  let halfTime: NodeJS.CpuUsage | null = null;
  const isOver = () => {
    const milliseconds = performance.now() - startedAt;
    if (milliseconds < jsonataMsMax / 2) return false;
    halfTime ??= process.cpuUsage();
    if (milliseconds < jsonataMsMax) return false;
    const { user, system } = process.cpuUsage(halfTime);
    return user + system > (jsonataMsMax / 2) * 1000;
  };
  const check = (step: number) => () => {
    depth += step;
    if (depth > jsonataDepthMax) throw new Error(`functions call each other more than ${jsonataDepthMax} deep`);
    if (isOver()) throw new Error(`it takes longer than ${jsonataMsMax} ms`);
  };
  watch(expression, check(1), check(-1));
  return () => {
    depth = 0;
    startedAt = performance.now();
    halfTime = null;
  };
}

/** JSONata marks its lists with properties of their own, and its objects have no prototype. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  const isMade = typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null;
  return isMade ? Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)])) : value;
}

export function mapStage(text: string, tools: StageTools): Stage {
  const { evaluate, isShort } = jsonataExpression(text, tools.path, tools);
  return {
    isShort,
    async run(item, context) {
      const value = await evaluate(item, context);
      if (value === undefined) throw new StageFailure('the expression gives nothing for this message');
      item.value = value;
      return true;
    },
  };
}

export function jsonataFilter(text: string, tools: StageTools): Stage {
  const { evaluate, isShort } = jsonataExpression(text, [...tools.path, 'jsonata'], tools);
  return { isShort, run: async (item, context) => (await evaluate(item, context)) === true };
}
