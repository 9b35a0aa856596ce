/** What calls for somebody, and what to do. */
import type { AnswerOf } from '../../api/client.ts';
import { linkTo } from '../../app/address.tsx';
import { exactTime, time } from '../../format.ts';
import { Icon } from '../../parts/icon.tsx';
import { texts } from '../../texts.ts';

const { alarms: text } = texts;

/** Where more of an alarm is seen. */
function Place({ of, about }: { readonly of: string; readonly about: string | null }) {
  const place = of.startsWith('bridge-') && about !== null ? linkTo(['bridges', about]) : places[of];
  return place === undefined ? null : <a href={place}>{text.see}</a>;
}

const places: Readonly<Record<string, string>> = {
  'queue-full': '#/happened?tab=drops',
  'certificate-expiring': '#/listeners?tab=certificates',
};

export function Alarms({ alarms }: { readonly alarms: AnswerOf<'status'>['alarms'] }) {
  if (alarms.length === 0) {
    return (
      <p class="all-well">
        <Icon name="check" />
        {text.none}
      </p>
    );
  }
  return (
    <section aria-label={text.title}>
      <ul class="alarms">
        {alarms.map(({ name, about, severity, since, text: what, remedy }) => (
          <li key={`${name} ${about}`} class={`alarm ${severity}`}>
            <Icon name={severity === 'critical' ? 'critical' : 'warning'} />
            <div>
              <p class="wrap">
                <strong class="alarm-severity">{text.severities[severity]}</strong> {what}
              </p>
              <p class="alarm-remedy wrap">
                {remedy}. <Place of={name} about={about} />
              </p>
            </div>
            <time dateTime={new Date(since).toISOString()} title={exactTime(since)}>
              {text.since(time(since))}
            </time>
          </li>
        ))}
      </ul>
    </section>
  );
}
