/** One stream of JetStream as an `EngineStream`. */
import {
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  type MsgRequest,
  type NextMsgRequest,
} from '@nats-io/jetstream';
import { headers, type MsgHdrs } from '@nats-io/transport-node';
import {
  type AppendOutcome,
  type Bounds,
  type EngineStream,
  EngineUnavailable,
  type Entry,
  type Sequence,
  type StopTail,
  type StreamSettings,
} from '../../contracts/cluster-engine.ts';
import { checkAppend, checkSubject } from '../checks.ts';
import type { Link } from './link.ts';
import { outcomeOf } from './outcomes.ts';
import { readBatch } from './read-batch.ts';
import type { StreamPlace } from './stream-config.ts';
import { escapeSubject, unescapeSubject } from './subjects.ts';
import { asUnavailable } from './unavailable.ts';

export interface StreamAccess {
  readonly link: Link;
  readonly manager: JetStreamManager;
  readonly tails: JetStreamClient;
  readonly answerMs: number;
}

/** The subject of an entry whose subject in NATS is a hash, percent-encoded. */
const subjectHeader = 'Sluice-Subject';
const expectedHeader = 'Nats-Expected-Last-Subject-Sequence';

interface Stored {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
  readonly header?: MsgHdrs;
  readonly headers?: MsgHdrs | undefined;
}

export class NatsStream implements EngineStream {
  readonly settings: StreamSettings;
  readonly #place: StreamPlace;
  readonly #access: StreamAccess;
  readonly #bytesMax: number;

  constructor(settings: StreamSettings, place: StreamPlace, access: StreamAccess, bytesMax: number) {
    this.settings = settings;
    this.#place = place;
    this.#access = access;
    this.#bytesMax = bytesMax;
  }

  async append(subject: string, bytes: Uint8Array, expected: Sequence | null): Promise<AppendOutcome> {
    checkAppend(subject, bytes, expected, this.#bytesMax);
    const { link, answerMs } = this.#access;
    if (!link.isConnected) return { state: 'unknown', reason: 'no server of NATS is connected' };
    const escaped = escapeSubject(subject);
    const sent = headers();
    if (expected !== null) sent.set(expectedHeader, String(expected));
    if (unescapeSubject(escaped) === null) sent.set(subjectHeader, encodeURIComponent(subject));
    try {
      const options = { timeout: answerMs, headers: sent };
      const answer = await link.connection.request(this.#place.prefix + escaped, bytes, options);
      return outcomeOf(answer.string());
    } catch (error) {
      return { state: 'unknown', reason: (error as Error).message };
    }
  }

  last(subject: string): Promise<Entry | null> {
    return this.#fromLeader({ last_by_subj: this.#named(subject) });
  }

  peek(subject: string): Promise<Entry | null> {
    const { manager } = this.#access;
    const asked = { last_by_subj: this.#named(subject) };
    return this.#ask(async () => this.#entryOf(await manager.direct.getMessage(this.#place.name, asked)));
  }

  read(sequence: Sequence): Promise<Entry | null> {
    return this.#fromLeader({ seq: sequence });
  }

  async scan(after: Sequence, to: Sequence, visit: (entry: Entry) => void): Promise<void> {
    let next = after + 1;
    const take = (stored: Stored) => {
      if (stored.seq > to) return false;
      next = stored.seq + 1;
      visit(this.#entryOf(stored)!);
      return true;
    };
    while (next <= to) {
      const { link, manager, answerMs } = this.#access;
      link.assertConnected();
      const [from, { name }] = [next, this.#place];
      await asUnavailable(readBatch({ manager, name, from, to, answerMs }, take));
      if (next > to) return;
      // A replica that is behind ends its batch early. What its leader has next says whether there is more.
      const following = await this.#fromLeader({ seq: next, next_by_subj: `${this.#place.prefix}>` });
      if (following === null) return this.#assertKnows(to);
      if (following.sequence > to) return;
      next = following.sequence + 1;
      visit(following);
    }
  }

  bounds(): Promise<Bounds> {
    const { manager } = this.#access;
    return this.#ask(async () => {
      const { state } = await manager.streams.info(this.#place.name);
      return { first: Math.max(1, state.first_seq), last: state.last_seq };
    });
  }

  async tail(after: Sequence, onEntry: (entry: Entry) => void): Promise<StopTail> {
    let hasStopped = false;
    let messages: ConsumerMessages | null = null;
    const callback = (message: JsMsg) => {
      if (!hasStopped) onEntry(this.#entryOf(message)!);
    };
    messages = await this.#ask(async () => {
      const consumer = await this.#access.tails.consumers.get(this.#place.name, {
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: after + 1,
        // In nanoseconds: the server forgets it so long after the last sign of life.
        inactive_threshold: 10e9,
      });
      return consumer.consume({ max_messages: 2_000, idle_heartbeat: 1_000, expires: 5_000, callback });
    });
    return () => {
      hasStopped = true;
      messages.stop();
    };
  }

  async purge(upTo: Sequence): Promise<void> {
    const { manager } = this.#access;
    await this.#ask(() => manager.streams.purge(this.#place.name, { seq: upTo + 1 }));
  }

  async purgeSubject(subject: string): Promise<void> {
    const { manager } = this.#access;
    await this.#ask(() => manager.streams.purge(this.#place.name, { filter: this.#named(subject) }));
  }

  /** What says that nothing follows must know of all entries up to `to`: an old leader may not. */
  async #assertKnows(to: Sequence): Promise<void> {
    const { last } = await this.bounds();
    if (last < to) throw new EngineUnavailable(`Stream ${this.#place.name} is known up to ${last} here, not to ${to}`);
  }

  #fromLeader(request: MsgRequest | NextMsgRequest): Promise<Entry | null> {
    const { manager } = this.#access;
    // The library's type does not know that the servers take the one kind of request where they take the other.
    const asked = request as MsgRequest;
    return this.#ask(async () => this.#entryOf(await manager.streams.getMessage(this.#place.name, asked)));
  }

  async #ask<T>(asked: () => Promise<T>): Promise<T> {
    this.#access.link.assertConnected();
    return asUnavailable(asked());
  }

  #named(subject: string): string {
    checkSubject(subject);
    return this.#place.prefix + escapeSubject(subject);
  }

  #entryOf(stored: Stored | null): Entry | null {
    if (stored === null) return null;
    const subject =
      unescapeSubject(stored.subject.slice(this.#place.prefix.length)) ??
      decodeURIComponent((stored.header ?? stored.headers)?.get(subjectHeader) ?? '');
    return { sequence: stored.seq, subject, bytes: stored.data };
  }
}
