/** What is in force, what of it is not as by default, and what a reload would change. */
import { useState } from 'preact/hooks';
import type { AnswerOf } from '../../api/client.ts';
import { address, setQuery } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { number } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { Answered } from '../../parts/answered.tsx';
import { CheckField, TextField } from '../../parts/fields.tsx';
import { cut, Name, visible } from '../../parts/name.tsx';
import { Search } from '../../parts/search.tsx';
import { Empty } from '../../parts/states.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { texts } from '../../texts.ts';
import { texts as own } from '../../texts-operation.ts';
import { type Setting, settingsOf, valueText } from './settings.ts';

const { configuration: text } = own;
const everyMs = 10_000;

type Shown = AnswerOf<'config show'>;
type Change = NonNullable<Shown['changes']>[number];

export function Configuration() {
  const asked = useAnswer('config show', {}, { everyMs });
  const { answer: shown } = asked;
  return (
    <div class="page">
      <header class="page-head">
        <h1>{texts.titles.configuration}</h1>
        {shown !== undefined && (
          <p class="quiet wrap">{shown.file === null ? text.noFile : text.file(visible(shown.file))}</p>
        )}
        <div class="actions">
          <Reload changes={shown?.changes ?? []} onDone={asked.ask} />
          <Backup />
        </div>
      </header>
      <Answered of={asked}>
        {(answer) => (
          <>
            <Changes shown={answer} />
            <Settings shown={answer} />
          </>
        )}
      </Answered>
    </div>
  );
}

interface ReloadProps {
  readonly changes: readonly Change[];
  readonly onDone: () => void;
}

function Reload({ changes, onDone }: ReloadProps) {
  const now = changes.filter(({ takesEffect }) => takesEffect === 'reload').length;
  return (
    <Action
      label={text.reload.label}
      command="reload"
      request={{}}
      confirm={{
        title: text.reload.title,
        text: <p>{text.reload.text(number(now), number(changes.length - now))}</p>,
      }}
      done={({ summary }) => summary}
      onDone={onDone}
    />
  );
}

function Backup() {
  const [directory, setDirectory] = useState('');
  return (
    <Action
      label={text.backup.label}
      command="backup"
      request={{ directory }}
      confirm={{
        title: text.backup.title,
        text: null,
        options: (
          <TextField
            label={text.backup.directory}
            hint={text.backup.directoryHint}
            required
            value={directory}
            onChange={setDirectory}
          />
        ),
      }}
      done={({ records }) => text.backup.done(number(records))}
    />
  );
}

function Value({ value }: { readonly value: unknown }) {
  if (value === undefined || value === null) return <span class="quiet">{text.absent}</span>;
  return <Name text={valueText(value)} most={300} />;
}

const changeColumns: readonly Column<Change>[] = [
  { id: 'setting', title: text.setting, cell: ({ path }) => <Name text={path} most={120} /> },
  { id: 'from', title: text.from, cell: ({ from }) => <Value value={from} /> },
  { id: 'to', title: text.to, cell: ({ to }) => <Value value={to} /> },
  {
    id: 'effect',
    title: text.takesEffect,
    cell: ({ takesEffect }) => (
      <span class={takesEffect === 'reload' ? 'badge ok' : 'badge warning'}>{text.effects[takesEffect]}</span>
    ),
  },
];

function Changes({ shown: { changes, problem } }: { readonly shown: Shown }) {
  return (
    <section class="stack">
      <h2>{text.changes}</h2>
      {problem !== null ? (
        <div class="error" role="status">
          <p>{text.problem}</p>
          <p class="wrap lines">{cut(problem, 4_000).split('\n').map(visible).join('\n')}</p>
        </div>
      ) : changes === null ? (
        <Empty title={text.notRead}>{text.notReadMeans}</Empty>
      ) : (
        <Table
          caption={text.changes}
          columns={changeColumns}
          rows={changes.slice(0, rowsMost)}
          keyOf={({ path }) => path}
        >
          {changes.length === 0 && <Empty title={text.none}>{text.noneMeans}</Empty>}
        </Table>
      )}
    </section>
  );
}

const rowsMost = 400;

const settingColumns: readonly Column<Setting>[] = [
  {
    id: 'setting',
    title: text.setting,
    cell: ({ path, isDefault }) => (
      <span class={isDefault ? undefined : 'set'}>
        <Name text={path} most={160} />
      </span>
    ),
  },
  { id: 'value', title: text.value, cell: ({ value }) => <Value value={value} /> },
  { id: 'origin', title: text.origin, cell: (setting) => <From setting={setting} /> },
  {
    id: 'default',
    title: text.default,
    cell: (setting) => 'usual' in setting && <Value value={setting.usual} />,
  },
];

function From({ setting: { origin, isDefault } }: { readonly setting: Setting }) {
  if (origin === undefined) return <span class="quiet">{isDefault ? text.origins.default : text.origins.program}</span>;
  const { from, where } = origin;
  if (from === 'environment') return <Name text={where ?? ''} most={120} />;
  const line = /:(\d+):\d+$/.exec(where ?? '')?.[1];
  return (
    <span title={where === null ? undefined : visible(where)}>
      {from === 'file' && line !== undefined ? text.origins.line(line) : text.origins[from]}
    </span>
  );
}

function Settings({ shown: { config, deviations, origins } }: { readonly shown: Shown }) {
  const { q = '', only } = address.value.query;
  const wanted = q.toLowerCase();
  const fitting = settingsOf(config, deviations, origins).filter(
    ({ path, value, isDefault }) =>
      (only === undefined || !isDefault) &&
      (path.toLowerCase().includes(wanted) || (valueText(value) ?? '').toLowerCase().includes(wanted)),
  );
  return (
    <section class="stack">
      <h2>{text.all}</h2>
      <Table
        caption={text.all}
        columns={settingColumns}
        rows={fitting.slice(0, rowsMost)}
        keyOf={({ path }) => path}
        tools={
          <>
            <Search value={q} label={text.search} onSearch={(found) => setQuery({ q: found })} />
            <CheckField
              label={text.onlySet}
              checked={only !== undefined}
              onChange={(isOnly) => setQuery({ only: isOnly ? 'yes' : null })}
            />
          </>
        }
      >
        {fitting.length === 0 && <Empty title={q === '' ? text.usual : text.noneFits} />}
      </Table>
      {fitting.length > rowsMost && <p class="hint">{text.more(number(fitting.length - rowsMost))}</p>}
    </section>
  );
}
