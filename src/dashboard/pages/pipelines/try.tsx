/** A message that goes through copies of the pipelines, stage by stage, and is published to nobody. */
import { useState } from 'preact/hooks';
import type { AnswerOf, RequestOf } from '../../api/client.ts';
import { address } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { duration, number } from '../../format.ts';
import { Answered } from '../../parts/answered.tsx';
import { Choice } from '../../parts/choice.tsx';
import { CommandForm } from '../../parts/command-form.tsx';
import {
  CheckField,
  listOf,
  optionsOf,
  qosOptions,
  SelectField,
  TextAreaField,
  TextField,
} from '../../parts/fields.tsx';
import { Name, visible } from '../../parts/name.tsx';
import { PayloadLine } from '../../parts/payload.tsx';
import { Empty } from '../../parts/states.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { texts } from '../../texts-operation.ts';
import { propertiesOf } from '../console/message.ts';

const { try: text } = texts.pipelines;

type Request = RequestOf<'pipelines try'>;
type Outcome = AnswerOf<'pipelines try'>;
type Message = Outcome['messages'][number];
type Stage = Outcome['stages'][number];

const emptyDraft = {
  ...{ payload: '', encoding: 'text' as 'text' | 'base64', qos: '0' as '0' | '1' | '2', retain: false },
  ...{ contentType: '', userProperties: '', clientId: '', username: '', groups: '' },
  ...{ subscriberId: '', subscriberName: '', accept: '' },
};
type Draft = typeof emptyDraft & { readonly topic: string };

/** What is as usual is left out, so that the command line is short. */
function requestOf(draft: Draft): Request {
  const { topic, payload, encoding, qos, retain, contentType, clientId, username, subscriberId } = draft;
  const userProperties = propertiesOf(draft.userProperties) as string[][];
  const groups = listOf(draft.groups, ',');
  const subscriber = { clientId: subscriberId, username: draft.subscriberName || null, accept: draft.accept || null };
  return {
    topic,
    payload,
    ...(encoding === 'text' ? {} : { encoding }),
    ...(qos === '0' ? {} : { qos: Number(qos) as 1 | 2 }),
    ...(retain ? { retain } : {}),
    ...(contentType ? { contentType } : {}),
    ...(draft.userProperties ? { userProperties } : {}),
    ...(clientId ? { clientId } : {}),
    ...(username ? { username } : {}),
    ...(groups.length > 0 ? { groups } : {}),
    ...(subscriberId ? { subscriber } : {}),
  };
}

export function Try() {
  const { topic = '', quarantined } = address.value.query;
  return quarantined === undefined ? <Form draft={{ ...emptyDraft, topic }} /> : <Again id={Number(quarantined)} />;
}

/** A message of the quarantine, as it came. */
function Again({ id }: { readonly id: number }) {
  const asked = useAnswer('quarantine show', { id });
  const { notThere, notThereMeans } = texts.pipelines.quarantine;
  return (
    <Answered of={asked} absent={{ title: notThere, text: notThereMeans }}>
      {(message) => <Form draft={draftOf(message)} />}
    </Answered>
  );
}

function draftOf(message: AnswerOf<'quarantine show'>): Draft {
  const { topic, qos, retain, contentType, userProperties, clientId, username } = message;
  return {
    ...emptyDraft,
    ...payloadOf(message.payload),
    ...{ topic, retain, qos: `${qos as 0 | 1 | 2}`, contentType: contentType ?? '' },
    userProperties: (userProperties ?? []).map(([name, value]) => `${name}=${value}`).join('\n'),
    ...{ clientId: clientId ?? '', username: username ?? '' },
  };
}

/** As text, where it is one. */
function payloadOf(base64: string): Pick<Draft, 'payload' | 'encoding'> {
  try {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return { payload: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes), encoding: 'text' };
  } catch {
    return { payload: base64, encoding: 'base64' };
  }
}

function Form({ draft: first }: { readonly draft: Draft }) {
  const [draft, setDraft] = useState(first);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const set = (changed: Partial<Draft>) => setDraft((before) => ({ ...before, ...changed }));
  const field = (
    key: 'contentType' | 'clientId' | 'username' | 'groups' | 'subscriberId' | 'subscriberName' | 'accept',
  ) => <TextField label={text[key]} value={draft[key]} onChange={(value) => set({ [key]: value })} />;
  return (
    <div class="columns">
      <CommandForm command="pipelines try" request={requestOf(draft)} submit={text.submit} onDone={setOutcome}>
        <p class="quiet">{text.what}</p>
        <TextField label={text.topic} required value={draft.topic} onChange={(topic) => set({ topic })} />
        <TextAreaField label={text.payload} rows={5} value={draft.payload} onChange={(payload) => set({ payload })} />
        <div class="form-row">
          <Choice
            label={text.payloadAs}
            options={optionsOf(text.encodings)}
            chosen={draft.encoding}
            onChoose={(encoding) => set({ encoding })}
          />
          <SelectField
            isNarrow
            label={text.qos}
            value={draft.qos}
            options={qosOptions}
            onChange={(qos) => set({ qos })}
          />
          <CheckField label={text.retain} checked={draft.retain} onChange={(retain) => set({ retain })} />
        </div>
        <details>
          <summary>{text.publisher}</summary>
          <div class="form">
            <div class="fields">
              {field('clientId')}
              {field('username')}
              {field('groups')}
              {field('contentType')}
            </div>
            <TextAreaField
              label={text.userProperties}
              rows={3}
              value={draft.userProperties}
              onChange={(userProperties) => set({ userProperties })}
            />
          </div>
        </details>
        <details>
          <summary>{text.subscriber}</summary>
          <div class="fields">
            {field('subscriberId')}
            {field('subscriberName')}
            {field('accept')}
          </div>
        </details>
      </CommandForm>
      {outcome !== null && <Result outcome={outcome} />}
    </div>
  );
}

const states = { published: 'ok', dropped: 'warning', quarantined: 'critical', rejected: 'critical' } as const;

const stageColumns: readonly Column<Stage>[] = [
  {
    id: 'stage',
    title: texts.pipelines.stage,
    cell: ({ pipeline, stage }) => (
      <>
        <Name text={pipeline} most={40} /> <span class="quiet">{stage}</span>
      </>
    ),
  },
  { id: 'result', title: text.result, cell: (stage) => <StageResult stage={stage} /> },
  { id: 'time', title: text.time, isNumber: true, cell: ({ microseconds }) => duration(microseconds / 1_000_000) },
];

const readOf = ({ payload, encoding }: Message) => ({ payload, encoding, format: null, decodeError: null });

function StageResult({ stage: { error, count, messages } }: { readonly stage: Stage }) {
  if (error !== null) return <span class="text-bad wrap">{visible(error)}</span>;
  if (count === 0) return <span class="quiet">{text.nothing}</span>;
  const [first] = messages;
  return (
    <>
      {first ? <PayloadLine read={readOf(first)} most={200} /> : <span class="quiet">{text.notWritten}</span>}
      {count > 1 && <span class="quiet"> {text.more(number(count - 1))}</span>}
    </>
  );
}

const messageColumns: readonly Column<Message>[] = [
  { id: 'topic', title: text.topic, cell: ({ topic }) => <Name text={topic} most={80} /> },
  { id: 'payload', title: text.payload, cell: (message) => <PayloadLine read={readOf(message)} most={400} /> },
  {
    id: 'contentType',
    title: text.contentType,
    cell: ({ contentType }) => contentType !== null && <Name text={contentType} most={40} />,
  },
];

function Result({ outcome: { outcome, reason, count, messages, stages } }: { readonly outcome: Outcome }) {
  return (
    <div class="stack">
      <section class={`verdict ${states[outcome]}`} role="status">
        <h2>{text.outcomes[outcome]}</h2>
        {reason !== null && <p class="wrap">{visible(reason)}</p>}
      </section>
      <h2>{text.messages(number(count))}</h2>
      <Table caption={text.messages(number(count))} columns={messageColumns} rows={messages} keyOf={(_, at) => at}>
        {messages.length === 0 && <Empty title={text.none} />}
      </Table>
      <h2>{text.stages}</h2>
      <Table caption={text.stages} columns={stageColumns} rows={stages} keyOf={(_, at) => at}>
        {stages.length === 0 && <Empty title={text.noStages} />}
      </Table>
    </div>
  );
}
