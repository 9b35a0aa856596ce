/** Commands that answer event after event. */

import { type AnswerOf, openResponse, type RequestOf } from './client.ts';
import { unanswered } from './connection.ts';
import type { CommandName } from './operations.ts';
import { AwayError, isAbort, ProblemError } from './problem.ts';

/** The broker sends something every 15 s. */
const silenceMs = 40_000;

/** The events of one stream, until it ends. Rejects with an AwayError, a ProblemError, or as `signal` was aborted. */
export async function* events<Name extends CommandName>(
  name: Name,
  request: RequestOf<Name>,
  signal: AbortSignal,
): AsyncGenerator<AnswerOf<Name>> {
  const silence = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), silenceMs);
  };
  heard();
  try {
    const both = AbortSignal.any([signal, silence.signal]);
    const { body } = await openResponse(name, request, both, 'text/event-stream');
    const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      const lines = (rest + value).split('\n');
      rest = lines.pop()!;
      for (const line of lines) if (line.startsWith('data: ')) yield JSON.parse(line.slice(6)) as AnswerOf<Name>;
    }
  } catch (error) {
    if (signal.aborted || error instanceof ProblemError || error instanceof AwayError) throw error;
    if (!isAbort(error) || silence.signal.aborted) unanswered();
    throw new AwayError('the stream broke', { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
