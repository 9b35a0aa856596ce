/** Certificates, authorities and revocation lists in use, with the time that is left. */
import type { AnswerOf } from '../../api/client.ts';
import { useAnswer } from '../../app/queries.ts';
import { duration, number } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { Answered } from '../../parts/answered.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Name } from '../../parts/name.tsx';
import { Empty } from '../../parts/states.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { texts } from '../../texts-operation.ts';

const { certificates: text, tabs } = texts.listeners;

type Certificate = AnswerOf<'certificates list'>['certificates'][number];

/** As the alarm has it. */
const warningDays = 30;
const daySeconds = 86_400;

function Left({ certificate: { daysLeft } }: { readonly certificate: Certificate }) {
  if (daysLeft <= 0) return <span class="badge critical">{text.ended}</span>;
  const kind = daysLeft <= warningDays ? 'badge warning' : 'badge ok';
  return <span class={kind}>{duration(daysLeft * daySeconds)}</span>;
}

const columns: readonly Column<Certificate>[] = [
  { id: 'kind', title: text.kind, cell: ({ kind }) => text.kinds[kind] },
  {
    id: 'subject',
    title: text.subject,
    cell: ({ subject, subjectAltNames }) => (
      <>
        {subject === null ? texts.unknown : <Name text={subject} most={100} />}
        {subjectAltNames.length > 0 && (
          <div class="quiet">
            <Name text={subjectAltNames.join(', ')} most={300} />
          </div>
        )}
      </>
    ),
  },
  {
    id: 'issuer',
    title: text.issuer,
    cell: ({ issuer }) => (issuer === null ? texts.unknown : <Name text={issuer} most={100} />),
  },
  { id: 'left', title: text.left, cell: (certificate) => <Left certificate={certificate} /> },
  { id: 'until', title: text.until, cell: ({ validUntil }) => <Moment at={validUntil} /> },
  { id: 'listener', title: text.listener, cell: ({ listener }) => <Name text={listener} most={60} /> },
  {
    id: 'file',
    title: text.file,
    cell: ({ file, setting }) => (
      <>
        <Name text={file} most={160} /> <span class="quiet">{setting}</span>
      </>
    ),
  },
];

export function Certificates() {
  const asked = useAnswer('certificates list', {}, { everyMs: 10_000 });
  return (
    <Answered of={asked}>
      {({ certificates }) => (
        <div class="stack">
          <div class="bar">
            <Action
              label={text.renew.label}
              command="certificates renew"
              request={{}}
              done={({ count }) => text.renew.done(number(count))}
              onDone={asked.ask}
            />
          </div>
          <Table
            caption={tabs.certificates}
            columns={columns}
            rows={certificates}
            keyOf={({ listener, setting, subject }, at) => `${listener} ${setting} ${subject} ${at}`}
          >
            {certificates.length === 0 && <Empty title={text.none}>{text.noneMeans}</Empty>}
          </Table>
        </div>
      )}
    </Answered>
  );
}
