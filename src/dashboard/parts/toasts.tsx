/**
 * What was just done, in a corner, for some seconds, and then in `deeds.tsx`; what failed stays until it is read.
 */
import { signal } from '@preact/signals';
import { texts } from '../texts.ts';
import { rememberDeed } from './deeds.tsx';
import { Icon } from './icon.tsx';
import { explain } from './states.tsx';

interface Toast {
  readonly id: number;
  readonly kind: 'done' | 'failed';
  readonly title: string;
  readonly detail: string;
}

const toasts = signal<readonly Toast[]>([]);
const shownMs = 8_000;
const most = 4;
let last = 0;

export function tellDone(title: string, detail = ''): void {
  rememberDeed(title, detail);
  const { id } = add({ kind: 'done', title, detail });
  setTimeout(() => dismiss(id), shownMs);
}

export function tellFailed(error: Error): void {
  const { title, detail, remedy } = explain(error);
  add({ kind: 'failed', title, detail: `${detail} ${remedy}`.trim() });
}

function add(toast: Omit<Toast, 'id'>): Toast {
  const added = { ...toast, id: ++last };
  toasts.value = [...toasts.peek(), added].slice(-most);
  return added;
}

const dismiss = (id: number): void => {
  toasts.value = toasts.peek().filter((each) => each.id !== id);
};

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, kind, title, detail }) => (
        <div key={id} class={`toast ${kind}`}>
          <Icon name={kind === 'done' ? 'check' : 'warning'} />
          <div>
            <p class="state-title wrap">{title}</p>
            {detail !== '' && <p class="wrap">{detail}</p>}
          </div>
          <button type="button" class="icon-button" aria-label={texts.close} onClick={() => dismiss(id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
