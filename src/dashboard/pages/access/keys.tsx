/** Keys of the HTTP API, and links that log in. */
import { useState } from 'preact/hooks';
import type { AnswerOf, RequestOf } from '../../api/client.ts';
import { useAnswer } from '../../app/queries.ts';
import { time } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { Answered } from '../../parts/answered.tsx';
import { CommandLine } from '../../parts/command-line.tsx';
import { CheckField, optionsOf, SelectField, TextField } from '../../parts/fields.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Name, visible } from '../../parts/name.tsx';
import { Empty } from '../../parts/states.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { texts } from '../../texts.ts';
import { texts as own } from '../../texts-operation.ts';

const { keys: text, tabs } = own.access;

type Key = AnswerOf<'keys list'>['keys'][number];
type Area = Key['areas'][number];

const areas = Object.keys(text.areaNames) as readonly Area[];

const columns: readonly Column<Key>[] = [
  { id: 'name', title: text.name, cell: ({ name }) => <Name text={name} /> },
  { id: 'role', title: text.role, cell: ({ role }) => role },
  {
    id: 'areas',
    title: text.areas,
    cell: (key) =>
      key.areas.length === areas.length ? text.allAreas : key.areas.map((area) => text.areaNames[area]).join(', '),
  },
  {
    id: 'username',
    title: text.username,
    cell: ({ username }) => (username === null ? own.unknown : <Name text={username} most={60} />),
  },
  { id: 'created', title: text.created, cell: ({ createdAt }) => <Moment at={createdAt} /> },
  {
    id: 'expires',
    title: text.expires,
    cell: ({ expiresAt }) => (expiresAt === null ? own.never : <Moment at={expiresAt} />),
  },
  { id: 'id', title: text.id, cell: ({ id }) => <Name text={id} /> },
];

export function Keys() {
  const asked = useAnswer('keys list', {});
  const [made, setMade] = useState<AnswerOf<'keys create'> | null>(null);
  const [link, setLink] = useState<AnswerOf<'login-links create'> | null>(null);
  const end: Column<Key> = {
    id: 'actions',
    title: own.actions,
    cell: ({ id, name }) => (
      <Action
        label={text.delete.label}
        command="keys delete"
        request={{ id }}
        isDangerous
        confirm={{
          title: text.delete.title,
          text: (
            <>
              <p>
                <Name text={name} />
              </p>
              <p>{text.delete.text}</p>
            </>
          ),
        }}
        done={() => text.delete.done(visible(name))}
        onDone={() => {
          setMade(null);
          asked.ask();
        }}
      />
    ),
  };
  return (
    <div class="stack">
      <div class="bar">
        <NewKey
          onDone={(key) => {
            setMade(key);
            asked.ask();
          }}
        />
        <Action
          label={text.link.label}
          command="login-links create"
          request={{}}
          done={() => text.link.done}
          onDone={setLink}
        />
      </div>
      {made !== null && (
        <section class="card" role="status">
          <p>{text.shown}</p>
          <CommandLine command={made.key} label={text.copy} />
        </section>
      )}
      {link !== null && (
        <section class="card" role="status">
          <p>{text.link.shown(time(link.expiresAt))}</p>
          {link.urls.map((url) => (
            <CommandLine key={url} command={url} label={text.link.copy} />
          ))}
        </section>
      )}
      <Answered of={asked}>
        {({ keys }) => (
          <Table caption={tabs.keys} columns={[...columns, end]} rows={keys} keyOf={({ id }) => id}>
            {keys.length === 0 && <Empty title={text.none}>{text.noneMeans}</Empty>}
          </Table>
        )}
      </Answered>
    </div>
  );
}

function NewKey({ onDone }: { readonly onDone: (key: AnswerOf<'keys create'>) => void }) {
  const { create } = text;
  const [name, setName] = useState('');
  const [role, setRole] = useState<Key['role']>('viewer');
  const [chosen, setChosen] = useState(areas);
  const [username, setUsername] = useState('');
  const [seconds, setSeconds] = useState('0');
  const request: RequestOf<'keys create'> = {
    name,
    role,
    ...(chosen.length === areas.length ? {} : { areas: [...chosen] }),
    username: username || null,
    expiresInSeconds: seconds === '0' ? null : Number(seconds),
  };
  return (
    <Action
      label={create.label}
      command="keys create"
      request={request}
      confirm={{
        title: create.title,
        text: null,
        options: (
          <>
            <TextField
              label={text.name}
              hint={create.nameHint}
              required
              maxLength={64}
              pattern="[\w.@ \-]+"
              value={name}
              onChange={setName}
            />
            <SelectField label={text.role} value={role} options={optionsOf(texts.shell.roles)} onChange={setRole} />
            <fieldset class="choices">
              <legend>{text.areas}</legend>
              {areas.map((area) => (
                <CheckField
                  key={area}
                  label={text.areaNames[area]}
                  checked={chosen.includes(area)}
                  onChange={(isChosen) =>
                    setChosen(areas.filter((each) => (each === area ? isChosen : chosen.includes(each))))
                  }
                />
              ))}
            </fieldset>
            <TextField label={text.username} hint={create.usernameHint} value={username} onChange={setUsername} />
            <SelectField
              label={create.howLong}
              value={seconds}
              options={optionsOf<string>(create.durations)}
              onChange={setSeconds}
            />
          </>
        ),
      }}
      done={(key) => create.done(visible(key.name))}
      onDone={(key) => {
        setName('');
        onDone(key);
      }}
    />
  );
}
