/** A question that must be answered before anything else is done. */
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';

interface DialogProps {
  readonly title: string;
  /** Also by Escape. */
  readonly onClose: () => void;
  readonly children: ComponentChildren;
  /** Buttons, the one that does nothing first: it has the focus. */
  readonly actions: ComponentChildren;
}

export function Dialog({ title, onClose, children, actions }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const opener = document.activeElement;
    dialog.current!.showModal();
    // Whoever opened it goes on where they were.
    return () => (opener as HTMLElement | null)?.focus?.();
  }, []);
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      <div class="dialog-body">{children}</div>
      <div class="dialog-actions">{actions}</div>
    </dialog>
  );
}
