/** Why a message does not arrive: what would become of one, and what became of those that came. */
import { address, setQuery } from '../../app/address.tsx';
import { Tabs } from '../../parts/tabs.tsx';
import { texts } from '../../texts.ts';
import { Explain } from './explain.tsx';
import { Drops, Slow, Unmatched } from './lists.tsx';

const { happened: text, titles } = texts;

export function Happened() {
  const { tab = 'explain' } = address.value.query;
  return (
    <div class="page">
      <header class="page-head">
        <h1>{titles.happened}</h1>
        <p class="quiet">{text.lead}</p>
      </header>
      <Tabs
        label={text.label}
        chosen={tab}
        onChoose={(chosen) => setQuery({ tab: chosen === 'explain' ? null : chosen })}
        tabs={[
          { id: 'explain', title: text.tabs.explain, body: () => <Explain /> },
          { id: 'drops', title: text.tabs.drops, body: () => <Drops /> },
          { id: 'unmatched', title: text.tabs.unmatched, body: () => <Unmatched /> },
          { id: 'slow', title: text.tabs.slow, body: () => <Slow /> },
        ]}
      />
    </div>
  );
}
