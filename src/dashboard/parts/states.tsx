/** What stands where there is nothing to show: it is on its way, there is none, or it was refused. */
import type { ComponentChildren } from 'preact';
import { AwayError, ProblemError } from '../api/problem.ts';
import { texts } from '../texts.ts';
import { cut, visible } from './name.tsx';

export function Loading({ what = texts.states.loading }: { readonly what?: string }) {
  return (
    <p class="state loading" role="status">
      <span class="spinner" aria-hidden="true" />
      {what}
    </p>
  );
}

interface EmptyProps {
  readonly title: string;
  /** What would be here, or how it comes to be here. */
  readonly children?: ComponentChildren;
}

export function Empty({ title, children }: EmptyProps) {
  return (
    <div class="state empty">
      <p class="state-title">{title}</p>
      {children !== undefined && <p>{children}</p>}
    </div>
  );
}

interface FailedProps {
  readonly error: Error;
  readonly again?: (() => void) | undefined;
}

export function Failed({ error, again }: FailedProps) {
  const { title, detail, remedy } = explain(error);
  return (
    <div class="state failed" role="alert">
      <p class="state-title">{title}</p>
      <p class="wrap">{detail}</p>
      {remedy !== '' && <p>{remedy}</p>}
      {again !== undefined && (
        <button type="button" class="button" onClick={again}>
          {texts.states.again}
        </button>
      )}
    </div>
  );
}

/** The same beside what was tried. */
export function Problem({ error }: { readonly error: Error }) {
  const { detail, remedy } = explain(error);
  return (
    <p class="error wrap" role="alert">
      {visible(cut(`${detail} ${remedy}`.trim(), 1_000))}
    </p>
  );
}

/** In words, of whatever a request came to. */
export function explain(error: Error): { readonly title: string; readonly detail: string; readonly remedy: string } {
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof AwayError) return { title: texts.away.title, detail: texts.away.detail, remedy: '' };
  return { title: texts.states.bug, detail: error.message, remedy: texts.states.bugRemedy };
}
