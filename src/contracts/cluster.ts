/**
 * What other nodes have a say in, where a broker is one of several. A broker that is alone has none of this, and pays
 * nothing for it.
 */
import type { Message } from '../protocol/message.ts';
import type { PacketId } from '../protocol/packets.ts';
import type { TopicTable } from '../protocol/topic-table.ts';
import type { Awaitable } from './hooks.ts';
import type { ExportedSession, MovedSession } from './session-move.ts';
import type { StoredDelivery, StoredPendingWill, StoredSession } from './session-store.ts';

/** This node can take no part in its cluster any more: its process is to be started anew. */
export class NodeEnded extends Error {
  override readonly name = 'NodeEnded';
}

export interface ForwardDetails {
  /** The client whose messages these are; null: it has no session here. */
  readonly origin: string | null;
  /** What `isLogged` said of each. */
  readonly logged: readonly boolean[];
  /** Of the QoS 2 PUBLISH that they came by: whoever reads them in the log knows of that exchange. 0: by none. */
  readonly packetId: PacketId;
  /** The client whose will they are: whoever reads them in the log knows that it is published. Null: they are none. */
  readonly willOf: string | null;
}

/**
 * Who of all members of a shared subscription, at whatever node, gets a message. Groups are named
 * `{share name}/{topic filter}`.
 */
export interface SharedSubscriptions {
  /**
   * Whose turn it is for a message that arrives at all nodes; asked once of each group and message. Null: the message
   * does not arrive at all, and is given to its member by `NodeSessions.handed`.
   */
  memberFor(group: string, message: Message): string | null;
  /** The member that `memberFor` named has got it. */
  gave(group: string, clientId: string): void;
  /** A message waits for this member. */
  waits(clientId: string): void;
  /** Its client has come or gone, or it has subscribed. */
  changed(clientId: string): void;
  /** It has left a group; null: all, since its session has ended. */
  left(clientId: string, group: string | null): void;
  /** Whether what a member leaves behind can go on now: its session is this node's. */
  mayHandOn(clientId: string, hasEnded: boolean): boolean;
  /** Whether there is another member, or even one that is connected. */
  hasOther(group: string, clientId: string, mustBeConnected: boolean): boolean;
  /** Passes a message on from a member, before the store is told that it is done. `mayNotHave`: the rules say so. */
  handOn(clientId: string, group: string, message: Message, mayNotHave: boolean): void;
  /**
   * What a member leaves behind is passed on in steps from now on: until what is returned is called, nobody is told
   * that the member is done with any of it.
   */
  leaves(clientId: string): () => void;
}

/** The shared subscriptions of a session. */
export interface SharedBySession {
  /** Its client is connected, and can be sent what comes. */
  readonly isReady: boolean;
  /** How many messages wait for it, and what part of all that may. */
  readonly waiting: number;
  readonly filled: number;
  /** By group: the QoS that it asked for. */
  readonly groups: ReadonlyMap<string, number>;
}

/**
 * Sessions whose client is a part of the broker, which each node has: where the session is, that part is its client,
 * and at the other nodes it stands by.
 */
export interface ResidentSessions {
  /**
   * Whether the session is this node's from now on. It is taken from no node that keeps it (`NodeSessions.keeps`), and
   * an answer comes at once where it is here.
   */
  claim(clientId: string): Promise<boolean>;
  /** Finds out what other nodes have noted. Rejects while that cannot be told. */
  refreshNotes(): Promise<void>;
}

export interface Cluster {
  /** Absent: sessions within the process stay there. */
  readonly residents?: ResidentSessions;
  /** Absent: members at one node share among themselves. */
  readonly shared?: SharedSubscriptions;
  /**
   * Asks for the session of a client that wants to come in, before it is begun or resumed here. Answers 0 once no other
   * node has it, or the reason code that refuses the CONNECT.
   */
  claim(clientId: string): Awaitable<number>;
  /**
   * Whether what was claimed is still this node's, asked in the go in which the session begins or resumes. Absent: it
   * always is.
   */
  holds?(clientId: string): boolean;
  /**
   * Takes messages beyond this process, all of them or none: what one PUBLISH, will or message of the program came to.
   * They are routed here, but for those that are logged, and acknowledged, once it answers 0; another reason code
   * refuses them.
   */
  forward(messages: readonly Message[], details: ForwardDetails): Awaitable<number>;
  /**
   * Whether this message reaches all nodes, this one as well, in one order for all, by `NodeSessions.arrived`. Asked
   * once of each before it is forwarded. Absent: none does.
   */
  isLogged?(message: Message): boolean;
  /** Whether it may come to that, for who only asks. */
  mayLog?(message: Message): boolean;
}

/** What is on its way into the log, for who answers only once it is there. */
export interface PendingAppends {
  /** How many appends were begun since the start, and how many of the first ones are in the log. */
  readonly begun: number;
  readonly done: number;
  readonly waitingBytes: number;
  /** So much waits that whoever would publish more is to wait until it is less. */
  readonly isBehind: boolean;
  /** Why nothing gets in, in words for an operator; null while nothing is in the way. */
  readonly failure: string | null;
  /** Called when an append begins and none was under way. Set once. */
  onBegun: () => void;
  /** Calls back once so many are done; at once, if they are. In the order of the calls, whose counts never fall. */
  whenDone(count: number, callback: () => void): void;
}

/**
 * What a node writes down of its sessions, so that another one can go on with them after its death. The store of the
 * node tells what changes.
 */
export interface SessionRecorder {
  /** How many changes a client has been, or will be, promised; and how many of the first ones are written. */
  readonly changes: number;
  readonly written: number;
  /** Why nothing can be written, in words for an operator; null while nothing is in the way. */
  readonly failure: string | null;
  /** What all nodes remember together. */
  readonly notes: ReadonlyMap<string, Buffer>;
  /** A part of the broker remembers this; what is for this node alone ends with it. Null: it is forgotten. */
  noted(name: string, value: Uint8Array | null): void;
  /** Called when there is a change. Set once. */
  onChange: () => void;
  /** Writes what has changed so far, and calls back when that is done; at once, if nothing has. */
  write(done: () => void): void;
  /** The session is there from now on, or something of it has changed. */
  opened(session: StoredSession): void;
  changed(sid: number): void;
  ended(sid: number): void;
  /** It is to get this, which the log has. */
  delivered(sid: number, delivery: StoredDelivery): void;
  /** It is done with that message. */
  settled(sid: number, messageId: number): void;
  /** Its client has published a QoS 2 message by this identifier, and has released it. */
  received(sid: number, packetId: PacketId): void;
  released(sid: number, packetId: PacketId): void;
  willWaits(will: StoredPendingWill): void;
  willEnded(number: number): void;
}

/** What was published while a session was on its way; `group`: the shared subscription that it is to get it by. */
export interface MissedMessage {
  readonly message: Message;
  readonly group: string | null;
}

/** The sessions of one node, as the rest of the cluster sees them. */
export interface NodeSessions {
  /** The broker's, so that all messages to a topic share what was found out of it. */
  readonly topics: TopicTable;
  /** How many of the messages that have arrived wait for others before them. */
  readonly arriving: number;
  /**
   * Gives a message to the sessions here, behind those that came before. It owns its bytes. `done` is called, at once
   * or later, when all have it.
   */
  arrived(message: Message, done: () => void): void;
  has(clientId: string): boolean;
  /** What is retained; null: nothing, or it has expired. */
  retained(topicName: string): Message | null;
  /** Its client is a part of this node, which stays that: no other node gets the session. */
  keeps(clientId: string): boolean;
  /** All nodes remember this from now on; null: not any more. */
  noted(name: string, value: Buffer | null): void;
  /** The client is connected elsewhere: its connection here ends, and its session if that ends with it. */
  takenOver(clientId: string): void;
  /** Everything of a session; null: there is none, or none that outlives its connection or has a will. */
  exportOf(clientId: string): ExportedSession | null;
  /**
   * From now on the session is here, with what has been published since it was as it says; there must be none. These
   * messages own their bytes.
   */
  join(moved: MovedSession, missed: readonly MissedMessage[]): void;
  /** Null: there is no such session here. */
  sharedOf(clientId: string): SharedBySession | null;
  isMember(clientId: string, group: string): boolean;
  /**
   * Gives a message to one member of a shared subscription. `isRendered`: it has the form that subscribers want. `done`
   * is called, at once or later, when it has it.
   */
  handed(clientId: string, group: string, message: Message, isRendered: boolean, done: () => void): void;
  /** Others are connected: what waits for this member goes on to them. */
  handOn(clientId: string): void;
  /** The last member of a group has left a message that was for it. */
  droppedShared(message: Message): void;
  /** Wills of clients that are gone, which another node has left behind. */
  restoreWills(wills: readonly StoredPendingWill[]): void;
  /** This node is cut off from the others, or has ended: all clients connect elsewhere. */
  disconnectAll(why: string): void;
  /** The session is another node's: nothing of it stays here, and nobody is told that it ends. */
  forget(clientId: string): void;
  /** Called when a session ends here. Set once. */
  onEnded: (clientId: string) => void;
}
