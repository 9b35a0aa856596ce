/** What the broker tells by itself: what calls for somebody, its log, and who did what. */
import { address, setQuery } from '../../app/address.tsx';
import { Tabs } from '../../parts/tabs.tsx';
import { texts } from '../../texts.ts';
import { texts as own } from '../../texts-operation.ts';
import { AlarmsTab } from './alarms.tsx';
import { AuditTab } from './audit.tsx';
import { LogTab } from './log.tsx';

const { logs: text } = own;

export function Logs() {
  const { tab = 'alarms' } = address.value.query;
  return (
    <div class="page">
      <header class="page-head">
        <h1>{texts.titles.logs}</h1>
      </header>
      <Tabs
        label={text.label}
        chosen={tab}
        onChoose={(chosen) => setQuery({ tab: chosen === 'alarms' ? null : chosen })}
        tabs={[
          { id: 'alarms', needs: 'alarms list', title: text.tabs.alarms, body: () => <AlarmsTab /> },
          { id: 'log', needs: 'log tail', title: text.tabs.log, body: () => <LogTab /> },
          { id: 'audit', needs: 'audit tail', title: text.tabs.audit, body: () => <AuditTab /> },
        ]}
      />
    </div>
  );
}
