/** Who is shut out for a while: by the broker itself, or by an operator. */
import { useState } from 'preact/hooks';
import type { AnswerOf, RequestOf } from '../../api/client.ts';
import { useAnswer } from '../../app/queries.ts';
import { number } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { Answered } from '../../parts/answered.tsx';
import { CheckField, optionsOf, SelectField, TextField } from '../../parts/fields.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Name } from '../../parts/name.tsx';
import { Empty } from '../../parts/states.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { texts } from '../../texts-operation.ts';

const { bans: text } = texts.access;
const { tabs } = texts.access;

type Ban = AnswerOf<'bans list'>['bans'][number];

const columns: readonly Column<Ban>[] = [
  {
    id: 'address',
    title: text.address,
    cell: ({ address }) => (address === null ? <span class="quiet">{text.everywhere}</span> : <Name text={address} />),
  },
  {
    id: 'user',
    title: text.user,
    cell: ({ user }) => (user === null ? <span class="quiet">{text.anybody}</span> : <Name text={user} most={60} />),
  },
  {
    id: 'client',
    title: text.client,
    cell: ({ client }) =>
      client === null ? <span class="quiet">{text.anybody}</span> : <Name text={client} most={60} />,
  },
  { id: 'why', title: text.why, cell: ({ why }) => <Name text={why} most={200} isProse /> },
  { id: 'since', title: text.since, cell: ({ since }) => <Moment at={since} /> },
  { id: 'until', title: text.until, cell: ({ until }) => <Moment at={until} /> },
];

export function Bans() {
  const asked = useAnswer('bans list', {}, { everyMs: 5_000 });
  const lift: Column<Ban> = {
    id: 'actions',
    title: texts.actions,
    cell: ({ address, user, client }) => (
      <Action
        label={text.lift.label}
        command="bans clear"
        request={{ address, user, client }}
        done={({ count }) => text.lift.done(number(count))}
        onDone={asked.ask}
      />
    ),
  };
  return (
    <div class="stack">
      <div class="bar">
        <BanAction onDone={asked.ask} />
        {(asked.answer?.bans.length ?? 0) > 1 && (
          <Action
            label={text.lift.all}
            command="bans clear"
            request={{ address: 'all' }}
            confirm={{ title: text.lift.title, text: <p>{text.lift.text(number(asked.answer!.bans.length))}</p> }}
            done={({ count }) => text.lift.done(number(count))}
            onDone={asked.ask}
          />
        )}
      </div>
      <Answered of={asked}>
        {({ bans }) => (
          <Table
            caption={tabs.bans}
            columns={[...columns, lift]}
            rows={bans}
            keyOf={({ address, user, client }) => JSON.stringify([address, user, client])}
          >
            {bans.length === 0 && <Empty title={text.none}>{text.noneMeans}</Empty>}
          </Table>
        )}
      </Answered>
    </div>
  );
}

const usual = {
  address: '',
  user: '',
  client: '',
  seconds: '3600',
  why: '',
};

interface BanActionProps {
  /** The client that the form names already. */
  readonly clientId?: string;
  readonly onDone: () => void;
}

export function BanAction({ clientId = '', onDone }: BanActionProps) {
  const { create } = text;
  const empty = { ...usual, client: clientId };
  const [draft, setDraft] = useState(empty);
  const [disconnect, setDisconnect] = useState(true);
  const set = (changed: Partial<typeof usual>) => setDraft((before) => ({ ...before, ...changed }));
  const request: RequestOf<'bans create'> = {
    address: draft.address || null,
    user: draft.user || null,
    client: draft.client || null,
    forSeconds: Number(draft.seconds),
    ...(draft.why === '' ? {} : { why: draft.why }),
    disconnect,
  };
  return (
    <Action
      label={create.label}
      command="bans create"
      request={request}
      isDangerous
      confirm={{
        title: create.title,
        text: <p>{create.text}</p>,
        options: (
          <>
            <TextField
              label={text.address}
              hint={create.addressHint}
              value={draft.address}
              onChange={(address) => set({ address })}
            />
            <TextField label={text.user} value={draft.user} onChange={(user) => set({ user })} />
            <TextField label={text.client} value={draft.client} onChange={(client) => set({ client })} />
            <SelectField
              label={create.howLong}
              value={draft.seconds}
              options={optionsOf<string>(create.durations)}
              onChange={(seconds) => set({ seconds })}
            />
            <TextField
              label={create.why}
              maxLength={200}
              placeholder={create.usualWhy}
              value={draft.why}
              onChange={(why) => set({ why })}
            />
            <CheckField label={create.disconnect} checked={disconnect} onChange={setDisconnect} />
          </>
        ),
      }}
      done={({ disconnected }) => create.done(number(disconnected))}
      onDone={() => {
        setDraft(empty);
        onDone();
      }}
    />
  );
}
