/**
 * Where the bridges of a cluster run. Every node has the same ones in its configuration, and each runs at the node that
 * has its session: the record of that session names one node, and changes by compare-and-swap, as that of any client.
 * At the other nodes the bridge stands by, and they ask for the session now and then: they get it once that node is
 * dead, or is drained.
 *
 * A session that is here and of no bridge in the configuration belongs to another node, which will ask for it. If none
 * does for long, no node has that bridge any more, and the session ends.
 */
import { Timer } from '../base/timer-wheel.ts';
import type { BrokerContext } from '../broker/broker-context.ts';
import type { Residents } from '../broker/node-sessions.ts';
import type { ResidentSessions } from '../contracts/cluster.ts';
import { EngineUnavailable } from '../contracts/cluster-engine.ts';
import type { OwnQueueLimits } from '../core/client-session.ts';
import { isOfBridge } from '../protocol/publisher.ts';
import type { Bridge } from './bridge.ts';
import { bridgeNameOf, queueLimitsOf, sessionNameOf } from './bridge-session.ts';

export interface PlacementOptions {
  readonly context: BrokerContext;
  readonly sessions: ResidentSessions;
  readonly isPaused: (name: string) => boolean;
  /** No node has it in its configuration. */
  readonly removeUnknown: (name: string) => void;
}

interface Place {
  readonly bridge: Bridge;
  isHere: boolean;
  isAsking: boolean;
  wasPaused: boolean;
}

const lookMs = 1_000;
/** So often it is looked whether another node was told to pause a bridge, or to resume it. */
const notesMs = 5_000;
/** Longer than a node takes to start with a new configuration. */
const unclaimedMs = 600_000;
/** Of a session that waits for its bridge. */
const unclaimedLimits: OwnQueueLimits = {
  ...{ queueMessages: Number.POSITIVE_INFINITY, queueBytes: 1_073_741_824, queuePolicy: 'drop-oldest' },
  text: 'the queue of a bridge that this node does not have is full',
};

export class Placement implements Residents {
  readonly #options: PlacementOptions;
  /** By the client identifiers of their sessions. */
  readonly #places = new Map<string, Place>();
  /** The same of sessions that are here and of none of these, with when they came. */
  readonly #unclaimed = new Map<string, number>();
  readonly #timer = new Timer(() => this.#look());
  #notesReadAt = 0;
  #isClosed = false;

  constructor(options: PlacementOptions) {
    this.#options = options;
  }

  /** It stands by from now on, and runs here once its session is here. */
  add(bridge: Bridge): void {
    const clientId = sessionNameOf(bridge.name);
    this.#unclaimed.delete(clientId);
    bridge.standBy(null);
    const place = { bridge, isHere: false, isAsking: false, wasPaused: false };
    this.#places.set(clientId, place);
    this.#ask(clientId, place);
    this.#lookAgain();
  }

  /** It is closed, and its session stays. */
  drop(bridge: Bridge): void {
    const { core } = this.#options.context;
    const clientId = sessionNameOf(bridge.name);
    if (this.#places.get(clientId)?.bridge !== bridge) return;
    this.#places.delete(clientId);
    if (core.findSession(clientId) !== undefined) this.#unclaimed.set(clientId, core.now);
  }

  /** An operator says so, who may have asked another node. */
  steer(name: string, isPaused: boolean): void {
    const place = this.#places.get(sessionNameOf(name));
    if (place?.isHere !== true) return;
    place.wasPaused = isPaused;
    if (isPaused) place.bridge.pause();
    else place.bridge.resume();
  }

  close(): void {
    this.#isClosed = true;
    this.#options.context.timers.cancel(this.#timer);
  }

  // What the node asks and tells

  keeps(clientId: string): boolean {
    return this.#places.has(clientId) && this.#options.context.drain.state === null;
  }

  queueLimitsOf(clientId: string): OwnQueueLimits | null {
    if (!isOfBridge(clientId)) return null;
    const place = this.#places.get(clientId);
    return place === undefined ? unclaimedLimits : queueLimitsOf(place.bridge.settings);
  }

  arrived(clientId: string): void {
    if (!isOfBridge(clientId) || this.#places.has(clientId)) return;
    this.#unclaimed.set(clientId, this.#options.context.core.now);
    this.#lookAgain();
  }

  leave(clientId: string): void {
    const place = this.#places.get(clientId);
    if (place !== undefined) this.#standBy(place, 'another node goes on with it');
  }

  leaveAll(why: string): void {
    for (const place of this.#places.values()) this.#standBy(place, why);
  }

  #standBy(place: Place, why: string): void {
    if (!place.isHere) return;
    place.isHere = false;
    place.bridge.standBy(why);
  }

  // Looking for sessions

  #lookAgain(): void {
    const { timers, core } = this.#options.context;
    if (!this.#isClosed) timers.set(this.#timer, core.now + lookMs);
  }

  #look(): void {
    const { core } = this.#options.context;
    for (const [clientId, place] of this.#places) if (!place.isHere) this.#ask(clientId, place);
    if (core.now - this.#notesReadAt >= notesMs) this.#readNotes();
    this.#endUnclaimed();
    if (this.#places.size + this.#unclaimed.size > 0) this.#lookAgain();
  }

  #ask(clientId: string, place: Place): void {
    if (place.isAsking) return;
    place.isAsking = true;
    const { sessions } = this.#options;
    void this.#wait(async () => {
      if (!(await sessions.claim(clientId))) return;
      await sessions.refreshNotes();
      // It may have gone, or this node is cut off; else this comes at once.
      if (await sessions.claim(clientId)) this.#enter(() => this.#begin(clientId, place));
    }).finally(() => {
      place.isAsking = false;
    });
  }

  #begin(clientId: string, place: Place): void {
    if (this.#isClosed || place.isHere || this.#places.get(clientId) !== place) return;
    const { isPaused, context } = this.#options;
    const { bridge } = place;
    place.isHere = true;
    place.wasPaused = isPaused(bridge.name);
    context.log.info({ bridge: bridge.name }, 'the bridge runs at this node');
    bridge.begin(place.wasPaused);
  }

  #readNotes(): void {
    const { context, sessions, isPaused } = this.#options;
    this.#notesReadAt = context.core.now;
    void this.#wait(async () => {
      await sessions.refreshNotes();
      this.#enter(() => {
        for (const { bridge, wasPaused } of this.#places.values()) {
          if (isPaused(bridge.name) !== wasPaused) this.steer(bridge.name, !wasPaused);
        }
      });
    });
  }

  #endUnclaimed(): void {
    const { context, removeUnknown } = this.#options;
    const { core, cluster } = context;
    for (const [clientId, since] of this.#unclaimed) {
      const isHere = core.findSession(clientId) !== undefined;
      if (isHere && (core.now - since < unclaimedMs || !cluster!.holds(clientId))) continue;
      this.#unclaimed.delete(clientId);
      if (isHere) removeUnknown(bridgeNameOf(clientId));
    }
  }

  /** What cannot be told now is asked again soon. */
  async #wait(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      if (error instanceof EngineUnavailable) return;
      this.#options.context.boundary.break('where bridges run', error);
    }
  }

  #enter(run: () => void): void {
    const { boundary, advanceClock } = this.#options.context;
    if (this.#isClosed || boundary.isBroken) return;
    boundary.forAll('a bridge that begins at this node', () => {
      advanceClock();
      run();
    });
  }
}
