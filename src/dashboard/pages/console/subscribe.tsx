/** Messages as they come: the last ones are kept, and the reader may hold still. */
import { useRef, useState } from 'preact/hooks';
import type { AnswerOf } from '../../api/client.ts';
import { address } from '../../app/address.tsx';
import { useEvents } from '../../app/queries.ts';
import { exactTime, number, time } from '../../format.ts';
import { CommandLine } from '../../parts/command-line.tsx';
import { cut, Name, visible } from '../../parts/name.tsx';
import { Payload } from '../../parts/payload.tsx';
import { Empty, explain, Loading } from '../../parts/states.tsx';
import { texts } from '../../texts.ts';
import { subscribeLinesOf } from './message.ts';

const { console: text } = texts;

type Message = NonNullable<AnswerOf<'messages stream'>['message']>;

interface Received {
  readonly number: number;
  readonly at: number;
  readonly message: Message;
}

const keptMost = 200;
/** Drawn anew this often at most. */
const drawMs = 250;
const decodes = Object.keys(text.decodes) as readonly (keyof typeof text.decodes)[];

interface Wanted {
  readonly filter: string[];
  readonly decode: string;
}

export function Subscriptions() {
  const [filters, setFilters] = useState(address.value.query.filter ?? '');
  const [decode, setDecode] = useState<string>('auto');
  const [wanted, setWanted] = useState<Wanted | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const given = filters.split('\n').filter((line) => line !== '');
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    setProblem(null);
    setWanted(wanted === null ? { filter: given, decode } : null);
  };
  const ended = (words: string) => {
    setProblem(words);
    setWanted(null);
  };
  return (
    <section class="card">
      <h2>{text.subscribe}</h2>
      <form class="form" onSubmit={submit}>
        <label>
          {text.filters}
          <textarea
            rows={2}
            required
            disabled={wanted !== null}
            value={filters}
            spellcheck={false}
            dir="auto"
            onInput={({ currentTarget }) => setFilters(currentTarget.value)}
          />
        </label>
        <div class="form-row">
          <label class="choice">
            {text.decode}
            <select
              value={decode}
              disabled={wanted !== null}
              onChange={({ currentTarget }) => setDecode(currentTarget.value)}
            >
              {decodes.map((each) => (
                <option key={each} value={each}>
                  {text.decodes[each]}
                </option>
              ))}
            </select>
          </label>
          <button type="submit" class={wanted === null ? 'button filled' : 'button'}>
            {wanted === null ? text.subscribe : text.unsubscribe}
          </button>
        </div>
      </form>
      {problem !== null && (
        <p class="error wrap" role="alert">
          {visible(cut(problem, 400))}
        </p>
      )}
      {given.length > 0 && (
        <details>
          <summary>{text.copyAs}</summary>
          {subscribeLinesOf(given).map((line) => (
            <CommandLine key={line} command={line} />
          ))}
        </details>
      )}
      {wanted === null ? (
        <Empty title={text.notSubscribed} />
      ) : (
        <Messages key={JSON.stringify(wanted)} wanted={wanted} onEnd={ended} />
      )}
    </section>
  );
}

interface MessagesProps {
  readonly wanted: Wanted;
  readonly onEnd: (why: string) => void;
}

function Messages({ wanted, onEnd }: MessagesProps) {
  const { shown, counts, isHeld, hold, clear } = useMessages(wanted, onEnd);
  return (
    <>
      <div class="form-row">
        <button type="button" class="button" aria-pressed={isHeld} onClick={() => hold(!isHeld)}>
          {isHeld ? text.goOn : text.pause}
        </button>
        <button type="button" class="button" onClick={clear}>
          {text.clear}
        </button>
        <p class="quiet">
          {text.shown(number(counts.came))} {counts.dropped > 0 && text.dropped(number(counts.dropped))}
        </p>
      </div>
      {shown.length === 0 && <Loading what={text.waiting} />}
      <ul class="messages" aria-label={text.messages}>
        {shown.map(({ number: key, at, message }) => (
          <li key={key}>
            <details>
              <summary>
                <time title={exactTime(at)}>{time(at)}</time> <Name text={message.topic} most={60} />
                {message.retain && <span class="badge">{text.retained}</span>}
                <span class="quiet">{visible(cut(message.payload, 100))}</span>
              </summary>
              <Payload read={message} label={text.payload} />
              <Facts message={message} />
            </details>
          </li>
        ))}
      </ul>
    </>
  );
}

function Facts({ message }: { readonly message: Message }) {
  const { qos, contentType, responseTopic, correlationData, messageExpirySeconds, userProperties } = message;
  const facts: [string, string][] = [
    [text.qos, String(qos)],
    ...(contentType === null ? [] : [[text.contentType, contentType] as [string, string]]),
    ...(responseTopic === null ? [] : [[text.responseTopic, responseTopic] as [string, string]]),
    ...(correlationData === null ? [] : [[text.correlation, correlationData] as [string, string]]),
    ...(messageExpirySeconds === null ? [] : [[text.expiry, String(messageExpirySeconds)] as [string, string]]),
    ...userProperties.slice(0, 50).map((property) => {
      const [name = '', value = ''] = property as readonly string[];
      return [name, value] as [string, string];
    }),
  ];
  return (
    <dl class="details">
      {facts.map(([name, value], at) => (
        <div key={at}>
          <dt>
            <Name text={name} most={60} />
          </dt>
          <dd class="wrap">
            <Name text={value} most={400} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** The newest first. */
function useMessages(wanted: Wanted, onEnd: (why: string) => void) {
  const kept = useRef<readonly Received[]>([]);
  const counts = useRef({ came: 0, dropped: 0 });
  const drawing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const held = useRef(false);
  const [isHeld, setHeld] = useState(false);
  const [shown, setShown] = useState<readonly Received[]>([]);
  const draw = () => {
    drawing.current ??= setTimeout(() => {
      drawing.current = undefined;
      if (!held.current) setShown(kept.current);
    }, drawMs);
  };
  useEvents(
    'messages stream',
    { filter: wanted.filter, decode: wanted.decode },
    {
      onEvent: ({ event, message, count, reason }) => {
        if (event === 'ended' && reason !== 'closed') return onEnd(text.ended(reason ?? ''));
        if (event === 'dropped') counts.current.dropped += count ?? 0;
        if (message === null) return;
        const received = { number: ++counts.current.came, at: Date.now(), message };
        kept.current = [received, ...kept.current].slice(0, keptMost);
        draw();
      },
      onError: (error) => onEnd(explain(error).detail),
    },
  );
  return {
    shown,
    counts: counts.current,
    isHeld,
    hold(isStill: boolean) {
      held.current = isStill;
      setHeld(isStill);
      if (!isStill) setShown(kept.current);
    },
    clear() {
      kept.current = [];
      counts.current = { came: 0, dropped: 0 };
      setShown([]);
    },
  };
}
