/** `explain`: the way of a message that is not sent, step by step, up to where it stops. */
import type { AnswerOf, RequestOf } from '../../api/client.ts';
import { mayCall } from '../../api/rights.ts';
import { address, setQuery } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { number } from '../../format.ts';
import { ClientName, linkToClient } from '../../parts/client-name.tsx';
import { Icon } from '../../parts/icon.tsx';
import { Name, sentence } from '../../parts/name.tsx';
import { PagedTable } from '../../parts/paged-table.tsx';
import { Empty, Failed, Loading } from '../../parts/states.tsx';
import { Table } from '../../parts/table.tsx';
import { texts } from '../../texts.ts';
import { type Drop, dropColumns, keyOfDrop } from './columns.tsx';

const { happened: text } = texts;
const { form } = text;

type Explanation = AnswerOf<'explain'>;
const sinces = Object.keys(form.sinces) as unknown as readonly (keyof typeof form.sinces)[];

function requestOf(query: Readonly<Record<string, string>>): RequestOf<'explain'> | null {
  const { topic = '', from = '', to = '', qos = '0', retain, since = '3600' } = query;
  if (topic === '') return null;
  return {
    topic,
    from: from || null,
    to: to || null,
    qos: Number(qos) as 0 | 1 | 2,
    retain: retain === 'yes',
    sinceSeconds: Number(since),
  };
}

export function Explain() {
  const { query } = address.value;
  const request = requestOf(query);
  const { answer, error, ask } = useAnswer('explain', request);
  return (
    <div class="stack">
      <Question again={ask} />
      {request === null ? (
        <WithoutTopic to={query.to ?? ''} />
      ) : answer !== undefined ? (
        <Answer answer={answer} />
      ) : error !== null ? (
        <Failed error={error} again={ask} />
      ) : (
        <Loading />
      )}
    </div>
  );
}

/** Whoever does not know the topic may know the client: what it has subscribed to says more than nothing. */
function WithoutTopic({ to }: { readonly to: string }) {
  if (to === '') return <Empty title={text.askFirst}>{text.askFirstMeans}</Empty>;
  return (
    <section class="stack">
      <p>{text.wants}</p>
      <PagedTable
        caption={text.wantsTitle}
        command="subscriptions list"
        request={{ clientId: to }}
        columns={[
          { id: 'filter', title: text.wantsTitle, cell: ({ topicFilter }) => <Name text={topicFilter} /> },
          { id: 'qos', title: form.qos, isNumber: true, cell: ({ qos }) => qos },
        ]}
        keyOf={({ topicFilter }) => topicFilter}
        empty={<Empty title={text.wantsNothing} />}
      />
      <Refused to={to} />
    </section>
  );
}

/** It may have wanted more than it has. */
function Refused({ to }: { readonly to: string }) {
  const { answer } = useAnswer('clients timeline', mayCall('clients timeline') ? { clientId: to } : null);
  const refused = answer?.items.filter(({ event }) => event === 'subscribeRefused') ?? [];
  if (refused.length === 0) return null;
  return (
    <>
      <p>{text.wasRefused}</p>
      <ul class="names">
        {refused.map(({ topic, detail, time }) => (
          <li key={`${time} ${topic}`}>
            {topic !== null && <Name text={topic} />} <Name text={detail} most={500} isProse />
          </li>
        ))}
      </ul>
    </>
  );
}

function Question({ again }: { readonly again: () => void }) {
  const { topic = '', from = '', to = '', qos = '0', retain, since = '3600' } = address.value.query;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    const of = (name: string) => String(fields.get(name) ?? '') || null;
    const [asQos, asSince] = [of('qos'), of('since')];
    setQuery({
      ...{ topic: of('topic'), from: of('from'), to: of('to'), retain: of('retain') },
      ...{ qos: asQos === '0' ? null : asQos, since: asSince === '3600' ? null : asSince },
    });
    again();
  };
  return (
    <form class="card form" onSubmit={submit}>
      <label>
        {form.topic}
        <input
          name="topic"
          defaultValue={topic}
          key={topic}
          required
          spellcheck={false}
          dir="auto"
          autocomplete="off"
        />
      </label>
      <div class="form-row">
        <label>
          {form.from}
          <input name="from" defaultValue={from} key={from} placeholder={form.any} spellcheck={false} dir="auto" />
        </label>
        <label>
          {form.to}
          <input name="to" defaultValue={to} key={to} placeholder={form.everybody} spellcheck={false} dir="auto" />
        </label>
      </div>
      <div class="form-row">
        <label class="choice">
          {form.qos}
          <select name="qos" defaultValue={qos}>
            {['0', '1', '2'].map((each) => (
              <option key={each} value={each} selected={each === qos}>
                {each}
              </option>
            ))}
          </select>
        </label>
        <label class="choice">
          {form.since}
          <select name="since">
            {sinces.map((each) => (
              <option key={each} value={each} selected={String(each) === since}>
                {form.sinces[each]}
              </option>
            ))}
          </select>
        </label>
        <label class="check">
          <input type="checkbox" name="retain" value="yes" defaultChecked={retain === 'yes'} />
          {form.retain}
        </label>
        <button type="submit" class="button filled">
          {form.ask}
        </button>
      </div>
    </form>
  );
}

const icons = { passes: 'check', stops: 'critical', depends: 'warning' } as const;

function Answer({ answer }: { readonly answer: Explanation }) {
  const { arrives, conclusion, remedy, findings, drops, receivers } = answer;
  const state = { yes: 'ok', no: 'critical', depends: 'warning' }[arrives];
  return (
    <>
      <section class={`verdict ${state}`} role="status">
        <h2>{text.arrives[arrives]}</h2>
        {arrives !== 'yes' && <p class="wrap">{sentence(conclusion)}</p>}
        {remedy !== null && <p class="wrap">{remedy}</p>}
      </section>
      <ol class="findings">
        {findings.map(({ step, verdict, text: words, remedy: help }, at) => (
          <li key={at} class={verdict}>
            <Icon name={icons[verdict]} />
            <div>
              <span class="unseen">{text.verdicts[verdict]}: </span>
              <strong>{sentence(step)}</strong>
              <p class="wrap">{sentence(words)}</p>
              {help !== null && <p class="quiet wrap">{help}</p>}
            </div>
          </li>
        ))}
      </ol>
      {receivers !== null && <Receivers receivers={receivers} />}
      {drops !== null && (
        <section class="stack">
          <h2>{text.wereDropped}</h2>
          <Table caption={text.wereDropped} columns={dropColumns} rows={drops as readonly Drop[]} keyOf={keyOfDrop}>
            {drops.length === 0 && <Empty title={text.noneDropped} />}
          </Table>
        </section>
      )}
    </>
  );
}

function Receivers({ receivers }: { readonly receivers: NonNullable<Explanation['receivers']> }) {
  const { sessions, sharedGroups, clientIds } = receivers;
  return (
    <section>
      <p>{text.receivers(number(sessions), number(sharedGroups))}</p>
      <ul class="names">
        {clientIds.map((clientId) => (
          <li key={clientId}>
            <a href={linkToClient(clientId)}>
              <ClientName clientId={clientId} most={60} />
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
