/**
 * What a bridge tells of itself in topics, by Mosquitto's names: `1` or `0` in `$SYS/broker/connection/{name}/state`
 * here, and at the peer if it is asked to. [mosquitto.conf(5), notifications]
 */
import type { BrokerContext } from '../broker/broker-context.ts';
import { createMessage } from '../broker/create-message.ts';
import { OwnMessages } from '../broker/own-messages.ts';
import type { BridgeSettings } from '../contracts/bridge-settings.ts';
import type { BridgeView } from '../contracts/commands/bridges.ts';
import type { Will } from '../protocol/packets.ts';
import { brokerPublisher } from '../protocol/publisher.ts';
import { Topic, widestTopicLimits } from '../protocol/topic.ts';

const connectedText = '1';
const disconnectedText = '0';

type Told = Pick<BridgeView, 'state' | 'problem' | 'address' | 'version' | 'isSluice' | 'since' | 'connects'>;

/** To clients of this broker; in a cluster, to those of all nodes. */
export class LocalNotifications {
  readonly #context: BrokerContext;
  readonly #messages: OwnMessages;
  readonly #isOn: boolean;
  readonly #state: Topic;
  readonly #details: Topic;
  readonly #last = new Map<Topic, string>();

  constructor(context: BrokerContext, { name, notifications }: BridgeSettings) {
    this.#context = context;
    this.#messages = new OwnMessages(context, context.cluster === null);
    this.#isOn = notifications.local;
    this.#state = Topic.of(`$SYS/broker/connection/${name}/state`);
    this.#details = Topic.of(`$SYS/broker/connection/${name}/details`);
  }

  /** Another node may have told something else meanwhile. */
  begin(): void {
    this.#last.clear();
  }

  /** Publishes what has changed since the last time. */
  tell({ state, problem, address, version, isSluice, since, connects }: Told): void {
    if (!this.#isOn) return this.forget();
    this.#put(this.#state, state === 'connected' ? connectedText : disconnectedText);
    this.#put(this.#details, JSON.stringify({ state, problem, address, version, isSluice, since, connects }));
  }

  /** Nothing is retained of it any more. */
  forget(): void {
    for (const topic of [this.#state, this.#details]) {
      if (this.#last.has(topic) || this.#context.core.retained(topic.name) !== null) this.#put(topic, '');
      this.#last.delete(topic);
    }
  }

  #put(topic: Topic, text: string): void {
    if (this.#last.get(topic) === text) return;
    this.#last.set(topic, text);
    const { core, boundary } = this.#context;
    const fields = { payload: Buffer.from(text), retain: true };
    const message = createMessage(topic.name, fields, core.now, widestTopicLimits, topic);
    message.publisher = brokerPublisher;
    this.#messages.publish(message, {
      mayRefuse: false,
      done() {},
      failed: (error) => boundary.break('$SYS', error),
    });
  }
}

/** What the peer publishes once the link is lost; null: it is to be told nothing. */
export function remoteWill(settings: BridgeSettings, clientId: string): Will | null {
  const topic = remoteTopicOf(settings, clientId);
  if (topic === null) return null;
  return { topic, payload: Buffer.from(disconnectedText), qos: 0, retain: true, properties: {} };
}

/** The same for the time from now on. */
export function remoteNotice(settings: BridgeSettings, clientId: string, isConnected: boolean) {
  const topic = remoteTopicOf(settings, clientId);
  return topic === null ? null : { topic, payload: Buffer.from(isConnected ? connectedText : disconnectedText) };
}

function remoteTopicOf({ notifications }: BridgeSettings, clientId: string): string | null {
  const { remote, remoteTopic = `$SYS/broker/connection/${clientId}/state` } = notifications;
  return remote ? remoteTopic : null;
}
