/** `set`, `rename`, `pick`, `omit`, `topic`: changing parts of a message. */
import type { SetSettings, StageSettings } from '../../contracts/pipeline-settings.ts';
import { assertTopicName } from '../../protocol/topic.ts';
import { PipelineError, StageFailure } from '../errors.ts';
import type { Item } from '../item.ts';
import { loopBytes } from '../loop-limits.ts';
import { getAt, withAt, withoutAt } from '../paths.ts';
import { regexCharactersMax } from '../regex-bound.ts';
import { readsValue, type Template, template, topicTemplate } from '../template.ts';
import type { Stage, StageContext } from './stage.ts';
import type { StageTools } from './stage-tools.ts';

export function setStage(settings: SetSettings, { path }: StageTools): Stage {
  const fields = Object.entries(settings.fields ?? {}).map(([at, value]) => {
    const make: Template = typeof value === 'string' ? template(value, [...path, 'fields', at]) : () => value;
    return [at, make] as const;
  });
  const properties = Object.entries(settings.userProperties ?? {}).map(([name, value]) => {
    return [name, template(value, [...path, 'userProperties', name])] as const;
  });
  const { contentType, qos, retain, messageExpirySeconds } = settings;
  const usesValue = fields.length > 0 || Object.values(settings.userProperties ?? {}).some(readsValue);
  return {
    isShort: (item) => !usesValue || item.size <= loopBytes,
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
export function valueStage(change: (value: unknown) => unknown): Stage {
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

export function topicStage(settings: NonNullable<StageSettings['topic']>, { path }: StageTools): Stage {
  const { rewrite, isShort } = topicRewriter(settings, path);
  return {
    isShort,
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
): { rewrite(item: Item, context: StageContext): string; isShort(item: Item): boolean } {
  if (typeof settings === 'string') {
    const usesValue = readsValue(settings);
    return { rewrite: topicTemplate(settings, path), isShort: (item) => !usesValue || item.size <= loopBytes };
  }
  let pattern: RegExp;
  try {
    pattern = new RegExp(settings.match, 'u');
  } catch (cause) {
    throw new PipelineError([...path, 'match'], (cause as Error).message, { cause });
  }
  const charactersMax = regexCharactersMax(settings.match);
  return {
    rewrite: ({ topic }) => topic.replace(pattern, settings.to),
    isShort: ({ topic }) => topic.length <= charactersMax,
  };
}
