/** One retained message: what is in it, and how to be rid of it. */
import type { AnswerOf } from '../../api/client.ts';
import { goTo, linkTo } from '../../app/address.tsx';
import { useDecoded } from '../../app/decoded.ts';
import { useAnswer } from '../../app/queries.ts';
import { bytes, bytesOfBase64 } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { Answered } from '../../parts/answered.tsx';
import { Row, UserProperties } from '../../parts/details.tsx';
import { cut, Name, visible } from '../../parts/name.tsx';
import { Payload } from '../../parts/payload.tsx';
import { Loading } from '../../parts/states.tsx';
import { texts } from '../../texts.ts';
import { linkToTopic } from '../topics/tree.ts';

const { retained: text, titles } = texts;

type Message = AnswerOf<'retained show'>;

export function RetainedMessage({ topic }: { readonly topic: string }) {
  const asked = useAnswer('retained show', { topic });
  return (
    <div class="page">
      <nav class="trail" aria-label={text.back}>
        <a href="#/retained">{titles.retained}</a>
      </nav>
      <header class="page-head">
        <h1>
          <Name text={topic} most={200} />
        </h1>
        {asked.answer !== undefined && (
          <div class="actions">
            <Action
              label={text.delete.label}
              command="retained delete"
              request={{ topic }}
              isDangerous
              confirm={{
                title: text.delete.title,
                text: (
                  <>
                    <p>
                      <Name text={topic} />
                    </p>
                    <p>{text.delete.text}</p>
                  </>
                ),
              }}
              done={() => text.delete.done(visible(cut(topic, 80)))}
              onDone={() => goTo('#/retained')}
            />
          </div>
        )}
      </header>
      <Answered of={asked} absent={{ title: text.notRetained, text: text.notRetainedMeans }}>
        {(message) => <Shown message={message} />}
      </Answered>
      <p class="links">
        <a href={linkToTopic(topic)}>{text.toTopic}</a>
        <a href={linkTo(['console'], { topic })}>{text.change}</a>
      </p>
    </div>
  );
}

function Shown({ message }: { readonly message: Message }) {
  const read = useDecoded(message);
  const { qos, contentType, responseTopic, messageExpirySeconds, userProperties } = message;
  return (
    <div class="columns">
      <section class="card">
        <h2>{text.message}</h2>
        {read === null ? <Loading /> : <Payload read={read} label={text.message} />}
      </section>
      <section class="card">
        <h2>{text.properties}</h2>
        <dl class="details">
          <Row name={text.size}>{bytes(bytesOfBase64(message.payload))}</Row>
          <Row name={text.qos}>{qos}</Row>
          {contentType !== null && <Row name={text.contentType}>{<Name text={contentType} />}</Row>}
          {responseTopic !== null && <Row name={text.responseTopic}>{<Name text={responseTopic} />}</Row>}
          {messageExpirySeconds !== null && <Row name={text.expiry}>{text.seconds(String(messageExpirySeconds))}</Row>}
          <UserProperties name={text.userProperty} properties={userProperties} />
        </dl>
      </section>
    </div>
  );
}
