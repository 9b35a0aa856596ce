/** What the lists of drops say of each. */
import type { AnswerOf } from '../../api/client.ts';
import { mayCall } from '../../api/rights.ts';
import { linkTo } from '../../app/address.tsx';
import { exactTime, number, time } from '../../format.ts';
import { Publisher } from '../../parts/client-name.tsx';
import { Name } from '../../parts/name.tsx';
import { reasonText } from '../../parts/reason.ts';
import type { Column } from '../../parts/table.tsx';
import { texts } from '../../texts.ts';

const { happened: text } = texts;

export type Drop = AnswerOf<'drops list'>['items'][number];

export const keyOfDrop = (drop: Drop, index: number) => `${drop.time} ${drop.reason} ${index}`;

export const dropColumns: readonly Column<Drop>[] = [
  {
    id: 'time',
    title: text.time,
    // Of the first, by which the list is ordered.
    cell: ({ time: first, lastTime, count }) => (
      <span title={count > 1 ? `${exactTime(first)} – ${exactTime(lastTime)}` : exactTime(first)}>{time(first)}</span>
    ),
  },
  { id: 'count', title: text.count, isNumber: true, cell: ({ count }) => number(count) },
  {
    id: 'reason',
    title: text.reason,
    cell: ({ reason, kind }) => {
      const badge = <span class={kind === 'dropped' ? 'badge warning' : 'badge critical'}>{reasonText(reason)}</span>;
      const isKept = reason === 'quarantined' && mayCall('quarantine list');
      return isKept ? <a href={linkTo(['pipelines'], { tab: 'quarantine' })}>{badge}</a> : badge;
    },
  },
  { id: 'topic', title: text.topic, cell: ({ topic }) => (topic === null ? '–' : <Name text={topic} most={60} />) },
  { id: 'publisher', title: text.publisher, cell: (drop) => <Publisher publisher={drop.publisher} /> },
  {
    id: 'recipient',
    title: text.recipient,
    cell: ({ recipient }) =>
      recipient === null ? (
        '–'
      ) : (
        <a href={linkTo(['clients', recipient])}>
          <Name text={recipient} most={40} />
        </a>
      ),
  },
  { id: 'detail', title: text.detail, cell: ({ detail }) => <Name text={detail} most={160} isProse /> },
];
