import type { Step } from '../base/scheduler.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { WhenFull } from '../core/fan-out.ts';
import type { PacketId } from '../protocol/packets.ts';
import type { RefusedBy } from './journal.ts';
import type { Asker } from './late-answers.ts';

/** Who publishes, and what becomes of the message. */
export interface Publisher {
  readonly asker: Asker;
  /** For No Local, as it is when the message is routed. Null: nobody's. [MQTT5 3.8.3-3] */
  readonly origin: ClientSession | null;
  /** Of the QoS 2 PUBLISH that it is; absent: it is none. */
  readonly packetId?: PacketId;
  /** The client whose will it is; absent: it is none. */
  readonly willOf?: string | null;
  /** Hooks and the pipeline's `onPublish` are asked about the message. */
  readonly passesHooks: boolean;
  /** Of a bridge: the pipeline that its messages go through before the others; absent: none. */
  readonly bridgePipeline?: string | null;
  /** It is not for other nodes of a cluster. */
  readonly staysHere: boolean;
  /** It is stored only while the disk keeps up. */
  readonly waitsForDisk: boolean;
  /** Whether it can be told that nothing was published, where there is no room for all of it, or asks again. */
  readonly whenFull: WhenFull;
  /** It is gone, and does without an answer: nothing is to become of the message. */
  readonly isAbandoned: boolean;
  /** What the rules say of the message now. They may have changed since it came. */
  ruledCode(): number;
  /** Nobody gets the message. `why`: in the words of the pipeline, if it has any; `stage`: which of its stages. */
  refused(reasonCode: number, by: RefusedBy, why?: string, stage?: string): void;
  /** It has reached everybody, or nobody for want of room (0x97); with the worst of the reason codes. */
  published(reasonCode: number): void;
  /** Steps that are left of publishing it. */
  work(step: Step): void;
}
