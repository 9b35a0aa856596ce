/** What subscribers of a simulated cluster must have got in the end. */
import type { ConnectRequest, SimulatedClient } from '../client.ts';
import type { QoS } from '../model.ts';
import type { Wire } from '../network.ts';
import { Violation } from '../world.ts';

export interface Part {
  readonly client: SimulatedClient;
  readonly request: ConnectRequest;
  /** Of a subscriber: what it asks for; null: it publishes. */
  readonly subscribesQoS: QoS | null;
  /** It subscribes together with others: each message is for one of them. */
  readonly isMember: boolean;
  /** Of a member: it is to subscribe. */
  mustSubscribe: boolean;
  readonly publishesQoS: QoS;
  isSubscribed: boolean;
  wire: Wire | null;
  triedAt: number;
  /** Of a publisher: how many messages it has begun. */
  published: number;
  /** Its connections so far: each has a will of its own. */
  connections: number;
  /** When it is gone for good; Infinity: it stays to the end. */
  readonly goneAt: number;
  /** It was connected then: this will is to reach everybody. */
  will: string | null;
}

/** By client: its messages, in order. */
type ByClient = ReadonlyMap<string, readonly string[]>;

/** Of its connection now. */
export const willOf = ({ client, connections }: Part) => `will-of-${client.id}:${connections}`;

/** Nothing is lost, doubled or out of order. */
export function checkSubscriber(
  { client, subscribesQoS }: Part,
  parts: readonly Part[],
  gotBy: ByClient,
  sentBy: ByClient,
): void {
  const got = gotBy.get(client.id)!;
  for (const { client: publisher, publishesQoS } of parts) {
    const sent = sentBy.get(publisher.id)!;
    const received = got.filter((each) => each.split(' ')[1]!.startsWith(`${publisher.id}:`));
    const first = [...new Set(received)];
    const lost = sent.filter((each) => !first.includes(each));
    if (lost.length > 0) {
      throw new Violation('nothing is lost', `${client.id} has not got ${lost.slice(0, 5).join(', ')}`);
    }
    if (Math.min(publishesQoS, subscribesQoS!) === 2 && first.length !== received.length) {
      const twice = received.find((each, at) => received.indexOf(each) !== at);
      throw new Violation('QoS 2 comes once [MQTT5 4.3.3]', `${client.id} got ${twice} twice`);
    }
    const at = first.findIndex((each, which) => each !== sent[which]);
    if (at >= 0) {
      throw new Violation('order holds [MQTT5 4.6.0-6]', `${client.id} got ${first[at]}, and not ${sent[at]} before`);
    }
  }
}

/** What is for members of a shared subscription comes to one of them, and of QoS 2 once. [MQTT5 4.8.2] */
export function checkMembers(parts: readonly Part[], gotBy: ByClient, sentBy: ByClient): void {
  const members = parts.filter(({ isMember }) => isMember);
  if (members.length === 0) return;
  const got = new Set(members.flatMap(({ client }) => gotBy.get(client.id)!));
  const careful = members.filter(({ subscribesQoS }) => subscribesQoS === 2);
  const once = careful.flatMap(({ client }) => gotBy.get(client.id)!);
  for (const { client: publisher, publishesQoS } of parts) {
    const sent = sentBy.get(publisher.id)!;
    const lost = sent.filter((each) => !got.has(each));
    if (lost.length > 0) {
      throw new Violation('nothing is lost between members', `none of them has got ${lost.slice(0, 5).join(', ')}`);
    }
    const own = once.filter((each) => each.split(' ')[1]!.startsWith(`${publisher.id}:`));
    if (publishesQoS !== 2 || new Set(own).size === own.length) continue;
    const twice = own.find((each, at) => own.indexOf(each) !== at)!;
    const whose = careful.filter(({ client }) => gotBy.get(client.id)!.includes(twice)).map(({ client }) => client.id);
    throw new Violation('QoS 2 comes to one member once', `${whose.join(' and ')} got ${twice} twice in all`);
  }
}

export function checkWills({ client, subscribesQoS }: Part, parts: readonly Part[], gotBy: ByClient): void {
  const wills = gotBy.get(client.id)!.filter((each) => each.includes('will-of-'));
  const twice = wills.find((each, at) => wills.indexOf(each) !== at);
  if (subscribesQoS === 2 && twice !== undefined) {
    throw new Violation('a will is published once', `${client.id} got ${twice} twice`);
  }
  for (const { will, client: gone } of parts) {
    if (will === null || wills.some((each) => each.endsWith(` ${will}`))) continue;
    throw new Violation('a will is published [MQTT5 3.1.2-8]', `${client.id} has not got that of ${gone.id}`);
  }
}
