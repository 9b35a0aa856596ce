/** Rows of a `<dl class="details">`: what something is called, and what it is. */
import type { ComponentChildren } from 'preact';

export function Row({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="wrap">{children}</dd>
    </div>
  );
}
