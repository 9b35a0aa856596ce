/** One bridge: what it is at, how it is set, and what can be done about it. */
import type { AnswerOf } from '../../api/client.ts';
import { mayCall } from '../../api/rights.ts';
import { address, goTo, linkTo } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { bytes, number } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { Answered } from '../../parts/answered.tsx';
import { Row } from '../../parts/details.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Name, visible } from '../../parts/name.tsx';
import { TextBlock } from '../../parts/payload.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { tellDone } from '../../parts/toasts.tsx';
import { texts } from '../../texts.ts';
import { texts as own } from '../../texts-operation.ts';
import { BridgeState } from './bridges.tsx';
import { BridgeForm } from './form.tsx';
import type { Settings } from './more-settings.ts';
import type { Topic } from './topics.tsx';

const { bridges: text } = own;
const everyMs = 2_000;

type Shown = AnswerOf<'bridges show'>;

export function Bridge({ name }: { readonly name: string }) {
  const asked = useAnswer('bridges show', { name }, { everyMs });
  const { answer: bridge, ask } = asked;
  const isChanged = address.value.query.change !== undefined;
  return (
    <div class="page" key={name}>
      <nav aria-label={text.trail}>
        <a href="#/bridges">{texts.titles.bridges}</a>
      </nav>
      <header class="page-head">
        <h1>
          <Name text={name} most={200} />
        </h1>
        {bridge !== undefined && <BridgeState bridge={bridge} />}
        {bridge !== undefined && !isChanged && <Actions bridge={bridge} onDone={ask} />}
      </header>
      <Answered of={asked} absent={{ title: text.notThere, text: text.notThereMeans }}>
        {(shown) =>
          isChanged ? (
            <BridgeForm
              settings={shown.settings as unknown as Settings}
              command="bridges change"
              backTo={linkTo(['bridges', name])}
              onDone={() => {
                tellDone(text.change.done(visible(name)));
                ask();
                goTo(linkTo(['bridges', name]));
              }}
            />
          ) : (
            <Details bridge={shown} />
          )
        }
      </Answered>
    </div>
  );
}

function Actions({ bridge, onDone }: { readonly bridge: Shown; readonly onDone: () => void }) {
  const { name, state, queued, isConfigured } = bridge;
  const shownName = visible(name);
  return (
    <div class="actions">
      {state === 'stopped' ? (
        <Action
          label={text.resume.label}
          command="bridges resume"
          request={{ name }}
          done={() => text.resume.done(shownName)}
          onDone={onDone}
        />
      ) : (
        <Action
          label={text.pause.label}
          command="bridges pause"
          request={{ name }}
          done={() => text.pause.done(shownName)}
          onDone={onDone}
        />
      )}
      {!isConfigured && mayCall('bridges change') && (
        <a class="button" href={linkTo(['bridges', name], { change: 'yes' })}>
          {text.change.label}
        </a>
      )}
      {!isConfigured && (
        <Action
          label={text.delete.label}
          command="bridges remove"
          request={{ name }}
          isDangerous
          confirm={{ title: text.delete.title, text: <p>{text.delete.text(number(queued))}</p> }}
          done={({ dropped }) => text.delete.done(shownName, number(dropped))}
          onDone={() => goTo('#/bridges')}
        />
      )}
    </div>
  );
}

const topicColumns: readonly Column<Topic>[] = [
  { id: 'filter', title: text.filter, cell: ({ filter = '#' }) => <Name text={filter} /> },
  { id: 'direction', title: text.direction, cell: ({ direction = 'out' }) => text.directions[direction] },
  { id: 'qos', title: text.qos, isNumber: true, cell: ({ qos = 0 }) => qos },
  { id: 'local', title: text.localPrefix, cell: ({ localPrefix = '' }) => <Name text={localPrefix} /> },
  { id: 'remote', title: text.remotePrefix, cell: ({ remotePrefix = '' }) => <Name text={remotePrefix} /> },
  { id: 'retain', title: text.retain, cell: ({ retain = 'keep' }) => text.retains[retain] },
  { id: 'forward', title: text.forward, cell: ({ forward = 'all' }) => text.forwards[forward] },
  { id: 'priority', title: text.priority, isNumber: true, cell: ({ priority = 0 }) => priority },
  { id: 'pipeline', title: text.pipeline, cell: ({ pipeline = '' }) => <Name text={pipeline} /> },
];
const topicsMost = 200;

function Details({ bridge }: { readonly bridge: Shown }) {
  const { topics } = bridge.settings as unknown as Settings;
  return (
    <>
      <div class="columns">
        <section class="card">
          <h2>{text.connection}</h2>
          <dl class="details">
            {bridge.problem !== null && <Row name={text.problem}>{visible(bridge.problem)}</Row>}
            {bridge.node !== undefined && <Row name={text.node}>{bridge.node}</Row>}
            {bridge.standbys !== undefined && <Row name={text.standbys}>{bridge.standbys.join(', ')}</Row>}
            <Row name={text.address}>
              <Name text={bridge.address} />
            </Row>
            {bridge.version !== null && <Row name={text.version}>{bridge.version}</Row>}
            {bridge.version !== null && <Row name={text.peer}>{bridge.isSluice ? text.isSluice : text.isOther}</Row>}
            <Row name={text.since}>
              <Moment at={bridge.since} />
            </Row>
            <Row name={text.connects}>{text.times(number(bridge.connects))}</Row>
            <Row name={text.origin}>{text.origins[bridge.isConfigured ? 'configuration' : 'command']}</Row>
          </dl>
        </section>
        <section class="card">
          <h2>{text.messages}</h2>
          <dl class="details">
            <Row name={text.queued}>{text.count(number(bridge.queued), bytes(bridge.queuedBytes))}</Row>
            <Row name={text.inFlight}>{number(bridge.inFlight)}</Row>
            <Row name={text.out}>{text.count(number(bridge.messagesOut), bytes(bridge.bytesOut))}</Row>
            <Row name={text.in}>{text.count(number(bridge.messagesIn), bytes(bridge.bytesIn))}</Row>
            <Row name={text.skipped}>
              {number(bridge.skipped)} <span class="quiet">{text.skippedMeans}</span>
            </Row>
            <Row name={text.quarantined}>{number(bridge.quarantined)}</Row>
          </dl>
        </section>
      </div>
      {bridge.refusedFilters.length > 0 && (
        <section class="note">
          <p>{text.refused}</p>
          <ul>
            {bridge.refusedFilters.slice(0, topicsMost).map((each) => (
              <li key={each}>
                <Name text={each} most={300} />
              </li>
            ))}
          </ul>
        </section>
      )}
      <h2>{text.topics}</h2>
      <Table caption={text.topics} columns={topicColumns} rows={topics.slice(0, topicsMost)} keyOf={(_, at) => at} />
      <details>
        <summary>{text.settings}</summary>
        <TextBlock label={text.settings} text={JSON.stringify(bridge.settings, null, 2)} />
      </details>
    </>
  );
}
