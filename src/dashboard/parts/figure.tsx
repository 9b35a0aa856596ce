/** One figure that explains itself: what it is, in what unit, and when it calls for somebody. */
import type { ComponentChildren } from 'preact';
import { texts } from '../texts.ts';
import { Icon } from './icon.tsx';
import { Popover } from './popover.tsx';

export interface Explanation {
  readonly what: string;
  readonly unit?: string | undefined;
  /** When to worry; absent: it needs no watching. */
  readonly worry?: string | undefined;
}

interface FigureProps {
  readonly title: string;
  readonly value: ComponentChildren;
  /** Below it: what it comes to, or what it is made of. */
  readonly note?: ComponentChildren;
  readonly about: Explanation;
  readonly state?: 'ok' | 'warning' | 'critical';
  readonly link?: string;
}

export function Figure({ title, value, note, about, state = 'ok', link }: FigureProps) {
  return (
    <div class={`figure ${state}`}>
      <dt>
        {link === undefined ? title : <a href={link}>{title}</a>}
        <About title={title} about={about} />
      </dt>
      <dd class="figure-value">{value}</dd>
      {note !== undefined && <dd class="figure-note">{note}</dd>}
    </div>
  );
}

/** Of one among several that are told together. */
export interface TitledExplanation extends Explanation {
  readonly title: string;
}

interface AboutProps {
  readonly title: string;
  readonly about: Explanation | readonly TitledExplanation[];
}

/** A button that tells more. */
export function About({ title, about }: AboutProps) {
  const all: readonly TitledExplanation[] = 'what' in about ? [{ title, ...about }] : about;
  return (
    <Popover label={texts.about.label(title)} class="icon-button quiet" button={<Icon name="info" />}>
      {all.map(({ title: each, what, unit, worry }) => (
        <section key={each} class="about">
          <h3>{each}</h3>
          <dl>
            <dt>{texts.about.what}</dt>
            <dd>{what}</dd>
            {unit !== undefined && (
              <>
                <dt>{texts.about.unit}</dt>
                <dd>{unit}</dd>
              </>
            )}
            <dt>{texts.about.worry}</dt>
            <dd>{worry ?? texts.about.noWorry}</dd>
          </dl>
        </section>
      ))}
    </Popover>
  );
}
