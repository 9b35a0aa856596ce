/** Several views of one thing, one of which is shown. The arrow keys go from one to the next. */
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import type { CommandName } from '../api/operations.ts';
import { mayCall } from '../api/rights.ts';

export interface Tab {
  readonly id: string;
  readonly title: string;
  readonly count?: string;
  /** Who may not give this command does not see the tab. */
  readonly needs?: CommandName;
  readonly body: () => ComponentChildren;
}

interface TabsProps {
  readonly label: string;
  readonly tabs: readonly Tab[];
  readonly chosen: string;
  readonly onChoose: (id: string) => void;
}

export function Tabs({ label, tabs: all, chosen, onChoose }: TabsProps) {
  const prefix = useId();
  const tabs = all.filter(({ needs }) => needs === undefined || mayCall(needs));
  const shown = tabs.find(({ id }) => id === chosen) ?? tabs[0]!;
  const move = (event: KeyboardEvent) => {
    const at = tabs.indexOf(shown);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const { id } = tabs[(to + tabs.length) % tabs.length]!;
    onChoose(id);
    document.getElementById(`${prefix}-${id}`)?.focus();
  };
  return (
    <section class="tabbed">
      <div class="tabs" role="tablist" aria-label={label} onKeyDown={move}>
        {tabs.map(({ id, title, count }) => (
          <button
            key={id}
            type="button"
            role="tab"
            id={`${prefix}-${id}`}
            aria-selected={id === shown.id}
            aria-controls={`${prefix}-panel`}
            tabIndex={id === shown.id ? 0 : -1}
            onClick={() => onChoose(id)}
          >
            {title}
            {count !== undefined && <span class="count">{count}</span>}
          </button>
        ))}
      </div>
      <div key={shown.id} role="tabpanel" id={`${prefix}-panel`} aria-labelledby={`${prefix}-${shown.id}`}>
        {shown.body()}
      </div>
    </section>
  );
}
