/** What the broker knows of a client, its session and its connection. */
import type { AnswerOf } from '../../api/client.ts';
import { bytes, duration, number } from '../../format.ts';
import { Row } from '../../parts/details.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Name } from '../../parts/name.tsx';
import { texts } from '../../texts.ts';

const { details: text } = texts.client;

type ClientView = AnswerOf<'clients show'>;

export function ClientDetails({ client }: { readonly client: ClientView }) {
  return (
    <div class="columns">
      <section class="card">
        <h2>{text.session}</h2>
        <dl class="details">
          <Row name={text.username}>{client.username === null ? text.none : <Name text={client.username} />}</Row>
          {client.groups.length > 0 && <Row name={text.groups}>{client.groups.join(', ')}</Row>}
          <Row name={text.version}>{texts.clients.versions[client.protocolVersion]}</Row>
          <Row name={text.expiry}>
            {client.expirySeconds === null ? texts.clients.never : duration(client.expirySeconds)}
          </Row>
          <Row name={text.queued}>
            {text.messages(number(client.queuedMessages))} · {bytes(client.queuedBytes)}
          </Row>
          <Row name={text.inFlight}>{text.inFlightText(number(client.inFlight), number(client.receivedInFlight))}</Row>
          <Row name={text.memory}>{bytes(client.memoryBytes)}</Row>
          {client.node !== undefined && <Row name={texts.clients.columns.node.title}>{client.node}</Row>}
          <Row name={text.will}>
            {client.will === null ? (
              text.none
            ) : (
              <>
                <Name text={client.will.topic} /> · {text.willText(client.will.qos, bytes(client.will.payloadBytes))}
              </>
            )}
          </Row>
        </dl>
      </section>
      <section class="card">
        <h2>{text.connection}</h2>
        {client.connection === null ? <LastConnection client={client} /> : <Connection client={client} />}
      </section>
    </div>
  );
}

function Connection({ client: { connection } }: { readonly client: ClientView }) {
  const { address, listener, transport, tls, connectedAt, keepAliveSeconds, publishing, isCongested, memoryBytes } =
    connection!;
  return (
    <dl class="details">
      <Row name={text.address}>{address}</Row>
      <Row name={text.listener}>{listener}</Row>
      <Row name={text.transport}>
        {text.transports[transport]}
        {tls !== null && ` · ${tls}`}
      </Row>
      {connectedAt !== null && (
        <Row name={text.connectedAt}>
          <Moment at={connectedAt} />
        </Row>
      )}
      <Row name={text.keepAlive}>{keepAliveSeconds === 0 ? text.noKeepAlive : duration(keepAliveSeconds)}</Row>
      <Row name={text.publishing}>{text.messages(number(publishing))}</Row>
      <Row name={text.reads}>
        {isCongested ? <span class="badge warning">{text.congested}</span> : <span class="badge ok">{text.flows}</span>}
      </Row>
      <Row name={text.memory}>{bytes(memoryBytes)}</Row>
    </dl>
  );
}

function LastConnection({ client }: { readonly client: ClientView }) {
  return (
    <dl class="details">
      <Row name={text.state}>{text.isAway}</Row>
      {client.address !== null && <Row name={text.lastAddress}>{client.address}</Row>}
      {client.disconnectedAt !== null && (
        <Row name={text.disconnectedAt}>
          <Moment at={client.disconnectedAt} />
        </Row>
      )}
      <Row name={text.reason}>{client.disconnectReason ?? text.notKnown}</Row>
    </dl>
  );
}
