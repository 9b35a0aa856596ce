/** A time: short, and in full for whoever points at it. */
import { clock, exactTime, time } from '../format.ts';

interface MomentProps {
  /** In milliseconds since the epoch. */
  readonly at: number;
  /** With milliseconds, and without the day. */
  readonly isExact?: boolean;
}

export function Moment({ at, isExact = false }: MomentProps) {
  return (
    <time dateTime={new Date(at).toISOString()} title={exactTime(at)}>
      {isExact ? clock(at) : time(at)}
    </time>
  );
}
