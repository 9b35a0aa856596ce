import type { Clock, Timers } from '../base/clock.ts';
import type { Garbage } from '../base/garbage.ts';
import type { Scheduler } from '../base/scheduler.ts';
import type { AccessPolicy } from '../contracts/access.ts';
import type { Audit } from '../contracts/audit.ts';
import type { Cluster } from '../contracts/cluster.ts';
import type { InTime } from '../contracts/hook-answers.ts';
import type { Hooks } from '../contracts/hooks.ts';
import type { Log } from '../contracts/log.ts';
import type { PayloadDecoding } from '../contracts/payloads.ts';
import type { MessagePipeline } from '../contracts/pipeline.ts';
import type { SessionStore } from '../contracts/session-store.ts';
import type { BrokerSettings } from '../contracts/settings.ts';
import type { SpanTracer } from '../contracts/spans.ts';
import type { StepSizes } from '../core/step-sizes.ts';

/** What a broker is made of, and what it is given of the world. */
export interface BrokerOptions {
  readonly settings: BrokerSettings;
  readonly store: SessionStore;
  readonly hooks?: Hooks;
  /** Who answers the hooks that ask what clients may do, for those who are told why. Default: the program. */
  readonly authorizers?: string;
  /** Limits how long hooks may take. Default: not at all. */
  readonly inTime?: InTime;
  readonly pipeline?: MessagePipeline;
  /** Reads payloads for streams of messages. Default: as text, base64 and hexadecimal digits only. */
  readonly payloads?: PayloadDecoding;
  /** Absent: the broker is alone. */
  readonly cluster?: Cluster;
  /** What clients may do. Absent: everything. */
  readonly access?: AccessPolicy;
  /** Told of messages, for whoever collects traces. Absent: nobody does. */
  readonly spans?: SpanTracer;
  readonly log?: Log;
  /** For what is about one client or session; by default the same. */
  readonly sessionLog?: Log;
  readonly audit?: Audit | null;
  readonly clock?: Clock;
  readonly timers?: Timers;
  /** Chance, for the names of clients that have none. */
  readonly randomBytes?: (count: number) => Buffer;
  /** Who works in a round of the event loop. Default: the one of this process. */
  readonly scheduler?: Scheduler;
  /** Default: buffers that nobody has any more are left to V8. */
  readonly garbage?: Garbage;
  /** How much one step does of what may be very much. What is left out is as in `defaultStepSizes`. */
  readonly stepSizes?: Partial<StepSizes>;
}
