/** Sends all clients away before maintenance, and takes them again. */
import { useState } from 'preact/hooks';
import { mayCall } from '../../api/rights.ts';
import { useAnswer } from '../../app/queries.ts';
import { duration, number } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { TextField } from '../../parts/fields.tsx';
import { texts } from '../../texts-operation.ts';

const { drain: text } = texts.listeners;

export function Drain() {
  const { answer: status, ask } = useAnswer('status', mayCall('status') ? {} : null, { everyMs: 5_000 });
  const [perSecond, setPerSecond] = useState('100');
  const [reference, setReference] = useState('');
  if (status?.phase === 'draining') {
    return (
      <div class="actions">
        <p class="note" role="status">
          {text.going}
        </p>
        <Action label={text.cancel} command="drain cancel" request={{}} done={() => text.cancelled} onDone={ask} />
      </div>
    );
  }
  return (
    <div class="actions">
      <Action
        label={text.label}
        command="drain"
        request={{ perSecond: Number(perSecond), serverReference: reference || null }}
        isDangerous
        confirm={{
          title: text.title,
          text: <p>{text.text}</p>,
          options: (
            <>
              <TextField
                label={text.perSecond}
                type="number"
                required
                min={1}
                max={10_000}
                value={perSecond}
                onChange={setPerSecond}
              />
              <TextField label={text.reference} hint={text.referenceHint} value={reference} onChange={setReference} />
            </>
          ),
        }}
        done={({ connected, expectedSeconds }) => text.done(number(connected), duration(expectedSeconds))}
        onDone={ask}
      />
    </div>
  );
}
