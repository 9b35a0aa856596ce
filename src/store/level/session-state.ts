import { PacketIdSet } from '../../protocol/packet-id-set.ts';
import type { PacketId } from '../../protocol/packets.ts';
import { Outstanding } from './outstanding.ts';

/** What the store itself must know of a session: which records are its own. */
export class SessionState {
  readonly outstanding: Outstanding;
  readonly filters = new Set<string>();
  readonly received = new PacketIdSet();
  /** Deliveries whose identifiers are stored: packet identifier to message number. */
  readonly sendings = new Map<PacketId, number>();

  /** `floor`: see `Outstanding`. */
  constructor(floor = 0) {
    this.outstanding = new Outstanding(floor);
  }
}
