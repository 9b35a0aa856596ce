/** What can never go over a bridge: it is in the quarantine, whose list says why. */
import type { BrokerContext } from '../broker/broker-context.ts';
import { openProperties } from '../codec/publish-properties.ts';
import type { QuarantineStore } from '../contracts/pipeline.ts';
import type { Message } from '../protocol/message.ts';

export class KeptForOperator {
  /** Messages, in this run. */
  count = 0;
  readonly #context: BrokerContext;
  readonly #quarantine: QuarantineStore;
  readonly #bridge: string;

  constructor(context: BrokerContext, quarantine: QuarantineStore, bridge: string) {
    this.#context = context;
    this.#quarantine = quarantine;
    this.#bridge = bridge;
  }

  keep(message: Message, direction: 'in' | 'out', reason: string): void {
    const { core, limitedLog } = this.#context;
    const { topic, payload, qos, retain, expirySeconds } = message.keep();
    const published = {
      ...{ topic: topic.name, payload: Buffer.from(payload), qos, retain },
      messageExpiryInterval: expirySeconds < 0 ? undefined : expirySeconds,
      ...openProperties(message),
    };
    this.count++;
    this.#quarantine.put({
      ...{ message: published, clientId: null, username: null, version: '' },
      ...{ pipeline: `bridge ${this.#bridge}`, stage: direction, reason, time: core.now },
    });
    const fields = { bridge: this.#bridge, topic: topic.name, reason };
    limitedLog.warn('bridge', fields, 'a message cannot go over the bridge, and is in the quarantine');
  }
}
