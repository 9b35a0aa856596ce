/** Messages that a pipeline or a bridge could not handle: to be looked at, replayed and forgotten. */
import { useState } from 'preact/hooks';
import type { AnswerOf } from '../../api/client.ts';
import { linkTo } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { bytes, number } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { Answered } from '../../parts/answered.tsx';
import { ClientName, linkToClient } from '../../parts/client-name.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Name } from '../../parts/name.tsx';
import { Pages } from '../../parts/pages.tsx';
import { Empty } from '../../parts/states.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { texts } from '../../texts-operation.ts';

const { quarantine: text } = texts.pipelines;

type Entry = AnswerOf<'quarantine list'>['entries'][number];

const rowsMost = 50;

const columns: readonly Column<Entry>[] = [
  { id: 'number', title: text.number, cell: ({ id }) => id },
  { id: 'time', title: text.time, cell: ({ time }) => <Moment at={time} /> },
  { id: 'topic', title: text.topic, cell: ({ topic }) => <Name text={topic} most={80} /> },
  {
    id: 'publisher',
    title: text.publisher,
    cell: ({ clientId }) =>
      clientId === null ? (
        texts.unknown
      ) : (
        <a href={linkToClient(clientId)}>
          <ClientName clientId={clientId} most={40} />
        </a>
      ),
  },
  {
    id: 'pipeline',
    title: text.pipeline,
    cell: ({ pipeline, stage }) => (
      <>
        <Name text={pipeline} most={40} /> <span class="quiet">{stage}</span>
      </>
    ),
  },
  { id: 'reason', title: text.reason, cell: ({ reason }) => <Name text={reason} most={160} isProse /> },
  { id: 'size', title: text.size, isNumber: true, cell: (entry) => bytes(entry.bytes) },
];

/** Another `version`: there may be other messages. */
export function Quarantine({ version }: { readonly version: number }) {
  /** The number before each page, up to the one that is shown, and how many rows came before. */
  const [way, setWay] = useState([{ after: 0, rows: 0 }]);
  const [chosen, setChosen] = useState<readonly number[]>([]);
  const { after, rows } = way.at(-1)!;
  const asked = useAnswer('quarantine list', { after, limit: rowsMost }, { everyMs: 5_000 });
  const again = () => {
    setChosen([]);
    setWay([{ after: 0, rows: 0 }]);
    asked.ask();
  };
  const toggle = (id: number) =>
    setChosen((now) => (now.includes(id) ? now.filter((each) => each !== id) : [...now, id]));
  const choice: Column<Entry> = {
    id: 'choose',
    title: text.choose,
    cell: ({ id }) => (
      <input
        type="checkbox"
        aria-label={text.chooseOne(id)}
        checked={chosen.includes(id)}
        onChange={() => toggle(id)}
      />
    ),
  };
  return (
    <Answered of={asked}>
      {({ entries, count }) => (
        <div class="stack">
          {count > 0 && <Tools key={version} count={count} chosen={chosen} onDone={again} />}
          <Table
            caption={texts.pipelines.tabs.quarantine}
            columns={[columns[0]!, choice, ...columns.slice(1)]}
            rows={entries}
            keyOf={({ id }) => id}
            linkOf={({ id }) => linkTo(['pipelines'], { tab: 'quarantine', id: String(id) })}
          >
            {entries.length === 0 && <Empty title={text.none}>{text.noneMeans}</Empty>}
          </Table>
          {(way.length > 1 || entries.length < count) && (
            <Pages
              from={rows + 1}
              to={rows + entries.length}
              onFirst={way.length === 1 ? null : () => setWay(way.slice(0, 1))}
              onPrevious={way.length === 1 ? null : () => setWay(way.slice(0, -1))}
              onNext={
                rows + entries.length >= count || entries.length === 0
                  ? null
                  : () => setWay([...way, { after: entries.at(-1)!.id, rows: rows + entries.length }])
              }
            />
          )}
        </div>
      )}
    </Answered>
  );
}

interface ToolsProps {
  readonly count: number;
  readonly chosen: readonly number[];
  readonly onDone: () => void;
}

function Tools({ count, chosen, onDone }: ToolsProps) {
  const isSome = chosen.length > 0;
  const kind = isSome ? 'some' : 'all';
  const ids = isSome ? [...chosen] : ('all' as const);
  const many = number(isSome ? chosen.length : count);
  return (
    <div class="bar">
      {isSome && <span class="quiet">{text.chosen(many)}</span>}
      <ReplayAction label={text.replay[kind]} ids={ids} count={many} asks={!isSome} onDone={onDone} />
      <DropAction label={text.drop[kind]} ids={ids} count={many} onDone={onDone} />
    </div>
  );
}

interface QuarantineActionProps {
  readonly label: string;
  readonly ids: 'all' | number[];
  readonly count: string;
  readonly onDone: () => void;
}

const outcomes = ['published', 'dropped', 'rejected', 'quarantined'] as const;

/** Only what there is: four figures, three of which are 0, would hide what became of the messages. */
function outcomesText(counts: AnswerOf<'quarantine replay'>): string {
  const some = outcomes.filter((each) => counts[each] > 0);
  return some.map((each) => `${number(counts[each])} ${text.replay.outcomes[each]}`).join(', ') || text.replay.none;
}

export function ReplayAction({ label, ids, count, asks, onDone }: QuarantineActionProps & { readonly asks: boolean }) {
  return (
    <Action
      label={label}
      command="quarantine replay"
      request={{ ids }}
      {...(asks ? { confirm: { title: text.replay.title, text: <p>{text.replay.text(count)}</p> } } : {})}
      done={outcomesText}
      onDone={onDone}
    />
  );
}

export const DropAction = ({ label, ids, count, onDone }: QuarantineActionProps) => (
  <Action
    label={label}
    command="quarantine drop"
    request={{ ids }}
    isDangerous
    confirm={{ title: text.drop.title, text: <p>{text.drop.text(count)}</p> }}
    done={(answer) => text.drop.done(number(answer.count))}
    onDone={onDone}
  />
);
