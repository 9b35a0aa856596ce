/** The settings of a bridge that a command makes: the usual ones as fields, others as fields that open, all as JSON. */
import { useState } from 'preact/hooks';
import type { AnswerOf, RequestOf } from '../../api/client.ts';
import { CommandForm } from '../../parts/command-form.tsx';
import { optionsOf, SelectField, TextAreaField, TextField } from '../../parts/fields.tsx';
import { texts } from '../../texts-operation.ts';
import { MoreFields } from './more-fields.tsx';
import { type Settings, settingsToSend } from './more-settings.ts';
import { newTopic, Topics } from './topics.tsx';

const { bridges: text } = texts;
const { form } = text;

export const newBridge: Settings = { name: '', addresses: [''], topics: [newTopic] };
/** In the place of a secret, which the broker does not show and keeps if it is given this. */
const mask = '***';

interface BridgeFormProps {
  readonly settings: Settings;
  readonly command: 'bridges create' | 'bridges change';
  readonly backTo: string;
  readonly onDone: (bridge: AnswerOf<'bridges create'>) => void;
}

export function BridgeForm({ settings, command, backTo, onDone }: BridgeFormProps) {
  const [draft, setDraft] = useState(settings);
  /** As it was typed, while it is no JSON; null: it is the draft. */
  const [json, setJson] = useState<string | null>(null);
  const set = (changed: Partial<Settings>) => setDraft((before) => withoutEmpty({ ...before, ...changed }));
  const typeJson = (typed: string) => {
    const parsed = settingsOf(typed);
    setJson(parsed === null ? typed : null);
    if (parsed !== null) setDraft(parsed);
  };
  const isChange = command === 'bridges change';
  const sent = settingsToSend(draft);
  const request = isChange ? { name: settings.name, settings: sent } : { settings: sent };
  const masked = sent.password === undefined ? sent : { ...sent, password: mask };
  return (
    <CommandForm
      command={command}
      request={request as RequestOf<typeof command>}
      shown={{ ...request, settings: masked }}
      submit={isChange ? form.change : form.create}
      fault={json === null ? null : form.badJson}
      beside={
        <a class="button" href={backTo}>
          {form.back}
        </a>
      }
      onDone={onDone}
    >
      <div class="fields">
        <TextField
          label={text.name}
          hint={form.nameHint}
          value={draft.name}
          required
          readOnly={isChange}
          pattern="[A-Za-z0-9][A-Za-z0-9_.\-]*"
          maxLength={64}
          onChange={(name) => set({ name })}
        />
        <TextField
          label={form.clientId}
          hint={form.clientIdHint}
          value={draft.clientId ?? ''}
          onChange={(clientId) => set({ clientId })}
        />
        <TextField label={form.username} value={draft.username ?? ''} onChange={(username) => set({ username })} />
        <TextField
          label={form.password}
          type="password"
          hint={settings.password === undefined ? form.passwordHint : form.passwordKept}
          value={draft.password === mask ? '' : (draft.password ?? '')}
          onChange={(password) =>
            set({ password: password === '' && settings.password !== undefined ? mask : password })
          }
        />
        <SelectField
          label={form.version}
          value={draft.version ?? 'auto'}
          options={optionsOf<NonNullable<Settings['version']>>(form.versions)}
          onChange={(version) => set({ version })}
        />
        <SelectField
          label={form.start}
          value={draft.start ?? 'automatic'}
          options={optionsOf<NonNullable<Settings['start']>>(form.starts)}
          onChange={(start) => set({ start })}
        />
      </div>
      <TextAreaField
        label={form.addresses}
        hint={form.addressesHint}
        rows={2}
        required
        value={draft.addresses.join('\n')}
        onChange={(typed) => set({ addresses: typed.split('\n') })}
      />
      <Topics topics={draft.topics} onChange={(topics) => set({ topics })} />
      <MoreFields settings={draft} onChange={setDraft} />
      <details>
        <summary>{form.json}</summary>
        <TextAreaField
          label={form.json}
          hint={form.jsonHint}
          rows={14}
          value={json ?? JSON.stringify(draft, null, 2)}
          onChange={typeJson}
        />
      </details>
    </CommandForm>
  );
}

/** Null: it is none. */
function settingsOf(typed: string): Settings | null {
  try {
    const parsed = JSON.parse(typed) as Partial<Settings>;
    const isOne = typeof parsed.name === 'string' && Array.isArray(parsed.addresses) && Array.isArray(parsed.topics);
    return isOne ? (parsed as Settings) : null;
  } catch {
    return null;
  }
}

/** A text that is empty is none. */
function withoutEmpty({ clientId, username, password, ...rest }: Settings): Settings {
  return {
    ...rest,
    ...(clientId ? { clientId } : {}),
    ...(username ? { username } : {}),
    ...(password ? { password } : {}),
  };
}
