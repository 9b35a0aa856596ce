/**
 * The bridges of a broker, by their names.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Attachment } from '../broker/attachment.ts';
import type { BrokerContext } from '../broker/broker-context.ts';
import { PacketDecoder } from '../codec/framer.ts';
import { fromServer } from '../codec/source.ts';
import type { BridgeSettings } from '../contracts/bridge-settings.ts';
import { widestTopicLimits } from '../protocol/topic.ts';
import { Bridge, type BridgeWorld } from './bridge.ts';

export type BridgesOptions = Pick<BridgeWorld, 'dial' | 'quarantine' | 'environment' | 'clientIdOf'>;

export class Bridges implements Attachment {
  readonly #world: BridgeWorld;
  readonly #bridges = new Map<string, Bridge>();

  constructor(context: BrokerContext, options: BridgesOptions) {
    const { limits } = context.settings;
    // What is too much here is for the operator to see, and no reason to lose the peer.
    const wide = { ...limits, ...widestTopicLimits, propertyBytes: limits.packetBytes };
    this.#world = { ...options, context, decoder: new PacketDecoder(wide, context.chunks, fromServer) };
  }

  get(name: string): Bridge | null {
    return this.#bridges.get(name) ?? null;
  }

  [Symbol.iterator](): Iterator<Bridge> {
    return this.#bridges.values();
  }

  /** Those of a configuration: what has not changed goes on. */
  async use(all: readonly BridgeSettings[]): Promise<void> {
    for (const settings of all) {
      const existing = this.#bridges.get(settings.name);
      if (existing !== undefined && isDeepStrictEqual(existing.settings, settings)) continue;
      await existing?.close();
      const bridge = new Bridge(this.#world, settings);
      this.#bridges.set(settings.name, bridge);
      bridge.begin();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#bridges.values()].map((bridge) => bridge.close()));
  }

  abandon(): void {
    for (const bridge of this.#bridges.values()) bridge.abandon();
  }
}
