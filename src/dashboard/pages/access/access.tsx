/** Who may do what, who is shut out, and who may use the API. */
import type { ComponentChildren } from 'preact';
import type { CommandName } from '../../api/operations.ts';
import { mayCall } from '../../api/rights.ts';
import { address, setQuery } from '../../app/address.tsx';
import { Tabs } from '../../parts/tabs.tsx';
import { texts } from '../../texts.ts';
import { texts as own } from '../../texts-operation.ts';
import { Bans } from './bans.tsx';
import { ExplainAccess } from './explain.tsx';
import { Keys } from './keys.tsx';
import { Users } from './users.tsx';

const { access: text } = own;

const bodies: readonly (readonly [id: keyof typeof text.tabs, needs: CommandName, body: () => ComponentChildren])[] = [
  ['explain', 'access explain', () => <ExplainAccess />],
  ['bans', 'bans list', () => <Bans />],
  ['users', 'users list', () => <Users />],
  ['keys', 'keys list', () => <Keys />],
];

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
        tabs={bodies.filter(([, needs]) => mayCall(needs)).map(([id, , body]) => ({ id, title: text.tabs[id], body }))}
      />
    </div>
  );
}
