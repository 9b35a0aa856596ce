/** One retained message: what is in it, and how to be rid of it. */
import { useEffect, useState } from 'preact/hooks';
import { type AnswerOf, call } from '../../api/client.ts';
import { ProblemError } from '../../api/problem.ts';
import { goTo, linkTo } from '../../app/address.tsx';
import { useAnswer } from '../../app/queries.ts';
import { bytes } from '../../format.ts';
import { Action } from '../../parts/action.tsx';
import { Row } from '../../parts/details.tsx';
import { cut, Name, visible } from '../../parts/name.tsx';
import { Payload, type ReadPayload } from '../../parts/payload.tsx';
import { Empty, Failed, Loading } from '../../parts/states.tsx';
import { texts } from '../../texts.ts';
import { linkToTopic } from '../topics/tree.ts';

const { retained: text, titles } = texts;

type Message = AnswerOf<'retained show'>;

export function RetainedMessage({ topic }: { readonly topic: string }) {
  const { answer: message, error, ask } = useAnswer('retained show', { topic });
  return (
    <div class="page">
      <nav class="trail" aria-label={text.back}>
        <a href="#/retained">{titles.retained}</a>
      </nav>
      <header class="page-head">
        <h1>
          <Name text={topic} most={200} />
        </h1>
        {message !== undefined && (
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
        )}
      </header>
      {message !== undefined ? (
        <Shown message={message} />
      ) : error === null ? (
        <Loading />
      ) : error instanceof ProblemError && error.problem.kind === 'not-found' ? (
        <Empty title={text.notRetained}>{text.notRetainedMeans}</Empty>
      ) : (
        <Failed error={error} again={ask} />
      )}
      <p class="links">
        <a href={linkToTopic(topic)}>{text.toTopic}</a>
        <a href={linkTo(['console'], { topic })}>{text.change}</a>
      </p>
    </div>
  );
}

function Shown({ message }: { readonly message: Message }) {
  const read = useRead(message);
  const { qos, contentType, responseTopic, messageExpirySeconds, userProperties } = message;
  const size = Math.floor((message.payload.replaceAll('=', '').length * 3) / 4);
  return (
    <div class="columns">
      <section class="card">
        <h2>{text.message}</h2>
        {read === null ? <Loading /> : <Payload read={read} label={text.message} />}
      </section>
      <section class="card">
        <h2>{text.properties}</h2>
        <dl class="details">
          <Row name={text.size}>{bytes(size)}</Row>
          <Row name={text.qos}>{qos}</Row>
          {contentType !== null && <Row name={text.contentType}>{<Name text={contentType} />}</Row>}
          {responseTopic !== null && <Row name={text.responseTopic}>{<Name text={responseTopic} />}</Row>}
          {messageExpirySeconds !== null && <Row name={text.expiry}>{text.seconds(String(messageExpirySeconds))}</Row>}
          {userProperties.slice(0, propertiesMost).map((property, at) => {
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
const propertiesMost = 50;

/** What the broker makes of the payload; the bytes as they are, if it does not. */
function useRead({ topic, payload, contentType }: Message): ReadPayload | null {
  const [read, setRead] = useState<ReadPayload | null>(null);
  useEffect(() => {
    const left = new AbortController();
    call('messages decode', { topic, payload, contentType }, left.signal).then(setRead, (error: Error) => {
      if (left.signal.aborted) return;
      setRead({ payload, encoding: 'base64', format: null, decodeError: error.message });
    });
    return () => left.abort();
  }, [topic, payload, contentType]);
  return read;
}
