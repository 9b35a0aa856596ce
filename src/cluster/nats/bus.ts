/** Messages between nodes, on subjects of NATS that nothing stores. */
import { type Msg, RequestError, type Subscription, TimeoutError } from '@nats-io/transport-node';
import {
  type EngineBus,
  EngineUnavailable,
  NoAnswerInTime,
  NobodyAnswers,
  type OnMessage,
} from '../../contracts/cluster-engine.ts';
import { checkSubject } from '../checks.ts';
import type { Link } from './link.ts';
import { escapeSubject } from './subjects.ts';

export class NatsBus implements EngineBus {
  readonly #link: Link;
  readonly #prefix: string;
  readonly #failed: (error: unknown) => void;

  constructor(link: Link, prefix: string, failed: (error: unknown) => void) {
    this.#link = link;
    this.#prefix = prefix;
    this.#failed = failed;
  }

  async request(subject: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    this.#link.assertConnected();
    try {
      const { data } = await this.#link.connection.request(this.#named('ask', subject), bytes, { timeout: timeoutMs });
      return data;
    } catch (error) {
      if (error instanceof RequestError && error.isNoResponders()) {
        throw new NobodyAnswers(`No node of the cluster answers ${subject}`, { cause: error });
      }
      if (error instanceof TimeoutError) {
        throw new NoAnswerInTime(`No answer to ${subject} in ${timeoutMs} ms`, { cause: error });
      }
      throw new EngineUnavailable(`No answer to ${subject}: ${(error as Error).message}`, { cause: error });
    }
  }

  answer(subject: string, handler: (bytes: Uint8Array) => Promise<Uint8Array>): () => void {
    const respond = async (message: Msg) => {
      try {
        message.respond(await handler(message.data));
      } catch (error) {
        this.#failed(error);
      }
    };
    return this.#subscribe(this.#named('ask', subject), (message) => void respond(message));
  }

  broadcast(subject: string, bytes: Uint8Array): void {
    if (this.#link.isConnected) this.#link.connection.publish(this.#named('all', subject), bytes);
  }

  listen(subject: string, onMessage: OnMessage): () => void {
    return this.#subscribe(this.#named('all', subject), ({ data }) => onMessage(data));
  }

  #subscribe(subject: string, handle: (message: Msg) => void): () => void {
    const subscription: Subscription = this.#link.connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) handle(message);
        else this.#failed(error);
      },
    });
    return () => subscription.unsubscribe();
  }

  /** Questions and broadcasts of the same subject are two things. */
  #named(kind: 'ask' | 'all', subject: string): string {
    checkSubject(subject);
    return `${this.#prefix}${kind}.${escapeSubject(subject)}`;
  }
}
