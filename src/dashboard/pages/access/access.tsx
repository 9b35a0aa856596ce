/** Who may do what, who is shut out, and who may use the API. */
import { address, setQuery } from '../../app/address.tsx';
import { Tabs } from '../../parts/tabs.tsx';
import { texts } from '../../texts.ts';
import { texts as own } from '../../texts-operation.ts';
import { Bans } from './bans.tsx';
import { ExplainAccess } from './explain.tsx';
import { Keys } from './keys.tsx';
import { Users } from './users.tsx';

const { access: text } = own;

export function Access() {
  const { tab = '' } = address.value.query;
  return (
    <div class="page">
      <header class="page-head">
        <h1>{texts.titles.access}</h1>
      </header>
      <Tabs
        label={text.label}
        chosen={tab}
        onChoose={(chosen) => setQuery({ tab: chosen })}
        tabs={[
          { id: 'explain', needs: 'access explain', title: text.tabs.explain, body: () => <ExplainAccess /> },
          { id: 'bans', needs: 'bans list', title: text.tabs.bans, body: () => <Bans /> },
          { id: 'users', needs: 'users list', title: text.tabs.users, body: () => <Users /> },
          { id: 'keys', needs: 'keys list', title: text.tabs.keys, body: () => <Keys /> },
        ]}
      />
    </div>
  );
}
