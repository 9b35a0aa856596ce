/** A question that must be answered before anything else is done. */
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';

interface DialogProps {
  readonly title: string;
  /** Also by Escape. */
  readonly onClose: () => void;
  readonly children: ComponentChildren;
  /** Buttons, the one that does nothing first: where there is nothing to fill in, it has the focus. */
  readonly actions: ComponentChildren;
  /** By a button that submits, or Enter, once what is to be filled in is. */
  readonly onSubmit: () => void;
}

export function Dialog({ title, onClose, children, actions, onSubmit }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const opener = document.activeElement;
    dialog.current!.showModal();
    // Whoever opened it goes on where they were.
    return () => (opener as HTMLElement | null)?.focus?.();
  }, []);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    onSubmit();
  };
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      <form onSubmit={submit}>
        <div class="dialog-body">{children}</div>
        <div class="dialog-actions">{actions}</div>
      </form>
    </dialog>
  );
}
