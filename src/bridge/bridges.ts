/**
 * The bridges of a broker, by their names: those of the configuration, and those that commands have made, which are
 * remembered with the data.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Attachment } from '../broker/attachment.ts';
import type { BrokerContext } from '../broker/broker-context.ts';
import type { Residents } from '../broker/node-sessions.ts';
import { PacketDecoder } from '../codec/framer.ts';
import { fromServer } from '../codec/source.ts';
import { type BridgeSettings, bridge as bridgeSchema } from '../contracts/bridge-settings.ts';
import { widestTopicLimits } from '../protocol/topic.ts';
import { Bridge, type BridgeWorld } from './bridge.ts';
import { bridgeMetrics } from './metrics.ts';
import { Placement } from './placement.ts';

export type BridgesOptions = Pick<BridgeWorld, 'dial' | 'quarantine' | 'environment'>;

/** Of notes. */
const settingsPrefix = 'bridge/settings/';
const pausedPrefix = 'bridge/paused/';
const configuredPrefix = 'bridge/configured/';

export class Bridges implements Attachment, Iterable<Bridge> {
  readonly #world: BridgeWorld;
  readonly #bridges = new Map<string, Bridge>();
  /** Null: all of them run here. */
  readonly #placement: Placement | null;
  #configured = new Set<string>();

  constructor(context: BrokerContext, options: BridgesOptions) {
    const { limits } = context.settings;
    // What is too much here is for the operator to see, and no reason to lose the peer.
    const wide = { ...limits, ...widestTopicLimits, propertyBytes: limits.packetBytes };
    this.#world = { ...options, context, decoder: new PacketDecoder(wide, context.chunks, fromServer) };
    const sessions = context.cluster?.residents ?? null;
    const isPaused = (name: string) => this.#isPaused(name);
    const removeUnknown = (name: string) =>
      this.#tellRemoved(name, new Bridge(this.#world, unknownBridge(name)).remove());
    this.#placement = sessions === null ? null : new Placement({ context, sessions, isPaused, removeUnknown });
    context.metrics.add(bridgeMetrics(this));
  }

  /** For the node that the broker is; null: it is none. */
  get residents(): Residents | null {
    return this.#placement;
  }

  /** Whether it is in a cluster, whose bridges are those of the configuration. */
  get areOfCluster(): boolean {
    return this.#placement !== null;
  }

  get(name: string): Bridge | null {
    return this.#bridges.get(name) ?? null;
  }

  [Symbol.iterator](): Iterator<Bridge> {
    return this.#bridges.values();
  }

  isConfigured(name: string): boolean {
    return this.#configured.has(name);
  }

  /** At the start: those of the configuration, and those that commands have made. */
  async start(configured: readonly BridgeSettings[]): Promise<void> {
    const { notes, log } = this.#world.context;
    await this.use(configured);
    for (const note of [...notes.names(settingsPrefix)]) {
      const name = note.slice(settingsPrefix.length);
      // The configuration has one of this name by now.
      if (this.#bridges.has(name)) continue;
      const { data, error } = bridgeSchema.safeParse(JSON.parse(notes.get(note)!.toString()));
      if (data !== undefined) this.#begin(data);
      else log.error({ bridge: name, cause: error.message }, 'a bridge that a command made cannot be used any more');
    }
  }

  /**
   * Those of a configuration: what has not changed goes on, and those that are not in it any more are removed, also if
   * they were in that of an earlier run.
   */
  async use(configured: readonly BridgeSettings[]): Promise<void> {
    this.#configured = new Set(configured.map(({ name }) => name));
    if (this.#placement === null) await this.#removeUnconfigured();
    else await this.#dropUnconfigured(this.#placement);
    for (const settings of configured) {
      this.#world.context.notes.put(configuredPrefix + settings.name, Buffer.alloc(0));
      const existing = this.#bridges.get(settings.name);
      if (existing === undefined || !isDeepStrictEqual(existing.settings, settings)) await this.#replace(settings);
    }
  }

  async #removeUnconfigured(): Promise<void> {
    for (const note of [...this.#world.context.notes.names(configuredPrefix)]) {
      const name = note.slice(configuredPrefix.length);
      if (!this.#configured.has(name)) this.#tellRemoved(name, await this.remove(name));
    }
  }

  #tellRemoved(bridge: string, dropped: number): void {
    const text = 'a bridge is not in the configuration any more: it and what waited there is gone';
    this.#world.context.log.warn({ bridge, dropped }, text);
  }

  /** Other nodes may have them still. */
  async #dropUnconfigured(placement: Placement): Promise<void> {
    for (const [name, bridge] of [...this.#bridges]) {
      if (this.#configured.has(name)) continue;
      this.#bridges.delete(name);
      placement.drop(bridge);
      await bridge.close();
    }
  }

  /** One that a command makes, or changes. */
  async make(settings: BridgeSettings): Promise<Bridge> {
    this.#world.context.notes.put(settingsPrefix + settings.name, Buffer.from(JSON.stringify(settings)));
    return this.#replace(settings);
  }

  /** A pipeline that these name and that there is not; null: there are all. */
  missingPipeline({ topics }: BridgeSettings): string | null {
    const { pipeline } = this.#world.context;
    const isMissing = (name: string) => pipeline.hasForBridges?.(name) !== true;
    return topics.find((topic) => topic.pipeline !== undefined && isMissing(topic.pipeline))?.pipeline ?? null;
  }

  async #replace(settings: BridgeSettings): Promise<Bridge> {
    const before = this.#bridges.get(settings.name);
    if (before !== undefined) this.#placement?.drop(before);
    await before?.close();
    return this.#begin(settings);
  }

  #begin(settings: BridgeSettings): Bridge {
    const bridge = new Bridge(this.#world, settings);
    this.#bridges.set(settings.name, bridge);
    if (this.#placement === null) bridge.begin(this.#isPaused(settings.name));
    else this.#placement.add(bridge);
    return bridge;
  }

  #isPaused(name: string): boolean {
    return this.#world.context.notes.get(pausedPrefix + name) !== null;
  }

  pause(name: string): void {
    this.#world.context.notes.put(pausedPrefix + name, Buffer.alloc(0));
    if (this.#placement === null) this.#bridges.get(name)?.pause();
    else this.#placement.steer(name, true);
  }

  resume(name: string): void {
    this.#world.context.notes.delete(pausedPrefix + name);
    if (this.#placement === null) this.#bridges.get(name)?.resume();
    else this.#placement.steer(name, false);
  }

  /** With its session, and what waits there; resolves with how many messages these are. */
  async remove(name: string): Promise<number> {
    const { notes } = this.#world.context;
    const bridge = this.#bridges.get(name) ?? new Bridge(this.#world, unknownBridge(name));
    await bridge.close();
    this.#bridges.delete(name);
    for (const prefix of [settingsPrefix, pausedPrefix, configuredPrefix]) notes.delete(prefix + name);
    return bridge.remove();
  }

  async close(): Promise<void> {
    this.#placement?.close();
    await Promise.all([...this.#bridges.values()].map((bridge) => bridge.close()));
  }

  abandon(): void {
    this.#placement?.close();
    for (const bridge of this.#bridges.values()) bridge.abandon();
  }
}

/** One of an earlier run, of which only the name and what it has left in the data are known. It never connects. */
const unknownBridge = (name: string): BridgeSettings =>
  bridgeSchema.parse({ name, addresses: ['mqtt://removed.invalid'], topics: [{ filter: '#', direction: 'out' }] });
