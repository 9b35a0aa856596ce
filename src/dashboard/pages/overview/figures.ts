/** Figures of the broker over time: those that it has kept, and then live. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { type AnswerOf, call } from '../../api/client.ts';
import { returns } from '../../api/connection.ts';
import { isAbort } from '../../api/problem.ts';
import { useAnswer, useEvents } from '../../app/queries.ts';
import type { Explanation } from '../../parts/figure.tsx';

export const spans = ['minutes', 'hour', 'day'] as const;
export type Span = (typeof spans)[number];

type FigureView = AnswerOf<'figures list'>['items'][number];
export type FigureName = FigureView['name'];

export interface Figures {
  readonly stepSeconds: number;
  /** In milliseconds since the epoch, rising. */
  readonly times: readonly number[];
  /** By name, a value for each time; null: not known. */
  readonly values: Readonly<Record<string, readonly (number | null)[]>>;
}

export interface LiveFigures {
  /** Undefined until they have come. */
  readonly history: Figures | undefined;
  /** The newest ones, by name. */
  readonly now: Readonly<Record<string, number | null>>;
  readonly names: readonly FigureName[];
  readonly about: (name: FigureName) => Explanation;
  readonly error: Error | null;
}

/** Of one request. */
const namesMost = 24;
const unknown: Explanation = { what: '' };

export function useFigures(span: Span): LiveFigures {
  const { answer: list, error } = useAnswer('figures list', {});
  const names = list?.items.map(({ name }) => name) ?? [];
  const [history, setHistory] = useHistory(names, span);
  const [now, setNow] = useState<LiveFigures['now']>({});
  useEvents(
    'figures stream',
    {},
    {
      onEvent: ({ time, figures }) => {
        setNow(figures);
        setHistory((before) => (before === undefined ? before : withPoint(before, time, figures)));
      },
    },
  );
  const about = (name: FigureName): Explanation => {
    const found = list?.items.find((each) => each.name === name);
    return found === undefined ? unknown : { what: found.what, unit: found.unit, worry: found.worry ?? undefined };
  };
  return { history: history?.figures, now, names, about, error };
}

/** With what has come since the last point. */
interface Growing {
  readonly figures: Figures;
  readonly collected: readonly Readonly<Record<string, number | null>>[];
}

function useHistory(names: readonly FigureName[], span: Span) {
  const [growing, setGrowing] = useState<Growing | undefined>(undefined);
  const epoch = returns.value;
  const asked = useRef('');
  useLayoutEffect(() => {
    if (names.length === 0) return;
    const left = new AbortController();
    // What is of another span does not stand there meanwhile.
    if (asked.current !== span) setGrowing(undefined);
    asked.current = span;
    const parts = Array.from({ length: Math.ceil(names.length / namesMost) }, (_, index) =>
      names.slice(index * namesMost, (index + 1) * namesMost),
    );
    const ask = async () => {
      const answers = await Promise.all(
        parts.map((name) => call('figures history', { name: [...name], span }, left.signal)),
      );
      setGrowing({ figures: joined(answers), collected: [] });
    };
    ask().catch((error: unknown) => {
      // The page says that the broker is away, and asks again when it is back.
      if (!isAbort(error)) asked.current = '';
    });
    return () => left.abort();
  }, [names.join(), span, epoch]);
  return [growing, setGrowing] as const;
}

/** A point may have come between two of the answers: the times that all of them have. */
function joined(answers: readonly AnswerOf<'figures history'>[]): Figures {
  const [first, ...others] = answers;
  const times = first!.times.filter((time) => others.every((each) => each.times.includes(time)));
  const values: Record<string, (number | null)[]> = {};
  for (const answer of answers) {
    const places = times.map((time) => answer.times.indexOf(time));
    for (const [name, all] of Object.entries(answer.figures)) values[name] = places.map((place) => all[place] ?? null);
  }
  return { stepSeconds: first!.stepSeconds, times, values };
}

const pointsOf: Readonly<Record<number, number>> = { 2: 150, 10: 360, 60: 1_440 };

/** A point is the mean of what has come within its step. */
function withPoint({ figures, collected }: Growing, time: number, newest: Growing['collected'][number]): Growing {
  const { times, values, stepSeconds } = figures;
  const all = [...collected, newest];
  const last = times.at(-1);
  // Events come some milliseconds early or late.
  if (last !== undefined && time - last < stepSeconds * 1_000 - 500) return { figures, collected: all };
  const most = pointsOf[stepSeconds] ?? times.length;
  const next = Object.entries(values).map(([name, before]) => [name, [...before, meanOf(all, name)].slice(-most)]);
  const grown = { stepSeconds, times: [...times, time].slice(-most), values: Object.fromEntries(next) };
  return { figures: grown, collected: [] };
}

function meanOf(all: Growing['collected'], name: string): number | null {
  const known = all.flatMap((each) => each[name] ?? []);
  return known.length === 0 ? null : known.reduce((sum, each) => sum + each, 0) / known.length;
}
