/** One client: who it is, how it does, what waits for it, and what can be done about it. */
import { useAnswer } from '../../app/queries.ts';
import { Answered } from '../../parts/answered.tsx';
import { Name } from '../../parts/name.tsx';
import { texts } from '../../texts.ts';
import { SessionState } from '../clients/columns.tsx';
import { ClientActions } from './actions.tsx';
import { ClientDetails } from './details.tsx';
import { ClientTabs } from './tabs.tsx';

const { client: text } = texts;
const everyMs = 3_000;

export function Client({ clientId }: { readonly clientId: string }) {
  const asked = useAnswer('clients show', { clientId }, { everyMs });
  const { answer: client, ask } = asked;
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
      <Answered of={asked} absent={{ title: text.noSession, text: text.noSessionMeans }}>
        {(shown) => (
          <>
            <ClientDetails client={shown} />
            <ClientTabs client={shown} />
          </>
        )}
      </Answered>
    </div>
  );
}
