/**
 * QoS 1 and 2 between one client and the broker, as far as hooks and events need to know of it: which PUBLISH an
 * acknowledgement is for, in either direction.
 */
import type { Packet } from 'mqtt-packet';
import type { PublishPacket, PubrelPacket } from './packets.ts';

/** Of packet identifiers that a client may have. */
const idMax = 65_535;

export class Deliveries {
  /** From the client, not acknowledged; null: its PUBREC was sent. */
  readonly #incoming = new Map<number, PublishPacket | null>();
  /** To the client. No more than the broker has in flight for it. */
  readonly #outgoing = new Map<number, PublishPacket | PubrelPacket>();
  /** Of these, the program's own to this client, which the broker knows nothing of. */
  readonly #direct = new Set<number>();

  readonly #withheld = new Set<number>();

  /** QoS 2 messages of the client that it has not released. */
  get unreleased(): number {
    let count = 0;
    for (const packet of this.#incoming.values()) if (packet === null || packet.qos === 2) count++;
    return count;
  }

  /** A QoS 2 message that the client does not get: its PUBREL is not for the client either. */
  withhold(id: number): void {
    this.#withheld.add(id);
  }

  /** Once. */
  isWithheld(id: number): boolean {
    return this.#withheld.delete(id);
  }

  /** False if it is one that has come before. */
  receive(packet: PublishPacket): boolean {
    const id = packet.messageId!;
    if (this.#incoming.has(id)) return false;
    this.#incoming.set(id, packet);
    return true;
  }

  has(id: number): boolean {
    return this.#incoming.has(id);
  }

  /** PUBACK or PUBREC of the broker. The PUBLISH, unless that was told before or was refused. */
  taken({ cmd, messageId, reasonCode = 0 }: Packet & { reasonCode?: number }): PublishPacket | null {
    const packet = this.#incoming.get(messageId!) ?? null;
    if (cmd === 'pubrec' && reasonCode < 0x80) this.#incoming.set(messageId!, null);
    else this.#incoming.delete(messageId!);
    return reasonCode < 0x80 ? packet : null;
  }

  /** PUBCOMP of the broker. */
  completed(id: number): void {
    this.#incoming.delete(id);
  }

  sent(packet: PublishPacket | PubrelPacket): void {
    this.#outgoing.set(packet.messageId!, packet);
  }

  /** An identifier for a packet to the client that neither the broker nor another one has; null: none is left. */
  beginDirect(): number | null {
    for (let id = idMax; id > 0; id--) {
      if (this.#outgoing.has(id)) continue;
      this.#direct.add(id);
      return id;
    }
    return null;
  }

  isDirect(id: number): boolean {
    return this.#direct.has(id);
  }

  /** PUBACK or PUBCOMP of the client: what it is for. */
  acked(id: number): PublishPacket | PubrelPacket | undefined {
    const packet = this.#outgoing.get(id);
    this.#outgoing.delete(id);
    this.#direct.delete(id);
    return packet;
  }

  /** An identifier for a request to the broker, which no packet of the client has. */
  freeId(): number {
    let id = idMax;
    while (this.#incoming.has(id)) id--;
    return id;
  }
}
