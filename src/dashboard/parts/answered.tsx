/** What the broker has answered; until then that it is on its way, or why there is none. */
import type { ComponentChildren } from 'preact';
import type { Answered as Asked } from '../app/queries.ts';
import { Failed, Loading } from './states.tsx';

interface AnsweredProps<Answer> {
  readonly of: Asked<Answer>;
  readonly children: (answer: Answer) => ComponentChildren;
}

export function Answered<Answer>({ of: { answer, error, ask }, children }: AnsweredProps<Answer>) {
  if (answer !== undefined) return <>{children(answer)}</>;
  return error === null ? <Loading /> : <Failed error={error} again={ask} />;
}
