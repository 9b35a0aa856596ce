/**
 * The memory that others than the simulated clients take of `limits.memoryBytes`, and what the broker may do to clients
 * while little of it is left: it refuses, does not read on, and disconnects those that hold most. What it has
 * acknowledged stays.
 */
import { Category, Pressure } from '../../src/base/ledger.ts';
import { Connection } from '../../src/broker/connection.ts';
import { deliveryBytes, messageFootprint } from '../../src/core/footprint.ts';
import type { CoreParts } from '../../src/core/parts.ts';
import type { SessionQueue } from '../../src/core/session-queue.ts';
import type { Judge } from './judge.ts';
import { toleranceMs } from './link.ts';

/** From this part on, what the clients hold themselves may be too much. */
const shortPart = 0.8;
/** The broker looks at its connections, and at who waits for memory, ten times a second. */
const endsMs = 1_000 + toleranceMs;

export class Memory {
  /** In bytes. */
  taken: number;
  /** Clients may have been refused something for want of memory, in this run. */
  hasBeenShort = false;
  #isShort = false;
  #shortUntil = Number.NEGATIVE_INFINITY;
  /** Connections that are to be ended, and since when. */
  #inTheWay = new Map<Connection, number>();
  readonly #judge: Judge;

  constructor(judge: Judge) {
    this.#judge = judge;
    this.taken = judge.profile.memoryTaken;
  }

  /** Others take this part of all memory from now on. */
  take(part: number, core: CoreParts | null): void {
    const { world, profile } = this.#judge;
    const before = this.taken;
    this.taken = Math.floor(part * profile.settings.limits.memoryBytes);
    if (this.#isShort) this.#shortUntil = world.time + endsMs;
    this.#isShort = part >= shortPart;
    this.hasBeenShort ||= this.#isShort;
    core?.ledger.add(Category.retained, this.taken - before);
  }

  /** Others hold so much that what one client may hold depends on each message. */
  get hasTaken(): boolean {
    return this.taken > 0;
  }

  /** A client may be told so now, or find its connection ended. */
  get mayRefuse(): boolean {
    return this.#isShort || this.#judge.world.time <= this.#shortUntil;
  }

  /** Who holds much while memory is nearly used up does not stay connected. */
  check(core: CoreParts): void {
    const { time } = this.#judge.world;
    const before = this.#inTheWay;
    this.#inTheWay = new Map();
    if (core.ledger.pressure < Pressure.disconnection) return;
    for (const { clientId, channel, account, queue } of core.directory) {
      if (!(channel instanceof Connection)) continue;
      const bytes = account.bytes - queuedOnDisk(queue);
      if (bytes <= core.ledger.smallBytes) continue;
      const since = before.get(channel) ?? time;
      this.#inTheWay.set(channel, since);
      this.#judge.check(time - since <= endsMs, 'the largest make room when memory is used up', () => {
        return `${clientId} holds ${bytes} bytes, and is connected`;
      });
    }
  }
}

/** What of a queue is on disk as well goes from memory before anybody is disconnected, and comes back as it is sent. */
function queuedOnDisk(queue: SessionQueue): number {
  if (!queue.isPaged) return 0;
  let bytes = 0;
  for (const { message } of queue) bytes += messageFootprint(message) + deliveryBytes;
  return bytes;
}
