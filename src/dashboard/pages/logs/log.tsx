/** The broker's own log as it is written, and how much of it is. */
import { useState } from 'preact/hooks';
import type { AnswerOf, RequestOf } from '../../api/client.ts';
import { address, setQuery } from '../../app/address.tsx';
import { useNewest } from '../../app/newest.ts';
import { number, time } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { oneOf, optionsOf, SelectField } from '../../parts/fields.tsx';
import { Hold } from '../../parts/hold.tsx';
import { Moment } from '../../parts/moment.tsx';
import { cut, Name, visible } from '../../parts/name.tsx';
import { Search } from '../../parts/search.tsx';
import { Empty, Failed } from '../../parts/states.tsx';
import { texts } from '../../texts-operation.ts';

const { logs: text } = texts;

type Line = AnswerOf<'log tail'>;
type Level = Line['level'];
type Part = NonNullable<Line['part']>;

const pastMost = 300;
const parts = [{ value: '', title: text.anyPart }, ...optionsOf(text.parts)] as const;
const kinds: Readonly<Record<Level, string>> = { debug: 'faint', info: '', warn: 'odd', error: 'bad' };

export function LogTab() {
  const { query } = address.value;
  const level = oneOf<Level>(text.levels, query.level) ?? 'info';
  const part = oneOf<Part>(text.parts, query.part);
  const { q = '' } = query;
  const [isHeld, setHeld] = useState(false);
  const request = { level, part, contains: q || null, past: pastMost };
  const { events: lines, omitted, error } = useNewest('log tail', isHeld ? null : request);
  return (
    <div class="stack">
      <div class="table-tools">
        <Search value={q} label={text.contains} onSearch={(found) => setQuery({ q: found })} />
        <SelectField
          label={text.level}
          isBare
          value={level}
          options={optionsOf(text.levels)}
          onChange={(chosen) => setQuery({ level: chosen === 'info' ? null : chosen })}
        />
        <SelectField
          label={text.part}
          isBare
          value={part ?? ''}
          options={parts}
          onChange={(chosen) => setQuery({ part: chosen })}
        />
        <Hold isHeld={isHeld} onChange={setHeld} />
        <LevelChange />
      </div>
      {omitted > 0 && <p class="note">{texts.tooSlow(number(omitted))}</p>}
      {error !== null ? (
        <Failed error={error} />
      ) : lines.length === 0 ? (
        <Empty title={text.noLines}>{text.noLinesMeans}</Empty>
      ) : (
        <ol class="events" aria-label={text.lines}>
          {lines.map((line) => (
            <li key={line.number} class={`event ${kinds[line.level]}`}>
              <Moment at={line.time} isExact />
              <strong>
                {text.lineLevels[line.level]}
                {line.part !== null && <span class="quiet"> {text.parts[line.part]}</span>}
              </strong>
              <div class="wrap">
                {visible(cut(line.message, 1_000))} {line.fields !== '{}' && <Name text={line.fields} most={1_000} />}
              </div>
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

type Change = RequestOf<'log level'>;

function LevelChange() {
  const { change } = text;
  const [request, setRequest] = useState<Change>({ level: 'debug', part: null, forSeconds: 600 });
  const [now, setNow] = useState<AnswerOf<'log level'> | null>(null);
  const set = (changed: Partial<Change>) => setRequest((before) => ({ ...before, ...changed }));
  return (
    <>
      <Action
        label={change.label}
        command="log level"
        request={request}
        confirm={{
          title: change.title,
          text: <p>{change.text}</p>,
          options: (
            <>
              <SelectField
                label={change.level}
                value={request.level}
                options={optionsOf(change.levels)}
                onChange={(level) => set({ level })}
              />
              <SelectField
                label={change.part}
                value={request.part ?? ''}
                options={parts}
                onChange={(part) => set({ part: part || null })}
              />
              <SelectField
                label={change.howLong}
                value={String(request.forSeconds)}
                options={optionsOf(texts.durations)}
                onChange={(seconds) => set({ forSeconds: Number(seconds) })}
              />
            </>
          ),
        }}
        done={(answer) => describe(answer).join('; ')}
        onDone={setNow}
      />
      {now !== null && (
        <p class="level" role="status">
          {change.now} {describe(now).join('; ')}
        </p>
      )}
    </>
  );
}

/** What is written now, of everything and then of parts that differ. */
function describe({ level, until, parts: own }: AnswerOf<'log level'>): string[] {
  const { change } = text;
  const titleOf = (name: typeof level) => (name === 'trace' ? change.trace : change.levels[name]);
  const all = until === null ? change.asConfigured(titleOf(level)) : change.done(titleOf(level), time(until));
  return [
    all,
    ...own.map((each) => change.of(text.parts[each.part], change.done(titleOf(each.level), time(each.until)))),
  ];
}
