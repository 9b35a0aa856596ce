/** One message of the quarantine: what is in it, and why it could not be handled. */
import type { AnswerOf } from '../../api/client.ts';
import { goTo, linkTo } from '../../app/address.tsx';
import { useDecoded } from '../../app/decoded.ts';
import { useAnswer } from '../../app/queries.ts';
import { bytes, number } from '../../format.ts';
import { Answered } from '../../parts/answered.tsx';
import { Row, UserProperties } from '../../parts/details.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Name, visible } from '../../parts/name.tsx';
import { Payload } from '../../parts/payload.tsx';
import { Loading } from '../../parts/states.tsx';
import { texts } from '../../texts.ts';
import { texts as own } from '../../texts-operation.ts';
import { DropAction, ReplayAction } from './quarantine.tsx';

const { quarantine: text } = own.pipelines;

type Message = AnswerOf<'quarantine show'>;

export function QuarantinedMessage({ id }: { readonly id: number }) {
  const asked = useAnswer('quarantine show', { id });
  const back = linkTo(['pipelines'], { tab: 'quarantine' });
  const leave = () => goTo(back);
  return (
    <div class="page">
      <nav class="trail" aria-label={text.back}>
        <a href="#/pipelines">{texts.titles.pipelines}</a>
        <a href={back}>{text.back}</a>
      </nav>
      <header class="page-head">
        <h1>
          {text.message} {number(id)}
        </h1>
        {asked.answer !== undefined && (
          <div class="actions">
            <a class="button" href={linkTo(['pipelines'], { tab: 'try', quarantined: `${id}` })}>
              {text.tryIt}
            </a>
            <ReplayAction label={text.replay.one} ids={[id]} count="1" asks={false} onDone={leave} />
            <DropAction label={text.drop.one} ids={[id]} count="1" onDone={leave} />
          </div>
        )}
      </header>
      <Answered of={asked} absent={{ title: text.notThere, text: text.notThereMeans }}>
        {(message) => <Shown message={message} />}
      </Answered>
    </div>
  );
}

function Shown({ message }: { readonly message: Message }) {
  const read = useDecoded(message);
  const { clientId, username, contentType } = message;
  return (
    <div class="columns">
      <section class="card">
        <h2>{text.message}</h2>
        {read === null ? <Loading /> : <Payload read={read} label={text.message} />}
      </section>
      <section class="card">
        <h2>{text.what}</h2>
        <dl class="details">
          <Row name={text.reason}>{visible(message.reason)}</Row>
          <Row name={text.pipeline}>
            <Name text={message.pipeline} /> <span class="quiet">{message.stage}</span>
          </Row>
          <Row name={text.version}>{message.version}</Row>
          <Row name={text.time}>
            <Moment at={message.time} />
          </Row>
          <Row name={text.topic}>
            <Name text={message.topic} />
          </Row>
          {clientId !== null && (
            <Row name={text.publisher}>
              <a href={linkTo(['clients', clientId])}>
                <Name text={clientId} />
              </a>
            </Row>
          )}
          {username !== null && (
            <Row name={text.user}>
              <Name text={username} />
            </Row>
          )}
          <Row name={text.size}>{bytes(message.bytes)}</Row>
          <Row name={text.qos}>{message.qos}</Row>
          <Row name={text.retain}>{message.retain ? own.yes : own.no}</Row>
          {contentType !== undefined && (
            <Row name={text.contentType}>
              <Name text={contentType} />
            </Row>
          )}
          <UserProperties name={text.userProperty} properties={message.userProperties} />
        </dl>
      </section>
    </div>
  );
}
