/**
 * One node of a cluster: membership, messages and sessions, over an engine. What it cannot go on without ends it, and
 * all connections of its broker.
 */
import type { Clock, Timers } from '../base/clock.ts';
import type {
  Cluster,
  ForwardDetails,
  NodeSessions,
  PendingAppends,
  ResidentSessions,
  SessionRecorder,
  SharedSubscriptions,
} from '../contracts/cluster.ts';
import type { ClusterEngine, EngineStream, Sequence, StreamSettings } from '../contracts/cluster-engine.ts';
import type { Message } from '../protocol/message.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { Compaction } from './compaction.ts';
import { Membership } from './membership.ts';
import { NodeMessages } from './messages.ts';
import { ClusterNotes, notesStream } from './notes.ts';
import { cutOffMs, Ownership } from './ownership.ts';
import { purgeKeptMs } from './purge.ts';
import { Records } from './records.ts';
import { NodeRecorder } from './session-recorder.ts';

export interface ClusterNodeOptions {
  readonly engine: ClusterEngine;
  /** Of each start another one. */
  readonly id: string;
  /** By chance. */
  readonly token: string;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly logBytesMax: number;
  /** What waits in the log for longer is copied to its end, and what was before can go. */
  readonly logKeepMs: number;
  /** What nobody needs any more stays for so long: longer than nodes are silent for that live. */
  readonly purgeAfterMs?: number;
  readonly recordsBytesMax: number;
  /** The largest message that a client may publish. */
  readonly messageBytesMax: number;
  /** This node has ended: it acknowledges nothing more. Once; `error` is null where others have declared it dead. */
  readonly ended: (reason: string, error: unknown) => void;
  readonly lost: NodeMessagesLost;
}

type NodeMessagesLost = ConstructorParameters<typeof NodeMessages>[0]['lost'];

/** Around a message in a frame, and what a turn has before it. */
const aroundFrameBytes = 2_097_152;
const nodesBytesMax = 16_777_216;
const lookMs = 500;

export class ClusterNode implements Cluster {
  readonly messages: NodeMessages;
  readonly membership: Membership;
  readonly residents: ResidentSessions = {
    claim: async (clientId) => (await this.#ownership?.claimResident(clientId)) === true,
    refreshNotes: () => this.#notes.refresh(),
  };
  readonly #recorder: NodeRecorder;
  readonly #options: ClusterNodeOptions;
  readonly #nodeRecords: Records;
  readonly #sessionRecords: Records;
  readonly #notes: ClusterNotes;
  readonly #log: EngineStream;
  #ownership: Ownership | null = null;
  #compaction: Compaction | null = null;
  #sessions: NodeSessions | null = null;
  #stopLooking: () => void = () => {};
  #serving: () => void = () => {};
  readonly #whenServing = new Promise<void>((resolve) => {
    this.#serving = resolve;
  });
  #isCutOff = false;
  #hasEnded = false;

  private constructor(options: ClusterNodeOptions, streams: Awaited<ReturnType<typeof openStreams>>) {
    this.#options = options;
    const { engine, id, token, timers, clock, messageBytesMax, lost } = options;
    this.#log = streams.log;
    this.#nodeRecords = new Records(streams.nodes, timers);
    this.#sessionRecords = new Records(streams.sessions, timers);
    this.#notes = new ClusterNotes({
      ...{ stream: streams.notes, entryBytesMax: engine.entryBytesMax, token, timers },
      failing: (why) => {
        this.#recorder.failure = why;
      },
    });
    const failed = (error: unknown) => this.#end('a mistake in Sluice has ended this node', error);
    this.messages = new NodeMessages({
      ...{ engine, node: id, token, timers, clock, failed, lost },
      log: streams.log,
      frameBytesMax: messageBytesMax + aroundFrameBytes,
      recorder: {
        hold: () => this.#recorder.hold(),
        changedOf: (clientId) => this.#recorder.changedOf(clientId),
      },
      fenced: (reason) => this.membership.fence(reason),
      logged: ({ sequence, message, origin }) => {
        if (message === null) this.#recorder.loggedReleased(origin, sequence);
        else if (origin !== null && origin.packetId > 0) this.#recorder.loggedReceived(origin, sequence);
      },
    });
    this.#recorder = new NodeRecorder({
      ...{ timers, clock, failed },
      readTo: () => this.messages.at,
      release: (clientId, packetId) => this.messages.release(clientId, packetId),
      record: async (clientId) => void (await this.#ownership?.record(clientId)),
      notes: this.#notes,
    });
    this.membership = new Membership({
      ...{ id, token, timers, clock, failed },
      stream: streams.nodes,
      records: this.#nodeRecords,
      progress: () => {
        return { at: [this.#recorder.checkpoint], low: [Math.min(this.#recorder.low, this.messages.incompleteFrom)] };
      },
      adopt: async () => {
        await this.#whenServing;
        await this.#ownership!.adopt();
      },
      fenced: (reason) => this.#end(reason, null),
    });
  }

  /** Rejects with `EngineUnavailable` while the engine does not answer. */
  static async open(options: ClusterNodeOptions): Promise<ClusterNode> {
    const node = new ClusterNode(options, await openStreams(options));
    await node.#notes.open();
    return node;
  }

  get appends(): PendingAppends {
    return this.messages;
  }

  get shared(): SharedSubscriptions {
    return this.messages.sharing;
  }

  get recorder(): SessionRecorder {
    return this.#recorder;
  }

  get id(): string {
    return this.#options.id;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Of a shared subscription, as far as this node has read: who is a member, and how well it is placed. */
  members(topicFilter: string): (readonly [clientId: string, standing: number])[] {
    return this.messages.sharing.table.membersOf(topicFilter.slice('$share/'.length));
  }

  /** Sessions that came here from other nodes. */
  get takeovers(): number {
    return this.#ownership?.takeovers ?? 0;
  }

  /** Sessions that dead nodes had. */
  get adoptions(): number {
    return this.#ownership?.adoptions ?? 0;
  }

  /** Up to here this node has purged the log. */
  get purged(): Sequence {
    return this.#compaction?.purged ?? 0;
  }

  /** Clients may come in once this resolves: what is retained is here. */
  async serve(sessions: NodeSessions): Promise<void> {
    const { engine, id, timers, clock, logKeepMs, purgeAfterMs = purgeKeptMs } = this.#options;
    await this.membership.join();
    this.#ownership = new Ownership({
      ...{ node: id, timers, clock, sessions },
      records: this.#sessionRecords,
      bus: engine.bus,
      entryBytesMax: engine.entryBytesMax,
      membership: this.membership,
      messages: this.messages,
      recorder: this.#recorder,
      failed: (error) => this.#end('a mistake in Sluice has ended this node', error),
    });
    this.#sessions = sessions;
    this.#notes.onChange = (name, value) => sessions.noted(name, value);
    this.#stopLooking = timers.every(lookMs, () => this.#look());
    await this.messages.start(sessions);
    this.#compaction = new Compaction({
      ...{ node: id, timers, clock, sessions, log: this.#log, keepMs: logKeepMs, purgeAfterMs },
      messages: this.messages,
      membership: this.membership,
      recorder: this.#recorder,
      record: async (clientId) => (await this.#ownership?.record(clientId)) === true,
      failed: (error) => this.#end('a mistake in Sluice has ended this node', error),
    });
    this.#serving();
  }

  /** Its servers do not answer: it takes and serves nobody. */
  get isCutOff(): boolean {
    return this.membership.renewedMsAgo > cutOffMs;
  }

  /** Other nodes will soon have no more to do with it: its clients are better off there. */
  #look(): void {
    const { isCutOff } = this;
    if (isCutOff && !this.#isCutOff) this.#sessions!.disconnectAll('this node is cut off from its cluster');
    this.#isCutOff = isCutOff;
  }

  claim(clientId: string): number | Promise<number> {
    return this.#ownership?.claim(clientId) ?? ReasonCode.ServerUnavailable;
  }

  holds(clientId: string): boolean {
    return this.#ownership?.holds(clientId) === true;
  }

  isLogged(message: Message): boolean {
    return this.messages.isLogged(message);
  }

  mayLog({ qos, retain }: Message): boolean {
    return qos > 0 || retain;
  }

  forward(messages: readonly Message[], details: ForwardDetails): number | Promise<number> {
    if (this.#hasEnded) return refusal(details);
    this.messages.forward(messages, details);
    return 0;
  }

  /** Its broker sends its clients away before a stop, or does so no more. */
  drain(isDraining: boolean): void {
    this.membership.drain(isDraining);
  }

  /** Its broker has no clients any more. Others see that it is gone without waiting for its silence. */
  async leave(): Promise<void> {
    if (this.#hasEnded) return;
    await this.messages.settled();
    // What members that ended were to get in between has gone on.
    await this.messages.settled();
    await this.#recorder.writeAll();
    await this.membership.leave();
    this.#stop();
  }

  #end(reason: string, error: unknown): void {
    if (this.#hasEnded) return;
    this.#stop();
    this.membership.fence(reason);
    this.#sessions?.disconnectAll('this node has left its cluster');
    this.#options.ended(reason, error);
  }

  #stop(): void {
    this.#hasEnded = true;
    this.#stopLooking();
    this.#ownership?.close();
    this.#compaction?.close();
    this.#recorder.close();
    this.messages.close();
    this.#nodeRecords.close();
    this.#sessionRecords.close();
    this.#notes.close();
  }
}

/**
 * Of a node that has ended. Its clients are about to lose their connections, and send again what was not answered:
 * there is no answer for them, since before MQTT 5.0 each one says that all is well.
 */
function refusal({ origin, willOf }: ForwardDetails): number | Promise<number> {
  return origin === null || willOf !== null ? ReasonCode.ServerUnavailable : new Promise(() => {});
}

async function openStreams({ engine, logBytesMax, recordsBytesMax }: ClusterNodeOptions) {
  const record = { keeps: 'newestOfSubject', whenFull: 'refuse' } as const;
  const log: StreamSettings = { name: 'log-0', keeps: 'everything', whenFull: 'refuse', bytesMax: logBytesMax };
  return {
    log: await engine.open(log),
    nodes: await engine.open({ ...record, name: 'nodes', bytesMax: nodesBytesMax }),
    sessions: await engine.open({ ...record, name: 'sessions', bytesMax: recordsBytesMax }),
    notes: await engine.open(notesStream),
  };
}
