/** Users of the password files that the configuration names. */
import { useState } from 'preact/hooks';
import { address, setQuery } from '../../app/address.tsx';
import { Action } from '../../parts/action.tsx';
import { TextField } from '../../parts/fields.tsx';
import { cut, Name, visible } from '../../parts/name.tsx';
import { type ItemOf, PagedTable } from '../../parts/paged-table.tsx';
import { Search } from '../../parts/search.tsx';
import { Empty } from '../../parts/states.tsx';
import type { Column } from '../../parts/table.tsx';
import { texts } from '../../texts-operation.ts';

const { users: text } = texts.access;

type User = ItemOf<'users list'>;

/** In the place of a password, in a command line. */
const hidden = '…';
const shortName = (username: string) => visible(cut(username, 60));

export function Users() {
  const { file = '' } = address.value.query;
  const [version, setVersion] = useState(0);
  const again = () => setVersion((before) => before + 1);
  const columns: readonly Column<User>[] = [
    { id: 'username', title: text.username, cell: ({ username }) => <Name text={username} most={80} /> },
    { id: 'file', title: text.inFile, cell: (user) => <Name text={user.file} most={80} /> },
    {
      id: 'actions',
      title: texts.actions,
      cell: (user) => (
        <div class="actions">
          <Put label={text.change.label} title={text.change.title} user={user} onDone={again} />
          <Action
            label={text.delete.label}
            command="users delete"
            request={user}
            isDangerous
            confirm={{
              title: text.delete.title,
              text: (
                <>
                  <p>
                    <Name text={user.username} />
                  </p>
                  <p>{text.delete.text}</p>
                </>
              ),
            }}
            done={({ username }) => text.delete.done(shortName(username))}
            onDone={again}
          />
        </div>
      ),
    },
  ];
  return (
    <div class="stack">
      <div class="table-tools">
        <Search value={file} label={text.file} onSearch={(found) => setQuery({ file: found })} />
        <Put label={text.add.label} title={text.add.title} file={file || null} onDone={again} />
      </div>
      <PagedTable
        caption={texts.access.tabs.users}
        command="users list"
        request={{ file: file || null }}
        columns={columns}
        keyOf={({ username }) => username}
        version={version}
        empty={<Empty title={text.none}>{text.noneMeans}</Empty>}
      />
    </div>
  );
}

interface PutProps {
  readonly label: string;
  readonly title: string;
  /** Whose password it is; absent: somebody is added. */
  readonly user?: User;
  readonly file?: string | null;
  readonly onDone: () => void;
}

function Put({ label, title, user, file = user?.file ?? null, onDone }: PutProps) {
  const [username, setUsername] = useState(user?.username ?? '');
  const [password, setPassword] = useState('');
  return (
    <Action
      label={label}
      command="users put"
      request={{ username, password, file }}
      shown={{ username, password: hidden, file }}
      confirm={{
        title,
        text: user !== undefined && (
          <p>
            <Name text={username} />
          </p>
        ),
        options: (
          <>
            {user === undefined && (
              <TextField label={text.username} required maxLength={16_000} value={username} onChange={setUsername} />
            )}
            <TextField
              label={text.add.password}
              hint={text.add.passwordHint}
              type="password"
              required
              maxLength={1_024}
              value={password}
              onChange={setPassword}
            />
          </>
        ),
      }}
      done={({ isNew }) => (isNew ? text.add.added : text.add.changed)(shortName(username))}
      onDone={() => {
        setPassword('');
        if (user === undefined) setUsername('');
        onDone();
      }}
    />
  );
}
