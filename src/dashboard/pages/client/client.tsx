/** One client: who it is, how it does, what waits for it, and what can be done about it. */

import { ProblemError } from '../../api/problem.ts';
import { useAnswer } from '../../app/queries.ts';
import { Name } from '../../parts/name.tsx';
import { Empty, Failed, Loading } from '../../parts/states.tsx';
import { texts } from '../../texts.ts';
import { SessionState } from '../clients/columns.tsx';
import { ClientActions } from './actions.tsx';
import { ClientDetails } from './details.tsx';
import { ClientTabs } from './tabs.tsx';

const { client: text } = texts;
const everyMs = 3_000;

export function Client({ clientId }: { readonly clientId: string }) {
  const { answer: client, error, ask } = useAnswer('clients show', { clientId }, { everyMs });
  return (
    <div class="page" key={clientId}>
      <nav aria-label={text.trail}>
        <a href="#/clients">{texts.titles.clients}</a>
      </nav>
      <header class="page-head">
        <h1>
          <Name text={clientId} most={200} />
        </h1>
        {client !== undefined && <SessionState session={client} />}
        {client !== undefined && <ClientActions client={client} onDone={ask} />}
      </header>
      {client !== undefined ? (
        <>
          <ClientDetails client={client} />
          <ClientTabs client={client} />
        </>
      ) : error === null ? (
        <Loading />
      ) : error instanceof ProblemError && error.problem.kind === 'not-found' ? (
        <Empty title={text.noSession}>{text.noSessionMeans}</Empty>
      ) : (
        <Failed error={error} again={ask} />
      )}
    </div>
  );
}
