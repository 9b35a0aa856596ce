/**
 * What the bridge has subscribed to at its peer: the SUBSCRIBEs of a link, and what their answers say.
 */

import { pathsProperty, pathsText } from '../broker/subscriber-paths.ts';
import type { Log } from '../contracts/log.ts';
import type { SubackPacket, SubscribePacket, UnsubscribePacket } from '../protocol/packets.ts';
import { describeReason, isFailure } from '../protocol/reason-codes.ts';
import type { WantedEntry } from './demand.ts';
import type { Link } from './link.ts';
import type { TopicEntry } from './topic-map.ts';

/** AWS IoT Core takes no more filters in one SUBSCRIBE. */
const filtersPerPacket = 8;

export interface SubscriptionsOptions {
  readonly link: Link;
  readonly log: Log;
  /** Of the bridge. */
  readonly name: string;
  /** The peer has answered all SUBSCRIBEs. */
  readonly onAnswered: () => void;
  readonly onRefused: (filter: string) => void;
  /** It has forgotten these. */
  readonly onGone: (filters: readonly string[]) => void;
  /** Runs it once all is stored that is staged now, unless the link has ended by then; in the order of the calls. */
  readonly whenStored: (run: () => void) => void;
}

export class PeerSubscriptions {
  /** Filters that the peer has refused, each with why. */
  readonly refused = new Map<string, string>();
  readonly #options: SubscriptionsOptions;
  /** What SUBACKs are awaited for. */
  readonly #awaited = new Map<number, readonly TopicEntry[]>();
  /** The same for UNSUBACKs. */
  readonly #leaving = new Map<number, readonly string[]>();
  /** Changes that are to be stored here before the peer is told. */
  #unstored = 0;
  /** Not wanted any more, and to be left once all that is wanted is subscribed to. */
  readonly #outdated = new Set<string>();

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  /** The peer has answered all of them. */
  get areAnswered(): boolean {
    return this.#awaited.size === 0 && this.#unstored === 0;
  }

  /**
   * Once it is stored here what the peer may know: what a crash made this broker forget, the peer would go on to send
   * for ever.
   */
  change(gone: readonly string[], missing: readonly WantedEntry[], hasPaths: boolean): void {
    if (gone.length === 0 && missing.length === 0) return;
    this.#unstored++;
    this.#options.whenStored(() => {
      this.#unstored--;
      this.subscribe(missing, hasPaths);
      for (const filter of gone) this.#outdated.add(filter);
      for (const { filter } of missing) this.#outdated.delete(filter);
      if (this.areAnswered) this.#allAnswered();
    });
  }

  /** Only now is it left what others have taken the place of: what comes in between matches one of them. */
  #allAnswered(): void {
    this.#unsubscribe([...this.#outdated]);
    this.#outdated.clear();
    this.#options.onAnswered();
  }

  /** `hasPaths`: the peer is told for whom these are. */
  subscribe(entries: readonly (TopicEntry | WantedEntry)[], hasPaths: boolean): void {
    for (let at = 0; at < entries.length; at += filtersPerPacket) {
      const some = entries.slice(at, at + filtersPerPacket);
      const messageId = this.#nextId();
      this.#awaited.set(messageId, some);
      const packet: SubscribePacket = {
        cmd: 'subscribe',
        messageId,
        properties: hasPaths ? { userProperties: [[pathsProperty, pathsText(some.map(pathsOf))]] } : {},
        subscriptions: some.map(requestOf),
      };
      this.#options.link.send(packet);
    }
  }

  #unsubscribe(filters: readonly string[]): void {
    for (let at = 0; at < filters.length; at += filtersPerPacket) {
      const unsubscriptions = filters.slice(at, at + filtersPerPacket);
      const messageId = this.#nextId();
      this.#leaving.set(messageId, unsubscriptions);
      const packet: UnsubscribePacket = {
        cmd: 'unsubscribe',
        messageId,
        properties: {},
        unsubscriptions,
      };
      this.#options.link.send(packet);
    }
  }

  /** None that a message in flight has. */
  #nextId(): number {
    let id = this.#options.link.session!.window.distantId;
    while (this.#awaited.has(id) || this.#leaving.has(id)) id++;
    return id;
  }

  left({ messageId }: { readonly messageId: number }): void {
    const filters = this.#leaving.get(messageId);
    this.#leaving.delete(messageId);
    if (filters !== undefined) this.#options.onGone(filters);
  }

  answered({ messageId, granted }: SubackPacket): void {
    const entries = this.#awaited.get(messageId);
    this.#awaited.delete(messageId);
    if (this.areAnswered) this.#allAnswered();
    for (const [index, { filter, qos }] of (entries ?? []).entries()) {
      const code = granted[index];
      if (code === undefined || code === qos) continue;
      const { log, name } = this.#options;
      const fields = { bridge: name, filter };
      if (isFailure(code)) {
        this.refused.set(filter, describeReason(code));
        log.warn({ ...fields, reason: describeReason(code) }, 'the peer of a bridge refuses a subscription');
        this.#options.onRefused(filter);
      } else log.info({ ...fields, qos: code, wanted: qos }, 'the peer of a bridge grants a lower QoS');
    }
  }
}

const pathsOf = (entry: TopicEntry | WantedEntry) => ('paths' in entry ? (entry.paths ?? []) : []);

/**
 * No Local, so that nothing comes back that went over the bridge. What is retained comes once, when the peer does not
 * know the subscription yet.
 */
const requestOf = ({ filter, qos, retain }: TopicEntry) => ({
  topic: filter,
  qos,
  nl: true,
  rap: retain !== 'clear',
  rh: retain === 'as-published' ? (2 as const) : (1 as const),
});
