/** Which topics go over a bridge, as fields: an entry a row. */
import { optionsOf, qosOptions, SelectField, TextField } from '../../parts/fields.tsx';
import { texts } from '../../texts-operation.ts';
import type { Settings } from './more-settings.ts';

const { bridges: text } = texts;
const { form } = text;

export type Topic = Settings['topics'][number];

export const newTopic: Topic = {
  ...{ filter: '', direction: 'out', qos: 1, localPrefix: '', remotePrefix: '' },
  ...{ retain: 'keep', forward: 'all', priority: 0 },
};

/** Empty: none. */
function withPipeline({ pipeline: _before, ...rest }: Topic, pipeline: string): Topic {
  return pipeline === '' ? rest : { ...rest, pipeline };
}

interface TopicsProps {
  readonly topics: readonly Topic[];
  readonly onChange: (topics: Topic[]) => void;
}

export function Topics({ topics, onChange }: TopicsProps) {
  const set = (index: number, changed: Partial<Topic>) =>
    onChange(topics.map((each, at) => (at === index ? { ...each, ...changed } : each)));
  return (
    <fieldset class="rows">
      <legend>{form.topics}</legend>
      {topics.map((topic, at) => (
        <fieldset key={at} class="fields">
          <legend class="unseen">{form.topic(at + 1)}</legend>
          <TextField
            label={text.filter}
            value={topic.filter ?? '#'}
            required
            onChange={(filter) => set(at, { filter })}
          />
          <SelectField
            label={text.direction}
            value={topic.direction ?? 'out'}
            options={optionsOf<NonNullable<Topic['direction']>>(text.directions)}
            onChange={(direction) => set(at, { direction, ...(direction === 'in' && { priority: 0 }) })}
          />
          <SelectField
            label={text.qos}
            value={String(topic.qos ?? 0) as '0' | '1' | '2'}
            options={qosOptions}
            onChange={(qos) => set(at, { qos: Number(qos) as 0 | 1 | 2 })}
          />
          <TextField
            label={text.localPrefix}
            value={topic.localPrefix ?? ''}
            onChange={(localPrefix) => set(at, { localPrefix })}
          />
          <TextField
            label={text.remotePrefix}
            value={topic.remotePrefix ?? ''}
            onChange={(remotePrefix) => set(at, { remotePrefix })}
          />
          <SelectField
            label={text.retain}
            value={topic.retain ?? 'keep'}
            options={optionsOf<NonNullable<Topic['retain']>>(text.retains)}
            onChange={(retain) => set(at, { retain })}
          />
          <SelectField
            label={text.forward}
            value={topic.forward ?? 'all'}
            options={optionsOf<NonNullable<Topic['forward']>>(text.forwards)}
            onChange={(forward) => set(at, { forward })}
          />
          {topic.direction !== 'in' && (
            <TextField
              label={text.priority}
              type="number"
              min={0}
              max={9}
              hint={form.priorityHint}
              value={String(topic.priority ?? 0)}
              onChange={(priority) => set(at, { priority: Number(priority) })}
            />
          )}
          <TextField
            label={text.pipeline}
            hint={form.pipelineHint}
            value={topic.pipeline ?? ''}
            onChange={(pipeline) =>
              onChange(topics.map((each, index) => (index === at ? withPipeline(each, pipeline) : each)))
            }
          />
          {topics.length > 1 && (
            <button type="button" class="button" onClick={() => onChange(topics.filter((_, index) => index !== at))}>
              {texts.remove}
            </button>
          )}
        </fieldset>
      ))}
      <button type="button" class="button" onClick={() => onChange([...topics, newTopic])}>
        {form.add}
      </button>
    </fieldset>
  );
}
