/** What happens with this client from now on, packet by packet. */
import { useState } from 'preact/hooks';
import { mayCall } from '../../api/rights.ts';
import { useAnswer } from '../../app/queries.ts';
import { number, time } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { Failed, Loading } from '../../parts/states.tsx';
import { TraceEvents } from '../../parts/trace.tsx';
import { texts } from '../../texts.ts';

const { trace: text } = texts.client;
const everyMs = 3_000;
const durationsMinutes = [1, 10, 60] as const;

export function ClientTrace({ clientId }: { readonly clientId: string }) {
  const { answer, error, ask } = useAnswer('traces list', {}, { everyMs });
  if (error !== null && answer === undefined) return <Failed error={error} again={ask} />;
  if (answer === undefined) return <Loading />;
  // The newest is the last one; one that has ended can be read for a while.
  const found = answer.items.filter((each) => each.clientId === clientId).at(-1);
  return (
    <div class="page">
      {found === undefined || !found.isActive ? (
        <Start clientId={clientId} onDone={ask} />
      ) : (
        <div class="bar">
          <p>
            <span class="badge ok">{text.goesOn}</span> {text.until(time(found.endsAt), number(found.events))}
          </p>
          <Action
            label={text.stop}
            command="traces stop"
            request={{ id: found.id }}
            done={({ events }) => text.stopped(number(events))}
            onDone={ask}
          />
        </div>
      )}
      {found !== undefined && !found.isActive && <p class="hint">{text.ended(time(found.endsAt))}</p>}
      {found !== undefined && found.omitted > 0 && <p class="note">{text.omitted(number(found.omitted))}</p>}
      {found !== undefined && mayCall('traces events') && <TraceEvents key={found.id} id={found.id} onEnd={ask} />}
    </div>
  );
}

function Start({ clientId, onDone }: { readonly clientId: string; readonly onDone: () => void }) {
  const [minutes, setMinutes] = useState<number>(10);
  const [payloads, setPayloads] = useState(false);
  return (
    <div class="card">
      <p>{text.what}</p>
      <div class="bar">
        <label class="inline">
          {text.howLong}
          <select value={minutes} onChange={({ currentTarget }) => setMinutes(Number(currentTarget.value))}>
            {durationsMinutes.map((each) => (
              <option key={each} value={each}>
                {text.minutes(each)}
              </option>
            ))}
          </select>
        </label>
        <label class="inline">
          <input
            type="checkbox"
            checked={payloads}
            onChange={({ currentTarget }) => setPayloads(currentTarget.checked)}
          />
          {text.payloads}
        </label>
        <Action
          label={text.start}
          command="traces start"
          request={{ clientId, forMs: minutes * 60_000, payloads }}
          done={() => text.started}
          onDone={onDone}
        />
      </div>
    </div>
  );
}
