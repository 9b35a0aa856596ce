/** Something more behind a button, above the page, until something else is clicked or Escape is pressed. */
import type { ComponentChildren } from 'preact';
import { useId, useRef, useState } from 'preact/hooks';

interface PopoverProps {
  /** Of the button and of what it opens. */
  readonly label: string;
  readonly button: ComponentChildren;
  readonly class?: string;
  readonly children: ComponentChildren;
}

const gap = 6;

export function Popover({ label, button, class: kind = 'icon-button', children }: PopoverProps) {
  const id = useId();
  // There may be dozens on a page, of which one is open.
  const [isOpen, setOpen] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const place = () => {
    const { style, offsetWidth, offsetHeight } = box.current!;
    const { left, right, bottom, top } = opener.current!.getBoundingClientRect();
    const { clientWidth, clientHeight } = document.documentElement;
    const fromLeft = left + offsetWidth <= clientWidth - gap ? left : right - offsetWidth;
    style.left = `${Math.max(gap, Math.min(fromLeft, clientWidth - offsetWidth - gap))}px`;
    const hasRoomBelow = bottom + gap + offsetHeight <= clientHeight;
    style.top = `${Math.max(gap, hasRoomBelow ? bottom + gap : top - gap - offsetHeight)}px`;
  };
  return (
    <>
      <button ref={opener} type="button" class={kind} aria-label={label} popovertarget={id}>
        {button}
      </button>
      <div
        ref={box}
        id={id}
        class="popover"
        popover="auto"
        onBeforeToggle={(event) => setOpen(isOpening(event))}
        onToggle={(event) => isOpening(event) && place()}
      >
        {isOpen && children}
      </div>
    </>
  );
}

const isOpening = (event: Event) => (event as ToggleEvent).newState === 'open';
