/** What a component shows of the broker: asked for when it appears, as often as it wants, and when it is back. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { type AnswerOf, call, type RequestOf } from '../api/client.ts';
import { returns, unanswered } from '../api/connection.ts';
import type { CommandName } from '../api/operations.ts';
import { AwayError, isAbort } from '../api/problem.ts';
import { events } from '../api/stream.ts';

export interface Answered<Answer> {
  /** The last one; undefined before the first, and while another request is under way. */
  readonly answer: Answer | undefined;
  readonly error: Error | null;
  readonly ask: () => void;
}

/** `request` null: nothing is asked. `everyMs`: while the page is seen. */
export function useAnswer<Name extends CommandName>(
  name: Name,
  request: RequestOf<Name> | null,
  { everyMs = 0 }: { readonly everyMs?: number } = {},
): Answered<AnswerOf<Name>> {
  const key = JSON.stringify(request);
  const [state, setState] = useState<{ key: string; answer?: AnswerOf<Name>; error: Error | null }>({
    key,
    error: null,
  });
  const [asked, setAsked] = useState(0);
  const epoch = returns.value;
  const current = useRef(request);
  current.current = request;
  // The request is compared by what is in it.
  // The question is on its way while what stands there meanwhile is drawn.
  useLayoutEffect(() => {
    if (current.current === null) return;
    const left = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      try {
        const answer = await call(name, current.current!, left.signal);
        setState({ key, answer, error: null });
      } catch (error) {
        if (isAbort(error)) return;
        setState((before) => ({ ...(before.key === key ? before : { key }), error: error as Error }));
        // It is asked again when the broker is back.
        if (error instanceof AwayError) return;
      }
      if (everyMs > 0) timer = setTimeout(askOnceSeen, everyMs);
    };
    const askOnceSeen = () => {
      if (document.visibilityState === 'visible') return void ask();
      document.addEventListener('visibilitychange', askOnceSeen, { once: true, signal: left.signal });
    };
    void ask();
    return () => {
      left.abort();
      clearTimeout(timer);
    };
  }, [name, key, everyMs, epoch, asked]);
  const isCurrent = state.key === key;
  return {
    answer: isCurrent ? state.answer : undefined,
    error: isCurrent ? state.error : null,
    ask: () => setAsked((before) => before + 1),
  };
}

/**
 * Opens a stream while the component is there and the page is seen, and again when the broker is back. `onOpen` comes
 * before its first event. `onError`: it was refused, and is not opened again.
 */
export function useEvents<Name extends CommandName>(
  name: Name,
  request: RequestOf<Name> | null,
  handlers: {
    readonly onOpen?: () => void;
    readonly onEvent: (event: AnswerOf<Name>) => void;
    /** The broker has ended it. Absent: it goes on for ever, so that means that the broker stops. */
    readonly onEnd?: () => void;
    readonly onError?: (error: Error) => void;
  },
): void {
  const key = JSON.stringify(request);
  const epoch = returns.value;
  const current = useRef({ request, handlers });
  current.current = { request, handlers };
  // The request is compared by what is in it.
  useEffect(() => {
    if (current.current.request === null) return;
    let left = new AbortController();
    const open = async () => {
      const { signal } = left;
      try {
        current.current.handlers.onOpen?.();
        for await (const event of events(name, current.current.request!, signal))
          current.current.handlers.onEvent(event);
        if (current.current.handlers.onEnd !== undefined) current.current.handlers.onEnd();
        // It goes on for ever, so the broker is about to stop.
        else unanswered();
      } catch (error) {
        if (!signal.aborted && !(error instanceof AwayError)) current.current.handlers.onError?.(error as Error);
      }
    };
    const look = () => {
      left.abort();
      if (document.visibilityState !== 'visible') return;
      left = new AbortController();
      void open();
    };
    look();
    document.addEventListener('visibilitychange', look);
    return () => {
      document.removeEventListener('visibilitychange', look);
      left.abort();
    };
  }, [name, key, epoch]);
}
