/** The broker does not answer: since when, and when it is asked again. */
import { useEffect, useState } from 'preact/hooks';
import { connection, tryNow } from '../api/connection.ts';
import { duration, time } from '../format.ts';
import { Icon } from '../parts/icon.tsx';
import { texts } from '../texts.ts';

export function Away() {
  const now = connection.value;
  const left = useSecondsUntil(now.state === 'away' ? now.triesAt : null);
  return (
    <div role="status">
      {now.state === 'away' && (
        <div class="away">
          <Icon name="warning" />
          <p>
            <strong>{texts.away.title}</strong> {texts.away.since(time(now.since))}
          </p>
          {/* Not read out every second. */}
          <p class="away-next" aria-hidden="true">
            {left === null ? texts.away.trying : texts.away.next(duration(left))}
          </p>
          <button type="button" class="button" disabled={left === null} onClick={tryNow}>
            {texts.away.tryNow}
          </button>
        </div>
      )}
    </div>
  );
}

function useSecondsUntil(at: number | null): number | null {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (at === null) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [at]);
  return at === null ? null : Math.max(1, Math.round((at - now) / 1_000));
}
