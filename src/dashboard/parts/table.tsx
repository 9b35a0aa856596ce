/**
 * Rows with columns to choose, and the arrow keys from row to row. It shows what it is given: a few hundred rows at
 * most, which `paged-table.tsx` sees to.
 */
import type { ComponentChildren } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { recall, remember } from '../app/remembered.ts';
import { texts } from '../texts.ts';
import { Icon } from './icon.tsx';
import { Popover } from './popover.tsx';

export interface Column<Row> {
  readonly id: string;
  readonly title: string;
  /** What it says, for whoever points at its title. */
  readonly what?: string;
  readonly cell: (row: Row) => ComponentChildren;
  readonly isNumber?: boolean;
  /** Shown until the reader chooses otherwise. Default: true. */
  readonly isUsual?: boolean;
  /** It cannot be left out. */
  readonly isFixed?: boolean;
}

interface TableProps<Row> {
  /** For whoever does not see where it stands. */
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row, index: number) => string | number;
  /** Where a row leads: its first cell becomes a link. */
  readonly linkOf?: (row: Row) => string;
  /** Under which the choice of columns is remembered; without it there is none. */
  readonly name?: string;
  /** Above the table, beside the choice of columns. */
  readonly tools?: ComponentChildren;
  readonly isBusy?: boolean;
  /** In place of rows. */
  readonly children?: ComponentChildren;
}

export function Table<Row>(props: TableProps<Row>) {
  const { caption, columns, rows, keyOf, linkOf, name, tools, isBusy = false, children } = props;
  const [shown, choose] = useColumns(name, columns);
  const body = useRef<HTMLTableSectionElement>(null);
  const visible = columns.filter(({ id }) => shown.includes(id));
  return (
    <div class="table-frame" aria-busy={isBusy}>
      {(tools !== undefined || name !== undefined) && (
        <div class="table-tools">
          {tools}
          {name !== undefined && <ColumnChoice columns={columns} shown={shown} choose={choose} />}
        </div>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what can be scrolled must be so by the keyboard */}
      <section class="table-scroll" aria-label={caption} tabIndex={0}>
        <table>
          <caption class="unseen">{caption}</caption>
          <thead>
            <tr>
              {visible.map(({ id, title, what, isNumber }) => (
                <th key={id} scope="col" class={isNumber ? 'number' : undefined} title={what}>
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody ref={body} onKeyDown={(event) => moveFocus(event, body.current!)}>
            {rows.map((row, at) => (
              <tr key={keyOf(row, at)}>
                {visible.map(({ id, cell, isNumber }, index) => (
                  <td key={id} class={isNumber ? 'number' : undefined}>
                    {index === 0 && linkOf !== undefined ? <a href={linkOf(row)}>{cell(row)}</a> : cell(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
        {children}
      </section>
    </div>
  );
}

/** From the link of a row to that of another one. */
function moveFocus(event: KeyboardEvent, body: HTMLElement): void {
  const links = [...body.querySelectorAll<HTMLElement>('tr > td:first-child > a')];
  const at = links.indexOf(document.activeElement as HTMLElement);
  if (at < 0) return;
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  links[Math.max(0, Math.min(links.length - 1, to))]!.focus();
}

function useColumns<Row>(name: string | undefined, columns: readonly Column<Row>[]) {
  const key = `columns.${name}`;
  const [shown, setShown] = useState(() => {
    const known = name === undefined ? null : recall(key);
    const chosen = known?.split(',');
    const isShown = ({ id, isFixed = false, isUsual = true }: Column<Row>) =>
      isFixed || (chosen?.includes(id) ?? isUsual);
    return columns.filter(isShown).map(({ id }) => id);
  });
  const choose = (id: string, isShown: boolean) => {
    const next = isShown ? [...shown, id] : shown.filter((each) => each !== id);
    setShown(next);
    remember(key, next.join(','));
  };
  return [shown, choose] as const;
}

interface ColumnChoiceProps<Row> {
  readonly columns: readonly Column<Row>[];
  readonly shown: readonly string[];
  readonly choose: (id: string, isShown: boolean) => void;
}

function ColumnChoice<Row>({ columns, shown, choose }: ColumnChoiceProps<Row>) {
  return (
    <Popover
      label={texts.table.columns}
      class="button"
      button={
        <>
          <Icon name="columns" />
          {texts.table.columns}
        </>
      }
    >
      <fieldset class="choices">
        <legend>{texts.table.columns}</legend>
        {columns.map(({ id, title, isFixed = false }) => (
          <label key={id}>
            <input
              type="checkbox"
              checked={shown.includes(id)}
              disabled={isFixed}
              onChange={({ currentTarget }) => choose(id, currentTarget.checked)}
            />
            {title}
          </label>
        ))}
      </fieldset>
    </Popover>
  );
}
