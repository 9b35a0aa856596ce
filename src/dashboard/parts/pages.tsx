/** Below a list that is shown page by page: what of it is shown, and the way to the rest. */
import { number } from '../format.ts';
import { texts } from '../texts.ts';
import { Icon } from './icon.tsx';

interface PagesProps {
  /** Of the rows that are shown, from 1. */
  readonly from: number;
  readonly to: number;
  /** Null: there is nothing that way. */
  readonly onFirst: (() => void) | null;
  readonly onPrevious: (() => void) | null;
  readonly onNext: (() => void) | null;
}

export function Pages({ from, to, onFirst, onPrevious, onNext }: PagesProps) {
  return (
    <nav class="pages" aria-label={texts.table.pages}>
      <span role="status">{texts.table.range(number(from), number(to))}</span>
      <button type="button" class="button" disabled={onFirst === null} onClick={() => onFirst?.()}>
        <Icon name="first" />
        {texts.table.first}
      </button>
      <button type="button" class="button" disabled={onPrevious === null} onClick={() => onPrevious?.()}>
        <Icon name="left" />
        {texts.table.previous}
      </button>
      <button type="button" class="button" disabled={onNext === null} onClick={() => onNext?.()}>
        {texts.table.next}
        <Icon name="right" />
      </button>
    </nav>
  );
}
