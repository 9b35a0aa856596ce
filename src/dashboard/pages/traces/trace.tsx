/** One trace: its events, as they come. */
import { useAnswer } from '../../app/queries.ts';
import { number, time } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { Answered } from '../../parts/answered.tsx';
import { Name } from '../../parts/name.tsx';
import { Empty } from '../../parts/states.tsx';
import { TraceEvents } from '../../parts/trace.tsx';
import { texts } from '../../texts.ts';
import { texts as own } from '../../texts-operation.ts';
import { kindOf, TraceState, type TraceView } from './traces.tsx';

const { traces: text } = own;
const everyMs = 3_000;

export function Trace({ id }: { readonly id: string }) {
  const asked = useAnswer('traces list', {}, { everyMs });
  return (
    <div class="page" key={id}>
      <nav aria-label={text.trail}>
        <a href="#/traces">{texts.titles.traces}</a>
      </nav>
      <Answered of={asked}>
        {({ items }) => {
          const trace = items.find((each) => each.id === id);
          if (trace !== undefined) return <Shown trace={trace} ask={asked.ask} />;
          return (
            <>
              <h1>{texts.titles.trace}</h1>
              <Empty title={text.notThere}>{text.notThereMeans}</Empty>
            </>
          );
        }}
      </Answered>
    </div>
  );
}

interface ShownProps {
  readonly trace: TraceView;
  readonly ask: () => void;
}

function Shown({ trace, ask }: ShownProps) {
  const { id, isActive, endsAt, events, omitted } = trace;
  const kind = kindOf(trace);
  return (
    <>
      <header class="page-head">
        <h1>
          {text.kinds[kind]} <Name text={trace[kind] ?? ''} most={200} />
        </h1>
        <TraceState isActive={isActive} />
        <p class="quiet">{(isActive ? text.until : text.endedAt)(time(endsAt), number(events))}</p>
        {isActive && (
          <div class="actions">
            <Action
              label={text.stop.label}
              command="traces stop"
              request={{ id }}
              done={(ended) => text.stop.done(number(ended.events))}
              onDone={ask}
            />
          </div>
        )}
      </header>
      {omitted > 0 && <p class="note">{text.omittedMeans(number(omitted))}</p>}
      <TraceEvents id={id} onEnd={ask} />
    </>
  );
}
