/** What the broker has answered; until then that it is on its way, or why there is none. */
import type { ComponentChildren } from 'preact';
import { ProblemError } from '../api/problem.ts';
import type { Answered as Asked } from '../app/queries.ts';
import { Empty, Failed, Loading } from './states.tsx';

interface AnsweredProps<Answer> {
  readonly of: Asked<Answer>;
  /** What to say if there is no such thing; without it, that is a failure like others. */
  readonly absent?: { readonly title: string; readonly text: string };
  readonly children: (answer: Answer) => ComponentChildren;
}

export function Answered<Answer>({ of: { answer, error, ask }, absent, children }: AnsweredProps<Answer>) {
  if (answer !== undefined) return <>{children(answer)}</>;
  if (error === null) return <Loading />;
  if (absent !== undefined && error instanceof ProblemError && error.problem.kind === 'not-found') {
    return <Empty title={absent.title}>{absent.text}</Empty>;
  }
  return <Failed error={error} again={ask} />;
}
