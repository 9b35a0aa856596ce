/** Probes: marked messages of which it is watched what becomes of them at each recipient. */
import { Timer } from '../base/timer-wheel.ts';
import type { ProbeRecipient, ProbeReport } from '../contracts/probe.ts';
import type { ClientSession } from '../core/client-session.ts';
import type { DropReason, SkipReason } from '../core/sink.ts';
import type { Message } from '../protocol/message.ts';
import { type AckType, type PacketId, PacketType, type QoS } from '../protocol/packets.ts';
import { isFailure } from '../protocol/reason-codes.ts';
import type { DeliveryObserver } from './delivery-observers.ts';

/** The user property that has the number of the probe. */
export const probeProperty = 'sluice-probe';
/** So many recipients are watched one by one. */
export const recipientsMost = 1_000;

type Recipient = { -readonly [Key in keyof ProbeRecipient]: ProbeRecipient[Key] };

/** One marked message. */
export class Probe implements DeliveryObserver {
  readonly id: string;
  readonly #mark: Buffer;
  readonly #startedAt: number;
  readonly #recipients = new Map<string, Recipient>();
  /** By client: the packet identifier that the message was sent with, while it is not acknowledged. */
  readonly #inFlight = new Map<string, PacketId>();
  #isPublished = false;
  /** Nobody gets it. */
  #isRefused = false;
  /** Recipients beyond those that are watched. */
  #othersSent = 0;
  #othersDropped = 0;
  /** Something has become of a recipient. */
  onChange: () => void = () => {};

  constructor(id: string, expected: readonly string[], now: number) {
    this.id = id;
    this.#mark = Buffer.from(id);
    this.#startedAt = now;
    for (const clientId of expected) this.#recipients.set(clientId, this.#recipient(clientId));
  }

  #recipient(clientId: string): Recipient {
    return { clientId, state: 'waiting', qos: null, sentAfterMs: null, acknowledgedAfterMs: null, reason: null };
  }

  /** Whatever form a pipeline has given it. */
  isIn({ properties }: Message): boolean {
    return properties.length > this.#mark.length && properties.includes(this.#mark);
  }

  #of(clientId: string): Recipient | null {
    const known = this.#recipients.get(clientId);
    if (known !== undefined || this.#recipients.size >= recipientsMost) return known ?? null;
    const recipient = this.#recipient(clientId);
    this.#recipients.set(clientId, recipient);
    return recipient;
  }

  sent({ clientId }: ClientSession, message: Message, qos: QoS, packetId: PacketId, now: number): void {
    if (!this.isIn(message)) return;
    const recipient = this.#of(clientId);
    if (recipient === null) return void this.#othersSent++;
    recipient.state = 'sent';
    recipient.qos = qos;
    recipient.sentAfterMs ??= now - this.#startedAt;
    if (packetId > 0) this.#inFlight.set(clientId, packetId);
    this.onChange();
  }

  acknowledged({ clientId }: ClientSession, type: AckType, packetId: PacketId, reasonCode: number, now: number): void {
    if (this.#inFlight.get(clientId) !== packetId) return;
    const isOver = type === PacketType.puback || type === PacketType.pubcomp || isFailure(reasonCode);
    if (!isOver || type === PacketType.pubrel) return;
    this.#inFlight.delete(clientId);
    const recipient = this.#recipients.get(clientId)!;
    recipient.state = 'acknowledged';
    recipient.acknowledgedAfterMs = now - this.#startedAt;
    if (isFailure(reasonCode)) recipient.reason = `refused with 0x${reasonCode.toString(16)}`;
    this.onChange();
  }

  dropped(reason: DropReason | SkipReason, session: ClientSession | null, message: Message | null): void {
    if (session === null || message === null || !this.isIn(message)) return;
    const { clientId } = session;
    const recipient = this.#of(clientId);
    if (recipient === null) return void this.#othersDropped++;
    this.#inFlight.delete(clientId);
    recipient.state = 'dropped';
    recipient.reason = reason;
    this.onChange();
  }

  /** It has gone the whole way: whoever it was not sent to has it in a queue, or gets nothing. */
  published(isRefused = false): void {
    this.#isPublished = true;
    this.#isRefused = isRefused;
    this.onChange();
  }

  /** Whether nothing more is to be expected but from clients that are away. */
  isSettled(isConnected: (clientId: string) => boolean): boolean {
    if (!this.#isPublished) return false;
    if (this.#isRefused) return true;
    for (const { clientId, state, qos } of this.#recipients.values()) {
      const isOpen = state === 'waiting' || (state === 'sent' && qos !== 0);
      if (isOpen && isConnected(clientId)) return false;
    }
    return true;
  }

  report(find: (clientId: string) => ClientSession | undefined): Pick<ProbeReport, 'recipients' | 'counts'> {
    const recipients = [...this.#recipients.values()].map((recipient) => ({ ...recipient }));
    for (const recipient of recipients) {
      if (recipient.state !== 'waiting') continue;
      const session = find(recipient.clientId);
      if (session !== undefined && session.queue.length > 0) {
        recipient.reason = session.isConnected ? 'in its queue' : 'in its queue: the client is away';
      } else recipient.state = 'withheld';
    }
    const count = (state: ProbeRecipient['state']) => recipients.filter((each) => each.state === state).length;
    const counts = {
      sent: count('sent') + this.#othersSent,
      acknowledged: count('acknowledged'),
      waiting: count('waiting'),
      dropped: count('dropped') + this.#othersDropped,
      withheld: count('withheld'),
    };
    return { recipients, counts };
  }
}

/** Resolves once `isDone`, asked at each change, or at the deadline; with whether it was in time. */
export function settled(
  probe: Probe,
  isDone: () => boolean,
  timers: { set(timer: Timer, at: number): void; cancel(timer: Timer): void },
  deadline: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = new Timer(() => end(false));
    const end = (isInTime: boolean) => {
      probe.onChange = () => {};
      timers.cancel(timer);
      resolve(isInTime);
    };
    probe.onChange = () => {
      if (isDone()) end(true);
    };
    timers.set(timer, deadline);
    probe.onChange();
  });
}
