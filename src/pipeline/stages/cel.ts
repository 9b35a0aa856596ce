/** CEL, for `filter`. */
import { Environment } from '@marcbachmann/cel-js';
import { PipelineError, StageFailure } from '../errors.ts';
import type { Item } from '../item.ts';
import { celBytesMax } from './cel-bound.ts';
import type { Stage, StageContext } from './stage.ts';
import type { StageTools } from './stage-tools.ts';

export function celFilter(text: string, { path }: StageTools): Stage {
  const { evaluate, isShort } = celExpression(text, path);
  return {
    isShort,
    run(item, context) {
      const answer = evaluate(item, context);
      if (typeof answer !== 'boolean') throw new StageFailure(`the filter gives ${typeof answer}, not true or false`);
      return answer;
    },
  };
}

function celExpression(text: string, path: readonly (string | number)[]) {
  let program: ReturnType<Environment['parse']>;
  const usesValue = /\bvalue\b/.test(text);
  try {
    program = celEnvironment().parse(text);
  } catch (cause) {
    throw new PipelineError(path, `not CEL: ${firstLine(cause)}`, { cause });
  }
  const bytesMax = celBytesMax(program.ast);
  const isShort = (item: Item) => (usesValue ? item.size : 0) + item.besideSize <= bytesMax;
  const evaluate = (item: Item, { publisher, now }: StageContext): unknown => {
    const variables = {
      value: usesValue ? item.value : null,
      topic: item.topic,
      levels: item.topic.split('/'),
      clientId: publisher?.clientId ?? '',
      username: publisher?.username ?? '',
      qos: item.qos,
      retain: item.retain,
      contentType: item.contentType ?? '',
      userProperties: Object.fromEntries(item.userProperties),
      now,
    };
    try {
      return program(variables);
    } catch (cause) {
      throw new StageFailure(`CEL: ${firstLine(cause)}`, { cause });
    }
  };
  return { evaluate, isShort };
}

/** Below it the package draws where. */
const firstLine = (error: unknown) => (error as Error).message.split('\n')[0];

/** CEL does not mix whole numbers and floats. In payloads all numbers are one kind, so here they mix. */
function celEnvironment(): Environment {
  const environment = new Environment({ unlistedVariablesAreDyn: true, homogeneousAggregateLiterals: false });
  const operations: Readonly<Record<string, (a: number, b: number) => number>> = {
    '+': (a, b) => a + b,
    '-': (a, b) => a - b,
    '*': (a, b) => a * b,
    '/': (a, b) => a / b,
    '%': (a, b) => a % b,
  };
  for (const [sign, run] of Object.entries(operations)) {
    const mixed = (a: unknown, b: unknown) => run(Number(a), Number(b));
    if (sign === '%') environment.registerOperator(`double ${sign} double`, mixed);
    environment.registerOperator(`double ${sign} int`, mixed);
    environment.registerOperator(`int ${sign} double`, mixed);
  }
  return environment;
}
