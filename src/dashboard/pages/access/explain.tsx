/** What a client may do, and which rule says so. */
import { useState } from 'preact/hooks';
import type { AnswerOf, RequestOf } from '../../api/client.ts';
import { address } from '../../app/address.tsx';
import { CommandForm } from '../../parts/command-form.tsx';
import { Row } from '../../parts/details.tsx';
import {
  CheckField,
  listOf,
  oneOf,
  optionsOf,
  qosOptions,
  SelectField,
  TextAreaField,
  TextField,
} from '../../parts/fields.tsx';
import { Name, visible } from '../../parts/name.tsx';
import { texts } from '../../texts-operation.ts';

const { explain: text } = texts.access;

type Request = RequestOf<'access explain'>;
type Decision = AnswerOf<'access explain'>;
type Key = 'topic' | 'clientId' | 'username' | 'groups' | 'attributes' | 'address' | 'listener';

interface Draft extends Readonly<Record<Key, string>> {
  readonly action: Request['action'];
  readonly qos: '' | '0' | '1' | '2';
  readonly retain: boolean;
}

const emptyDraft = { qos: '', retain: false, groups: '', attributes: '', address: '', listener: '' } as const;

function requestOf(draft: Draft): Request {
  const groups = listOf(draft.groups, ',');
  const attributes = listOf(draft.attributes, '\n');
  return {
    action: draft.action,
    topic: draft.topic,
    qos: draft.qos === '' ? null : (Number(draft.qos) as 0 | 1 | 2),
    ...(draft.retain ? { retain: true } : {}),
    clientId: draft.clientId || null,
    username: draft.username || null,
    groups: groups.length > 0 ? groups : null,
    attributes: attributes.length > 0 ? attributes : null,
    address: draft.address || null,
    listener: draft.listener || null,
  };
}

export function ExplainAccess() {
  const { query } = address.value;
  const [draft, setDraft] = useState<Draft>({
    ...emptyDraft,
    action: oneOf(text.actions, query.action) ?? 'publish',
    topic: query.topic ?? '',
    clientId: query.client ?? '',
    username: query.user ?? '',
  });
  const [decision, setDecision] = useState<Decision | null>(null);
  const set = (changed: Partial<Draft>) => setDraft((before) => ({ ...before, ...changed }));
  const field = (key: Key, hint?: string) => (
    <TextField
      label={text[key]}
      value={draft[key]}
      onChange={(value) => set({ [key]: value })}
      {...(hint === undefined ? {} : { hint })}
    />
  );
  return (
    <div class="columns">
      <CommandForm command="access explain" request={requestOf(draft)} submit={text.submit} onDone={setDecision}>
        <p class="quiet">{text.what}</p>
        <SelectField
          label={text.action}
          value={draft.action}
          options={optionsOf(text.actions)}
          onChange={(action) => set({ action })}
        />
        <TextField label={text.topic} required value={draft.topic} onChange={(topic) => set({ topic })} />
        <div class="fields">
          {field('clientId', text.clientIdHint)}
          {field('username')}
        </div>
        <details>
          <summary>{text.more}</summary>
          <div class="form">
            <div class="fields">
              <SelectField
                label={text.qos}
                value={draft.qos}
                options={[{ value: '', title: text.qosUsual }, ...qosOptions]}
                onChange={(qos) => set({ qos })}
              />
              {field('groups')}
              {field('address', text.addressHint)}
              {field('listener')}
            </div>
            <CheckField label={text.retain} checked={draft.retain} onChange={(retain) => set({ retain })} />
            <TextAreaField
              label={text.attributes}
              hint={text.attributesHint}
              rows={3}
              value={draft.attributes}
              onChange={(attributes) => set({ attributes })}
            />
          </div>
        </details>
      </CommandForm>
      {decision !== null && <Shown decision={decision} />}
    </div>
  );
}

function Shown({ decision: { isAllowed, rule, code, client, delivery } }: { readonly decision: Decision }) {
  return (
    <section class={`verdict ${isAllowed ? 'ok' : 'critical'}`} role="status">
      <h2>{isAllowed ? text.allowed : text.denied}</h2>
      <dl class="details">
        <Row name={text.rule}>{visible(rule)}</Row>
        <Row name={text.code}>0x{code.toString(16).padStart(2, '0')}</Row>
        <Row name={text.asked}>
          <Name text={client.clientId} />
          {', '}
          {client.username === null ? text.noUser : <Name text={client.username} />}
          {client.groups.length > 0 && `, ${text.groupsOf(visible(client.groups.join(', ')))}`}
        </Row>
        {delivery !== null && (
          <Row name={text.delivery}>
            <strong class={delivery.isAllowed ? 'text-good' : 'text-bad'}>
              {delivery.isAllowed ? texts.yes : texts.no}
            </strong>{' '}
            {visible(delivery.rule)}
          </Row>
        )}
      </dl>
    </section>
  );
}
