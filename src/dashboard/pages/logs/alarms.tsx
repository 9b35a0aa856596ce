/** What calls for somebody now, and what did. */
import type { AnswerOf } from '../../api/client.ts';
import { useAnswer } from '../../app/queries.ts';
import { duration } from '../../format.ts';
import { Answered } from '../../parts/answered.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Name } from '../../parts/name.tsx';
import { Empty } from '../../parts/states.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { texts } from '../../texts-operation.ts';
import { Alarms } from '../overview/alarms.tsx';

const { logs: text } = texts;
const everyMs = 2_000;

type Alarm = AnswerOf<'alarms list'>['past'][number];

const columns: readonly Column<Alarm>[] = [
  { id: 'ended', title: text.ended, cell: ({ clearedAt }) => <Moment at={clearedAt!} /> },
  {
    id: 'lasted',
    title: text.lasted,
    isNumber: true,
    cell: ({ since, clearedAt }) => duration(Math.round((clearedAt! - since) / 1_000)),
  },
  {
    id: 'severity',
    title: text.severity,
    cell: ({ severity }) => <span class={`badge ${severity}`}>{text.severities[severity]}</span>,
  },
  { id: 'what', title: text.what, cell: (alarm) => <Name text={alarm.text} most={300} isProse /> },
];

export function AlarmsTab() {
  const asked = useAnswer('alarms list', {}, { everyMs });
  return (
    <Answered of={asked}>
      {({ active, past }) => (
        <div class="stack">
          <Alarms alarms={active} />
          <h2>{text.past}</h2>
          <Table
            caption={text.past}
            columns={columns}
            rows={past}
            keyOf={({ name, about, clearedAt }) => `${name} ${about} ${clearedAt}`}
          >
            {past.length === 0 && <Empty title={text.noPast}>{text.noPastMeans}</Empty>}
          </Table>
        </div>
      )}
    </Answered>
  );
}
