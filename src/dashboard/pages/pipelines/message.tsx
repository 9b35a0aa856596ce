/** One message of the quarantine: what is in it, and why it could not be handled. */
import type { AnswerOf } from '../../api/client.ts';
import { ProblemError } from '../../api/problem.ts';
import { goTo, linkTo } from '../../app/address.tsx';
import { useDecoded } from '../../app/decoded.ts';
import { useAnswer } from '../../app/queries.ts';
import { bytes, number } from '../../format.ts';
import { Row } from '../../parts/details.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Name, visible } from '../../parts/name.tsx';
import { Payload } from '../../parts/payload.tsx';
import { Empty, Failed, Loading } from '../../parts/states.tsx';
import { texts } from '../../texts.ts';
import { texts as own } from '../../texts-operation.ts';
import { DropAction, ReplayAction } from './quarantine.tsx';

const { quarantine: text } = own.pipelines;
const propertiesMost = 50;

type Message = AnswerOf<'quarantine show'>;

export function QuarantinedMessage({ id }: { readonly id: number }) {
  const { answer: message, error, ask } = useAnswer('quarantine show', { id });
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
        {message !== undefined && (
          <div class="actions">
            <ReplayAction label={text.replay.one} ids={[id]} count="1" asks={false} onDone={leave} />
            <DropAction label={text.drop.one} ids={[id]} count="1" onDone={leave} />
          </div>
        )}
      </header>
      {message !== undefined ? (
        <Shown message={message} />
      ) : error === null ? (
        <Loading />
      ) : error instanceof ProblemError && error.problem.kind === 'not-found' ? (
        <Empty title={text.notThere}>{text.notThereMeans}</Empty>
      ) : (
        <Failed error={error} again={ask} />
      )}
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
          {message.userProperties.slice(0, propertiesMost).map((property, at) => {
            const [name = '', value = ''] = property as readonly string[];
            return (
              <Row key={at} name={text.userProperty}>
                <Name text={name} most={60} /> = <Name text={value} />
              </Row>
            );
          })}
        </dl>
      </section>
    </div>
  );
}
