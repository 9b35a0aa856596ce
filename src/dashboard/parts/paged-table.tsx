/**
 * A list of the API page by page. The pages before stay at hand, some of them; a list that the broker has forgotten
 * meanwhile begins anew.
 */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type AnswerOf, call, type RequestOf } from '../api/client.ts';
import { returns } from '../api/connection.ts';
import type { CommandName } from '../api/operations.ts';
import { AwayError, isAbort, ProblemError } from '../api/problem.ts';
import { texts } from '../texts.ts';
import { Pages } from './pages.tsx';
import { Failed, Loading } from './states.tsx';
import { type Column, Table } from './table.tsx';

/** Commands that list something page by page. */
export type ListName = {
  [Name in CommandName]: AnswerOf<Name> extends { items: readonly unknown[]; cursor: string | null } ? Name : never;
}[CommandName];
export type ItemOf<Name extends ListName> = AnswerOf<Name> extends { items: readonly (infer Item)[] } ? Item : never;

const rowsMost = 50;
/** Pages that one may go back. */
const backMost = 8;

interface PagedTableProps<Name extends ListName> {
  readonly caption: string;
  readonly command: Name;
  readonly request: Omit<RequestOf<Name>, 'cursor' | 'limit'>;
  readonly columns: readonly Column<ItemOf<Name>>[];
  readonly keyOf: (row: ItemOf<Name>, index: number) => string | number;
  readonly linkOf?: (row: ItemOf<Name>) => string;
  readonly name?: string;
  readonly tools?: ComponentChildren;
  /** What stands there if there is none. */
  readonly empty: ComponentChildren;
  /** Another number: the first page is asked for anew, if that is shown. */
  readonly version?: number;
}

interface Page<Row> {
  readonly rows: readonly Row[];
  readonly cursor: string | null;
  /** Of the first row, from 1. */
  readonly from: number;
  /** Nodes of a cluster whose part is missing in it. */
  readonly missing: readonly Missing[];
}
interface Missing {
  readonly node: string;
  readonly why: string;
}

type State<Row> =
  | { readonly kind: 'loading' }
  /** `back`: pages before this one. */
  | { readonly kind: 'shown'; readonly page: Page<Row>; readonly back: readonly Page<Row>[] }
  | { readonly kind: 'failed'; readonly error: Error };

export function PagedTable<Name extends ListName>(props: PagedTableProps<Name>) {
  type Row = ItemOf<Name>;
  const { command, request, version = 0, empty, keyOf, ...shown } = props;
  const [state, setState] = useState<State<Row>>({ kind: 'loading' });
  const [isBusy, setBusy] = useState(true);
  const [asked, setAsked] = useState(0);
  const left = useRef(new AbortController());
  const key = JSON.stringify(request);
  const epoch = returns.value;

  const load = async (cursor: string | null, from: number, back: readonly Page<Row>[]) => {
    left.current.abort();
    left.current = new AbortController();
    const { signal } = left.current;
    setBusy(true);
    try {
      // What was found shows while the rest is looked through.
      const show = (page: Page<Row>) => setState({ kind: 'shown', page, back });
      show(await fill(command, request, cursor, from, signal, show));
    } catch (error) {
      if (isAbort(error)) return;
      if (error instanceof ProblemError && error.problem.kind === 'cursor-expired') return setAsked((n) => n + 1);
      // What is there stays, since it is asked again when the broker is back.
      setState((before) =>
        error instanceof AwayError && before.kind === 'shown' ? before : { kind: 'failed', error: error as Error },
      );
    }
    setBusy(false);
  };
  // The request is compared by what is in it.
  useEffect(() => {
    void load(null, 1, []);
    return () => left.current.abort();
  }, [command, key, asked, epoch]);
  const shownVersion = useRef(version);
  // Nothing else tells that there is something new
  useEffect(() => {
    // Whoever reads a later page is not thrown back to the first one.
    if (version !== shownVersion.current && state.kind === 'shown' && state.page.from === 1) void load(null, 1, []);
    shownVersion.current = version;
  }, [version]);

  if (state.kind === 'failed') return <Failed error={state.error} again={() => setAsked((n) => n + 1)} />;
  const { page, back } =
    state.kind === 'shown' ? state : { page: { rows: [], cursor: null, from: 1, missing: [] }, back: [] };
  const next = () => {
    if (page.cursor !== null) void load(page.cursor, page.from + page.rows.length, [...back, page].slice(-backMost));
  };
  const previous = () => setState({ kind: 'shown', page: back.at(-1)!, back: back.slice(0, -1) });
  return (
    <>
      {page.missing.map(({ node, why }) => (
        <p class="error wrap" role="alert" key={node}>
          {texts.table.without(node, why)}
        </p>
      ))}
      <Table {...shown} rows={page.rows} keyOf={keyOf} isBusy={isBusy}>
        {state.kind === 'loading' && <Loading />}
        {state.kind === 'shown' &&
          page.rows.length === 0 &&
          (isBusy ? <Loading what={texts.table.searching} /> : empty)}
      </Table>
      {(page.cursor !== null || page.from > 1) && (
        <Pages
          from={page.from}
          to={page.from + page.rows.length - 1}
          onFirst={page.from === 1 ? null : () => setAsked((n) => n + 1)}
          onPrevious={back.length === 0 ? null : previous}
          onNext={page.cursor === null || isBusy ? null : next}
        />
      )}
    </>
  );
}

/** Where few of many fit, the API gives short pages. */
async function fill<Name extends ListName>(
  command: Name,
  request: object,
  cursor: string | null,
  from: number,
  signal: AbortSignal,
  onPart: (page: Page<ItemOf<Name>>) => void,
): Promise<Page<ItemOf<Name>>> {
  const rows: ItemOf<Name>[] = [];
  const missing: Missing[] = [];
  let at = cursor;
  do {
    const asked = { ...request, cursor: at, limit: rowsMost - rows.length } as RequestOf<Name>;
    const page = (await call(command, asked, signal)) as unknown as {
      items: readonly ItemOf<Name>[];
      cursor: string | null;
      unanswered?: readonly Missing[];
    };
    missing.push(...(page.unanswered ?? []));
    rows.push(...page.items);
    at = page.cursor;
    if (at !== null && rows.length < rowsMost) onPart({ rows: [...rows], cursor: null, from, missing });
  } while (rows.length < rowsMost && at !== null);
  return { rows, cursor: at, from, missing };
}
