/** `set`, `rename`, `pick`, `omit`, `units`, `topic`: changing parts of a message. */
import { convert as convertUnits } from 'convert';
import type { SetSettings, StageSettings } from '../../contracts/pipeline.ts';
import { assertTopicName } from '../../protocol/topic.ts';
import { PipelineError, StageFailure } from '../errors.ts';
import type { Item } from '../item.ts';
import { getAt, withAt, withoutAt } from '../paths.ts';
import { type Template, template } from '../template.ts';
import type { Stage, StageContext, StageTools } from './stage.ts';

export function setStage(settings: SetSettings, { path }: StageTools): Stage {
  const fields = Object.entries(settings.fields ?? {}).map(([at, value]) => {
    const make: Template = typeof value === 'string' ? template(value, [...path, 'fields', at]) : () => value;
    return [at, make] as const;
  });
  const properties = Object.entries(settings.userProperties ?? {}).map(([name, value]) => {
    return [name, template(value, [...path, 'userProperties', name])] as const;
  });
  const { contentType, qos, retain, messageExpirySeconds } = settings;
  return {
    run(item, context) {
      const made = properties.map(([name, make]) => [name, String(make(item, context) ?? '')] as [string, string]);
      if (fields.length > 0) {
        let { value } = item;
        for (const [at, make] of fields) value = withAt(value, at, make(item, context));
        item.value = value;
      }
      const names = new Set(made.map(([name]) => name));
      if (made.length > 0) item.userProperties = [...item.userProperties.filter(([name]) => !names.has(name)), ...made];
      if (contentType !== undefined) item.contentType = contentType;
      if (qos !== undefined) item.qos = qos;
      if (retain !== undefined) item.retain = retain;
      if (messageExpirySeconds !== undefined) item.messageExpiryInterval = messageExpirySeconds;
      return true;
    },
  };
}

/** A stage that makes a new value of the old one. */
function valueStage(change: (value: unknown) => unknown): Stage {
  return {
    run(item) {
      item.value = change(item.value);
      return true;
    },
  };
}

export function renameStage(names: Readonly<Record<string, string>>): Stage {
  const pairs = Object.entries(names);
  return valueStage((value) => {
    let renamed = value;
    for (const [from, to] of pairs) {
      const field = getAt(renamed, from);
      if (field !== undefined) renamed = withAt(withoutAt(renamed, from), to, field);
    }
    return renamed;
  });
}

export function pickStage(paths: readonly string[]): Stage {
  return valueStage((value) => {
    let picked: unknown = {};
    for (const path of paths) {
      const field = getAt(value, path);
      if (field !== undefined) picked = withAt(picked, path, field);
    }
    return picked;
  });
}

export function omitStage(paths: readonly string[]): Stage {
  return valueStage((value) => paths.reduce(withoutAt, value));
}

type Convert = (quantity: number, unit: string) => { to(unit: string): number };

export function unitsStage(units: NonNullable<StageSettings['units']>, { path }: StageTools): Stage {
  const convert = convertUnits as unknown as Convert;
  const conversions = Object.entries(units).map(([field, { from, to, decimals }]) => {
    try {
      convert(1, from).to(to);
    } catch (cause) {
      throw new PipelineError([...path, field], (cause as Error).message, { cause });
    }
    // 12 digits: what a conversion adds in the last place is noise.
    const round = (number: number) => {
      return decimals === undefined ? Number(number.toPrecision(12)) : Number(number.toFixed(decimals));
    };
    return [field, (quantity: number) => round(convert(quantity, from).to(to))] as const;
  });
  return valueStage((value) => {
    let converted = value;
    for (const [field, convertOne] of conversions) {
      const quantity = getAt(converted, field);
      if (quantity === undefined || quantity === null) continue;
      if (typeof quantity !== 'number' && typeof quantity !== 'bigint') {
        throw new StageFailure(`${field} is ${typeof quantity}, not a number`);
      }
      converted = withAt(converted, field, convertOne(Number(quantity)));
    }
    return converted;
  });
}

export function topicStage(settings: NonNullable<StageSettings['topic']>, { path }: StageTools): Stage {
  const rewrite = topicRewriter(settings, path);
  return {
    run(item, context) {
      const topic = rewrite(item, context);
      try {
        assertTopicName(topic);
      } catch (cause) {
        throw new StageFailure(`${JSON.stringify(topic)} cannot be a topic: ${(cause as Error).message}`, { cause });
      }
      item.topic = topic;
      return true;
    },
  };
}

function topicRewriter(
  settings: NonNullable<StageSettings['topic']>,
  path: readonly (string | number)[],
): (item: Item, context: StageContext) => string {
  if (typeof settings === 'string') {
    const make = template(settings, path);
    return (item, context) => String(make(item, context) ?? '');
  }
  let pattern: RegExp;
  try {
    pattern = new RegExp(settings.match, 'u');
  } catch (cause) {
    throw new PipelineError([...path, 'match'], (cause as Error).message, { cause });
  }
  return ({ topic }) => topic.replace(pattern, settings.to);
}
