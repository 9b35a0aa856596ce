/** A message to publish, with what was published before. */
import { useState } from 'preact/hooks';
import { call } from '../../api/client.ts';
import { mayCall } from '../../api/rights.ts';
import { address } from '../../app/address.tsx';
import { recall, remember } from '../../app/remembered.ts';
import { Choice } from '../../parts/choice.tsx';
import { CommandLine } from '../../parts/command-line.tsx';
import { cut, Name, visible } from '../../parts/name.tsx';
import { explain } from '../../parts/states.tsx';
import { texts } from '../../texts.ts';
import { commandLinesOf, type Draft, emptyDraft, forms, messageOf } from './message.ts';

const { console: text } = texts;
const historyMost = 20;
/** Longer payloads are not remembered. */
const rememberedMost = 2_000;

function history(): readonly Draft[] {
  try {
    const known: unknown = JSON.parse(recall('published') ?? '[]');
    return Array.isArray(known) ? known.slice(0, historyMost).map((each) => ({ ...emptyDraft, ...each })) : [];
  } catch {
    return [];
  }
}

export function PublishForm() {
  const [draft, setDraft] = useState<Draft>({ ...emptyDraft, topic: address.value.query.topic ?? '' });
  const [before, setBefore] = useState(history);
  const [result, setResult] = useState<{ readonly isRefused: boolean; readonly words: string } | null>(null);
  const [isBusy, setBusy] = useState(false);
  const set = (changed: Partial<Draft>) => setDraft((now) => ({ ...now, ...changed }));
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      const { outcomes } = await call('publish', { messages: [messageOf(draft)] });
      const { matched, reason } = outcomes[0]!;
      setResult({ isRefused: reason !== null, words: text.outcome(matched, reason) });
      const key = JSON.stringify(draft);
      const next = [draft, ...before.filter((each) => JSON.stringify(each) !== key)].slice(0, historyMost);
      setBefore(next);
      remember('published', JSON.stringify(next.filter(({ payload }) => payload.length <= rememberedMost)));
    } catch (error) {
      setResult({ isRefused: true, words: explain(error as Error).detail });
    }
    setBusy(false);
  };
  return (
    <section class="card">
      <h2>{text.publish}</h2>
      <form class="form" onSubmit={submit}>
        <label>
          {text.topic}
          <input
            required
            value={draft.topic}
            spellcheck={false}
            autocomplete="off"
            dir="auto"
            onInput={({ currentTarget }) => set({ topic: currentTarget.value })}
          />
        </label>
        <label>
          {text.payload}
          <textarea
            rows={5}
            value={draft.payload}
            spellcheck={false}
            dir="auto"
            onInput={({ currentTarget }) => set({ payload: currentTarget.value })}
          />
        </label>
        <div class="form-row">
          <Choice
            label={text.payloadAs}
            options={forms.map((value) => ({ value, title: text.forms[value] }))}
            chosen={draft.form}
            onChoose={(form) => set({ form })}
          />
          <label class="choice">
            {text.qos}
            <select
              value={draft.qos}
              onChange={({ currentTarget }) => set({ qos: Number(currentTarget.value) as Draft['qos'] })}
            >
              {[0, 1, 2].map((each) => (
                <option key={each} value={each}>
                  {each}
                </option>
              ))}
            </select>
          </label>
          <label class="check">
            <input
              type="checkbox"
              checked={draft.retain}
              onChange={({ currentTarget }) => set({ retain: currentTarget.checked })}
            />
            {text.retain}
          </label>
        </div>
        <Properties draft={draft} set={set} />
        <div class="form-row">
          <button type="submit" class="button filled" disabled={isBusy || !mayCall('publish')}>
            {text.publish}
          </button>
          <p role="status" class={result?.isRefused === true ? 'error wrap' : 'wrap'}>
            {result === null ? '' : visible(cut(result.words, 400))}
          </p>
        </div>
      </form>
      {draft.topic !== '' && (
        <details>
          <summary>{text.copyAs}</summary>
          {commandLinesOf(draft).map((line) => (
            <CommandLine key={line} command={line} />
          ))}
        </details>
      )}
      <History before={before} onChoose={setDraft} />
    </section>
  );
}

interface PropertiesProps {
  readonly draft: Draft;
  readonly set: (changed: Partial<Draft>) => void;
}

function Properties({ draft, set }: PropertiesProps) {
  const field = (key: 'contentType' | 'responseTopic' | 'correlation', title: string) => (
    <label>
      {title}
      <input
        value={draft[key]}
        spellcheck={false}
        autocomplete="off"
        dir="auto"
        onInput={({ currentTarget }) => set({ [key]: currentTarget.value })}
      />
    </label>
  );
  return (
    <details>
      <summary>{text.more}</summary>
      <div class="form">
        <label>
          {text.expiry}
          <input
            type="number"
            min={0}
            max={4_294_967_295}
            value={draft.expiry}
            onInput={({ currentTarget }) => set({ expiry: currentTarget.value })}
          />
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={draft.isText}
            onChange={({ currentTarget }) => set({ isText: currentTarget.checked })}
          />
          {text.indicator}
        </label>
        {field('contentType', text.contentType)}
        {field('responseTopic', text.responseTopic)}
        {field('correlation', text.correlation)}
        <label>
          {text.userProperties}
          <textarea
            rows={3}
            value={draft.userProperties}
            spellcheck={false}
            dir="auto"
            onInput={({ currentTarget }) => set({ userProperties: currentTarget.value })}
          />
        </label>
      </div>
    </details>
  );
}

interface HistoryProps {
  readonly before: readonly Draft[];
  readonly onChoose: (draft: Draft) => void;
}

function History({ before, onChoose }: HistoryProps) {
  return (
    <details>
      <summary>{text.history}</summary>
      {before.length === 0 && <p class="quiet">{text.noHistory}</p>}
      <ul class="history">
        {before.map((draft) => (
          <li key={JSON.stringify(draft)}>
            <button type="button" class="button" onClick={() => onChoose(draft)}>
              {text.again}
            </button>
            <span>
              <Name text={draft.topic} most={50} /> <span class="quiet">{visible(cut(draft.payload, 60))}</span>
            </span>
          </li>
        ))}
      </ul>
    </details>
  );
}
