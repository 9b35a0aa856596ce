/** The sessions of this broker, for the cluster that it is a node of. */
import type { MissedMessage, NodeSessions, SharedBySession } from '../contracts/cluster.ts';
import type { ExportedSession, MovedSession } from '../contracts/session-move.ts';
import type { StoredPendingWill } from '../contracts/session-store.ts';
import type { OwnQueueLimits } from '../core/client-session.ts';
import type { Message } from '../protocol/message.ts';
import { clientPublisher, readPublisher, removal } from '../protocol/publisher.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { TopicTable } from '../protocol/topic-table.ts';
import type { Attachment } from './attachment.ts';
import type { BrokerContext } from './broker-context.ts';
import type { Connection } from './connection.ts';
import { disconnectWhere } from './disconnect.ts';
import { OwnMessages } from './own-messages.ts';

/** Parts of the broker that are clients themselves, and move from node to node with their sessions. */
export interface Residents {
  /** Its session stays here. */
  keeps(clientId: string): boolean;
  /** Null: as of any client. */
  queueLimitsOf(clientId: string): OwnQueueLimits | null;
  /** The session has come from another node. */
  arrived(clientId: string): void;
  /** The session goes to another node: nothing is done with it any more. */
  leave(clientId: string): void;
  /** This node has nothing to say any more, or not now. */
  leaveAll(why: string): void;
}

export class BrokerSessions implements NodeSessions, Attachment {
  onEnded: (clientId: string) => void = () => {};
  /** Set before there are sessions; null: there are none. */
  residents: Residents | null = null;
  readonly #context: BrokerContext;
  readonly #arrived: OwnMessages;
  #arriving = 0;

  constructor(context: BrokerContext) {
    this.#context = context;
    // They have passed hooks and pipelines where they were published.
    this.#arrived = new OwnMessages(context, true);
    context.events.on('sessionEnded', (clientId) => this.onEnded(clientId));
  }

  get topics(): TopicTable {
    return this.#context.decoder.topics;
  }

  get arriving(): number {
    return this.#arriving;
  }

  arrived(message: Message, done: () => void): void {
    this.#enter('a message of the cluster', () => {
      this.#arriving++;
      const ended = () => {
        this.#arriving--;
        done();
      };
      const publication = { mayRefuse: false, done: ended, failed: (error: unknown) => this.#failed(error, ended) };
      this.#arrived.publish(message, publication, originOf(message));
    });
  }

  has(clientId: string): boolean {
    return this.#context.core.findSession(clientId) !== undefined;
  }

  retained(topicName: string): Message | null {
    return this.#context.core.retained(topicName);
  }

  keeps(clientId: string): boolean {
    return this.residents?.keeps(clientId) === true;
  }

  noted(name: string, value: Buffer | null): void {
    this.#context.notes.learn(name, value);
  }

  takenOver(clientId: string): void {
    this.#enter('a session that moves', () => {
      this.residents?.leave(clientId);
      const session = this.#context.core.findSession(clientId);
      if (session !== undefined) this.#context.core.takenOver(session);
    });
  }

  exportOf(clientId: string): ExportedSession | null {
    const session = this.#context.core.findSession(clientId);
    if (session === undefined || !session.isStored) return null;
    return { ...this.#context.core.exportSession(session), lastMessageId: session.lastMessageId };
  }

  join(moved: MovedSession, missed: readonly MissedMessage[]): void {
    const { clientId } = moved.session;
    const own = clientPublisher(clientId);
    this.#enter('a session that moves', () => {
      const sent = missed.filter(({ message }) => message.publisher !== removal);
      const all = sent.map((each) => ({ ...each, isOwn: originOf(each.message) === own }));
      this.#context.core.importSession(moved, all, this.residents?.queueLimitsOf(clientId) ?? null);
      this.residents?.arrived(clientId);
    });
  }

  sharedOf(clientId: string): SharedBySession | null {
    const session = this.#context.core.findSession(clientId);
    return session === undefined ? null : this.#context.core.sharedOf(session);
  }

  isMember(clientId: string, group: string): boolean {
    const session = this.#context.core.findSession(clientId);
    return session !== undefined && this.#context.core.isMember(session, group);
  }

  handed(clientId: string, group: string, message: Message, isRendered: boolean, done: () => void): void {
    const session = this.#context.core.findSession(clientId);
    if (session === undefined) return done();
    const give = () => this.#context.core.giveMember(session, group, message, isRendered, done);
    this.#enter('a message for a member of a shared subscription', give);
  }

  handOn(clientId: string): void {
    const session = this.#context.core.findSession(clientId);
    if (session !== undefined) this.#enter('what waits for a member', () => this.#context.core.handOn(session));
  }

  droppedShared(message: Message): void {
    this.#context.core.droppedShared(message);
  }

  restoreWills(wills: readonly StoredPendingWill[]): void {
    this.#enter('wills of another node', () => this.#context.core.importWills(wills));
  }

  forget(clientId: string): void {
    this.#enter('a session that moves', () => {
      this.residents?.leave(clientId);
      const session = this.#context.core.findSession(clientId);
      if (session !== undefined) this.#context.core.forget(session);
    });
  }

  disconnectAll(why: string): void {
    const { connections } = this.#context;
    this.#enter('clients within a node that leaves', () => this.residents?.leaveAll(why));
    const all = () => true;
    // Each is a connection of this broker; who looks after memory knows of no more than that.
    void disconnectWhere(this.#context, connections as ReadonlySet<Connection>, all, ReasonCode.ServerBusy, why);
  }

  async close(): Promise<void> {}

  abandon(): void {}

  #enter(what: string, run: () => void): void {
    this.#context.boundary.forAll(what, () => {
      this.#context.advanceClock();
      run();
    });
  }

  #failed(err: unknown, ended: () => void): void {
    this.#context.limitedLog.error('bug', { err }, 'a bug in Sluice lost a message that came from the cluster');
    ended();
  }
}

/** The client that published it, for No Local; null: none did. */
const originOf = ({ publisher }: Message): string | null =>
  publisher === null ? null : readPublisher(publisher).clientId;
