/** What is in a message, as the broker has read it. */
import { texts } from '../texts.ts';
import { cut, visible } from './name.tsx';

const { payload: text } = texts;

export interface ReadPayload {
  readonly payload: string;
  readonly encoding: 'json' | 'text' | 'base64' | 'hex';
  readonly format: string | null;
  readonly decodeError: string | null;
}

/** Of a format that the configuration names, its own name. */
const kindOf = ({ format, encoding }: ReadPayload): string =>
  format === null ? text.encodings[encoding] : ((text.formats as Readonly<Record<string, string>>)[format] ?? format);

const longestShown = 20_000;

/** On one line, for tables. */
export function PayloadLine({ read, most = 80 }: { readonly read: ReadPayload; readonly most?: number }) {
  if (read.payload === '') return <span class="quiet">{text.empty}</span>;
  return (
    <bdi class="name" title={kindOf(read)}>
      {visible(cut(read.payload, most))}
    </bdi>
  );
}

/** All of it. */
export function Payload({ read, label }: { readonly read: ReadPayload; readonly label: string }) {
  const kind = kindOf(read);
  return (
    <div class="payload">
      <TextBlock label={label} text={read.payload} />
      <p class="quiet">
        {read.payload === '' ? text.empty : text.readAs(kind)}
        {read.decodeError !== null && ` · ${visible(cut(read.decodeError, 300))}`}
      </p>
    </div>
  );
}

interface TextBlockProps {
  readonly label: string;
  readonly text: string;
}

/** A text of several lines, which can be scrolled. */
export const TextBlock = ({ label, text: all }: TextBlockProps) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: what can be scrolled must be so by the keyboard
  <section class="payload-text" aria-label={label} tabIndex={0}>
    <pre dir="auto">{lines(cut(all, longestShown))}</pre>
  </section>
);

/** Ends of lines and tabs stay what they are. */
const lines = (all: string) =>
  all
    .split(/(\r?\n|\t)/)
    .map((part) => (/^[\r\n\t]+$/.test(part) ? part : visible(part)))
    .join('');
