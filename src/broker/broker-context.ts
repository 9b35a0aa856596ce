/**
 * What all connections of one broker share.
 */
import type { ChunkPool } from '../base/chunk-pool.ts';
import type { Ledger } from '../base/ledger.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Scheduler } from '../base/scheduler.ts';
import type { TickDelay } from '../base/tick-delay.ts';
import type { TimerWheel } from '../base/timer-wheel.ts';
import type { PacketDecoder } from '../codec/framer.ts';
import type { LastPublish } from '../codec/publish.ts';
import type { AccessPolicy } from '../contracts/access.ts';
import type { CheckedCluster, CheckedHooks } from '../contracts/hook-answers.ts';
import type { Log } from '../contracts/log.ts';
import type { PayloadDecoding } from '../contracts/payloads.ts';
import type { MessagePipeline } from '../contracts/pipeline.ts';
import type { SessionStore } from '../contracts/session-store.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import type { Core } from '../core/core.ts';
import type { Sink } from '../core/sink.ts';
import type { Admission } from './admission.ts';
import type { Boundary } from './boundary.ts';
import type { ConnectionCounts } from './connection-counts.ts';
import type { Counters } from './counters.ts';
import type { DeliveryObservers } from './delivery-observers.ts';
import type { Drain } from './drain.ts';
import type { BrokerEvents } from './events.ts';
import type { GroupCommit } from './group-commit.ts';
import type { Journal } from './journal.ts';
import type { LimitedLog } from './limited-log.ts';
import type { MemoryGuard, MemoryHolder } from './memory-guard.ts';
import type { MessageSpans } from './message-spans.ts';
import type { Notes } from './notes.ts';
import type { Outgoing } from './outgoing.ts';
import type { RoomWaits } from './room-waits.ts';
import type { SlowClients } from './slow-clients.ts';
import type { StoreHealth } from './store-health.ts';
import type { SubscriberPaths } from './subscriber-paths.ts';
import type { Timekeeper } from './timekeeper.ts';
import type { TopicMetrics } from './topic-metrics.ts';

export interface BrokerContext {
  readonly settings: BrokerSettings;
  readonly hooks: CheckedHooks;
  /** Who answers those that ask what clients may do, in words. */
  readonly authorizers: string;
  readonly pipeline: MessagePipeline;
  /** Reads payloads for those who look on. */
  readonly payloads: PayloadDecoding;
  /** Null: the broker is alone. */
  readonly cluster: CheckedCluster | null;
  /** A hook or the cluster is asked about every message. */
  readonly asksAboutAll: boolean;
  /** The same, or there are spans: one look for who wants neither. */
  readonly looksAtAll: boolean;
  /** Null: nobody collects traces. */
  readonly spans: MessageSpans | null;
  readonly randomBytes: (count: number) => Buffer;
  readonly core: Core;
  /** What the core tells the world. */
  readonly sink: Sink;
  readonly store: SessionStore;
  /** What parts of the broker remember for themselves. */
  readonly notes: Notes;
  /** Null: everybody may do everything. */
  readonly access: AccessPolicy | null;
  /** For whatever happens at a time of its own. The core advances it. */
  readonly timers: TimerWheel;
  readonly ledger: Ledger;
  readonly scheduler: Scheduler;
  /** The broker has ended: nothing is committed or written at the end of a round any more. */
  readonly leaveScheduler: () => void;
  readonly commits: GroupCommit;
  /** What is written at the end of a round. */
  readonly outgoing: Outgoing;
  /** Through which everything comes in. */
  readonly boundary: Boundary;
  readonly decoder: PacketDecoder;
  readonly chunks: ChunkPool;
  /** Encoded once, for however many subscribers. */
  readonly lastPublish: LastPublish;
  readonly counters: Counters;
  /** Null: nobody wants topics counted apart. */
  readonly topicMetrics: TopicMetrics | null;
  /** Whatever is counted and measured, for whoever tells of it. */
  readonly metrics: Metrics;
  readonly log: Log;
  /** For what is about one client or session. */
  readonly sessionLog: Log;
  /** For what anybody could fill the log with. */
  readonly limitedLog: LimitedLog;
  /** Where whoever decides about a message or a client reports it. */
  readonly journal: Journal;
  readonly admission: Admission;
  readonly events: BrokerEvents;
  /** Every open connection, from accept to close. */
  readonly connections: ReadonlySet<MemoryHolder>;
  readonly connectionCounts: ConnectionCounts;
  /** Who watches single messages on their way to subscribers. */
  readonly observers: DeliveryObservers;
  /** Who takes long to acknowledge. */
  readonly slowClients: SlowClients;
  readonly storeHealth: StoreHealth;
  /** For whom bridges subscribe. */
  readonly subscriberPaths: SubscriberPaths;
  /** Who waits until the queue of a bridge has room. */
  readonly roomWaits: RoomWaits;
  readonly drain: Drain;
  readonly memory: MemoryGuard;
  readonly time: Timekeeper;
  readonly tickDelay: TickDelay;
  /** Reads the clock, and lets happen what is due. Milliseconds since the epoch. */
  advanceClock(): number;
  /**
   * The time that was read last in this round; reads it if none was. A look at the clock costs as much as a message.
   */
  timeOfRound(): number;
}
