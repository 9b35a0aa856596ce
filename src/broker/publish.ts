/**
 * The way of a message from who publishes it to the core, where it is not as short as in `client-packets.ts`. It is
 * the same for a PUBLISH of a client, for its will, and for messages of the program and of the broker: the message
 * waits for the disk, passes hooks and pipeline, and gets the forms that classes of subscribers want. Nothing of it is
 * routed, stored or acknowledged before.
 */
import type { Rights } from '../contracts/access.ts';
import type { PipelineVerdict, StageEnd } from '../contracts/pipeline.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { Prepared } from '../core/prepared.ts';
import type { Message } from '../protocol/message.ts';
import { isFailure, ReasonCode } from '../protocol/reason-codes.ts';
import type { BrokerContext } from './broker-context.ts';
import { whenStoreKeepsUp, whenThereIsRoom, withAnswer } from './late-answers.ts';
import { isPiped, mayChange, messagesOf, opened, overBridge, Preparation } from './pipeline-messages.ts';
import type { Publisher } from './publisher.ts';
import { TracedPublisher } from './traced-publisher.ts';

/** A pipeline that does not say which of its stages it was. */
const aStep: StageEnd = { stage: 'a step of the pipeline', how: 'dropped', why: null };

const failed = { verdict: 'reject', reasonCode: ReasonCode.ImplementationSpecificError } as const;

/**
 * Ends, at once or later, with a call of `refused` or `published`, unless the publisher is gone meanwhile. `message`
 * owns its bytes. `wantsSpan`: whether it gets one; asked here if nobody has.
 */
export function publish(publisher: Publisher, message: Message, wantsSpan?: boolean): void {
  const { spans } = publisher.asker.context;
  if (spans === null || publisher.staysHere || !(wantsSpan ?? spans.wants(message))) {
    return publishWhenStorable(publisher, message);
  }
  const span = spans.begin(message, publisher.asker.identity);
  if (span === null) publishWhenStorable(publisher, message);
  else publishWhenStorable(new TracedPublisher(publisher, span), span.message);
}

function publishWhenStorable(publisher: Publisher, message: Message): void {
  const { asker, origin, waitsForDisk, passesHooks } = publisher;
  // What a pipeline makes of it is not known yet.
  const mayBeStored = publisher.bridgePipeline != null && asker.context.storeHealth.isStrained;
  const waits = waitsForDisk && (mayBeStored || mustWait(asker.context, origin, message, passesHooks));
  if (!waits) return authorize(publisher, message);
  whenStoreKeepsUp(asker, () => {
    if (publisher.isAbandoned) return;
    const code = publisher.ruledCode();
    if (isFailure(code)) publisher.refused(code, 'rules');
    else authorize(publisher, message);
  });
}

/** What the rules say of a message. Asked once more of one that had to wait: they may have changed meanwhile. */
export function ruledCode({ rights }: { readonly rights: Rights | null }, { topic, qos, retain }: Message): number {
  return rights?.publish(topic, qos, retain) ?? ReasonCode.Success;
}

/** Whether it is one message more that has to wait for the disk. */
export function mustWait(
  { core, store, pipeline, storeHealth, cluster }: BrokerContext,
  origin: ClientSession | null,
  message: Message,
  passesHooks: boolean,
): boolean {
  if (!storeHealth.isStrained) return false;
  // QoS 0 promises nothing: what of it is stored all the same waits only once too much does.
  if (message.qos === 0 && !store.isBehind) return false;
  // What the pipeline makes of it is not known yet, nor whether it ends in quarantine.
  if (passesHooks && mayChange(pipeline, core, message.topic)) return true;
  return cluster?.mayLog(message) === true || core.mustStore(message, origin);
}

function authorize(publisher: Publisher, message: Message): void {
  const { asker, passesHooks } = publisher;
  const { authorizePublish } = asker.context.hooks;
  if (!passesHooks || authorizePublish === undefined) return transform(publisher, message);
  const ask = () => authorizePublish(asker.identity!, message.topic, message.qos, message.retain);
  withAnswer<number>(asker, 'authorizePublish', ask, ReasonCode.NotAuthorized, (code) => {
    if (publisher.isAbandoned) return;
    if (isFailure(code)) publisher.refused(code, 'hook');
    else transform(publisher, message);
  });
}

function transform(publisher: Publisher, message: Message): void {
  const { asker, passesHooks } = publisher;
  const { context } = asker;
  const { pipeline } = context;
  const own = publisher.bridgePipeline ?? null;
  if (own === null && (!passesHooks || !isPiped(pipeline, message.topic))) return render(publisher, [message]);
  const seen = opened(message);
  const ask = () =>
    own === null
      ? pipeline.onPublish(asker.identity!, seen, context.journal.stageReport(asker.identity, message))
      : overBridge(pipeline, own, asker.identity!, seen, true);
  withAnswer<PipelineVerdict>(asker, 'onPublish', ask, failed, (verdict) => {
    if (publisher.isAbandoned) return;
    if (verdict.verdict === 'reject') {
      return publisher.refused(verdict.reasonCode, 'pipeline', verdict.reason, verdict.end?.stage);
    }
    if (verdict.verdict === 'drop') context.journal.endedInPipeline(message, verdict.end ?? aStep);
    buildMessages(publisher, message, messagesOf(verdict, message, seen, context));
  });
}

/** A script makes a thousand messages of one: so many of them in a step. */
const madePerStep = 16;

function buildMessages(publisher: Publisher, message: Message, wanted: Iterator<Message, void>): void {
  const { asker } = publisher;
  const { pipeline, core } = asker.context;
  const made: Message[] = [];
  /** Returns whether there are more. */
  const makeSome = (): boolean => {
    for (let left = madePerStep; left > 0; left--) {
      const { value: next } = wanted.next();
      if (next === undefined) return false;
      made.push(next);
      // All are asked about at one time in the end, so what takes long to find is remembered by then.
      isPiped(pipeline, next.topic);
      core.searchRoute(next.topic);
    }
    return true;
  };
  let problem: unknown = null;
  const makeStep = (): boolean => {
    try {
      return makeSome();
    } catch (err) {
      problem = err;
      return false;
    }
  };
  const whenMade = () => {
    if (publisher.isAbandoned) return;
    if (problem === null) return render(publisher, made);
    // The pipeline's mistake: the client must not pay for it with its connection.
    const fields = { client: asker.identity?.clientId, topic: message.topic.name, err: problem };
    asker.context.limitedLog.error('pipeline', fields, 'onPublish made an invalid message');
    publisher.refused(failed.reasonCode, 'pipeline', 'onPublish made an invalid message');
  };
  if (!makeStep()) return whenMade();
  const rest = () => new Promise<void>((resolve) => asker.inSteps(makeStep, resolve));
  withAnswer<void>(asker, 'onPublish', rest, undefined, whenMade);
}

/** Each class of subscribers gets its form. While one is made, somebody of another class may have subscribed. */
function render(publisher: Publisher, messages: readonly Message[]): void {
  const { asker } = publisher;
  const preparation = new Preparation(asker.context, messages);
  const routeWhenMade = () => {
    if (publisher.isAbandoned) return;
    const waiting = preparation.makeMissing();
    if (waiting === null) route(publisher, preparation.messages);
    else withAnswer<unknown>(asker, 'onDeliver', () => waiting, null, routeWhenMade);
  };
  routeWhenMade();
}

function route(publisher: Publisher, messages: readonly Prepared[]): void {
  const code = publisher.ruledCode();
  if (isFailure(code)) return publisher.refused(code, 'rules');
  const { asker, staysHere } = publisher;
  const { cluster } = asker.context;
  if (cluster === null || staysHere || messages.length === 0) return deliverHere(publisher, messages);
  const logged = messages.map(({ message }) => cluster.isLogged(message));
  const { packetId = 0, willOf = null } = publisher;
  const details = { origin: publisher.origin?.clientId ?? null, logged, packetId, willOf };
  const here = messages.filter((_, which) => !logged[which]);
  const ask = () => {
    return cluster.forward(
      messages.map(({ message }) => message),
      details,
    );
  };
  withAnswer<number>(asker, 'forward', ask, ReasonCode.UnspecifiedError, (answer) => {
    if (publisher.isAbandoned) return;
    if (isFailure(answer)) publisher.refused(answer, 'cluster');
    else if (here.length > 0) deliverHere(publisher, here);
    else publisher.published(ReasonCode.Success);
  });
}

/** To the sessions of this node. */
function deliverHere(publisher: Publisher, messages: readonly Prepared[]): void {
  const { asker, origin, whenFull } = publisher;
  const done = (reasonCode: number) => {
    if (whenFull !== 'wait' || reasonCode !== ReasonCode.QuotaExceeded) return publisher.published(reasonCode);
    whenThereIsRoom(asker, () => {
      if (!publisher.isAbandoned) route(publisher, messages);
    });
  };
  const rest = asker.context.core.publish(messages, origin, done, { whenFull });
  if (rest !== null) publisher.work(() => rest.step());
}
