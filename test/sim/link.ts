/**
 * What the judge remembers of one network connection: what its client sent, what the broker decided to send it, and
 * what of both is unanswered.
 */
import type { BrokerSettings } from '../../src/contracts/settings.ts';
import type { ConnectRequest } from './client.ts';
import type { Decision } from './decisions.ts';
import type { Options, QoS, Will } from './model.ts';
import type { Packet, Wire } from './network.ts';

/** How late the broker may be with what time brings: two looks at the clock, and the wheel's tenth of a second. */
export const toleranceMs = 350;

/** A PUBLISH as a client sent it. */
export interface SentPublish {
  readonly key: string;
  readonly topic: string;
  readonly payload: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly packetId: number;
  readonly expirySeconds: number;
  readonly clientId: string;
}

/** In the place of a message's number: what stands for the packet identifier. */
export const identifier = 0;

/** What the broker makes of one PUBLISH: from the packet to its answer. */
export interface Exchange {
  readonly sent: SentPublish;
  /** The second copy of a QoS 2 message: to be answered and no more. */
  readonly isDuplicate: boolean;
  /**
   * The rules did not allow it when it came, or at some time while it waited for a hook, the disk or an earlier answer.
   */
  isDenied: boolean;
  /** The rules have changed since it came, perhaps behind the look for room. */
  hadOtherRules: boolean;
  readonly numbers: number[];
  isRefused: boolean;
  /**
   * How far the story must be on disk before it is acknowledged: for each message that was routed, by its number, and
   * for the packet identifier (`identifier`). The second copy of a QoS 2 message promises what the first one does.
   */
  readonly marks: Map<number, number>;
}

/** A PUBLISH that the broker wrote to a connection, and the kernel may not have taken yet. */
export interface Written {
  readonly decision: Decision;
  readonly at: number;
  /** Nor was it written to an earlier connection. */
  readonly isFirst: boolean;
}

/** A message under way to a client, by its packet identifier. */
export interface InFlight {
  readonly decision: Decision;
  readonly qos: QoS;
  isReceived: boolean;
  /** PUBREL was sent, so that PUBREC came is on disk. */
  isReleased: boolean;
}

export interface Link {
  readonly name: string;
  readonly clientId: string;
  readonly version: 3 | 4 | 5;
  readonly receiveMaximum: number;
  readonly packetBytesMax: number;
  readonly topicAliasMaximum: number;
  readonly keepAliveSeconds: number;
  readonly connect: { clean: boolean; expirySeconds: number; will: Will | null };
  /** What the client put on the wire and the broker has not come to yet. */
  readonly sent: SentPublish[];
  /** What the broker wrote and the kernel has not taken yet, in order. */
  readonly written: Written[];
  readonly subscribing: Map<string, Options>;
  /** Of the SUBSCRIBE or UNSUBSCRIBE that the broker is at. */
  askingId?: number;
  wire: Wire;
  /** The broker's. */
  connection: object | null;
  uid: number;
  hasConnack: boolean;
  /** The broker has the session that its client asked for. */
  hasSession: boolean;
  /** The number of the last entry when it connected. */
  connectedAt: number;
  isWillCancelled: boolean;
  newExpirySeconds: number | null;
  isDetached: boolean;
  /** Its client has found that it is gone. */
  isGone: boolean;
  /** A bug of the broker has hit it. */
  hasBug: boolean;
  /** The last time at which it was read, or there was a reason that it was not. */
  unreadSince: number;
  exchange: Exchange | null;
  readonly unanswered: Map<string, Exchange[]>;
  readonly marks: Map<string, number>;
  /** What it waits for that needs no disk, and since when. */
  readonly asked: Map<string, number>;
  /** The messages that it sent and that are not acknowledged, in their order. */
  readonly owed: { readonly puback: Exchange[]; readonly pubrec: Exchange[] };
  readonly aliases: Map<number, string>;
  /** Packet identifiers sent on this connection and not settled. */
  readonly outstanding: Set<number>;
  /** What its client answered for an earlier connection when it had been written to this one, and had not arrived. */
  readonly answered: Set<Decision>;
  /** By what comes in order, a QoS for the most part: the highest number sent so far. */
  readonly last: Map<string, number>;
}

/** Before anything has happened on it. `clean`: what its CONNECT says. */
export function linkOf(
  name: string,
  clientId: string,
  request: ConnectRequest,
  clean: boolean,
  willKey: string | null,
  settings: BrokerSettings,
): Link {
  const isV5 = request.version === 5;
  const { keepAliveSeconds, version } = request;
  const wanted = isV5 ? request.expirySeconds : clean ? 0 : settings.sessionExpiryMaximumSeconds;
  const serverKeepAlive = isV5 ? settings.serverKeepAliveSeconds : 0;
  const isCapped = serverKeepAlive > 0 && (keepAliveSeconds === 0 || keepAliveSeconds > serverKeepAlive);
  return {
    ...{ name, clientId, version },
    receiveMaximum: isV5 ? request.receiveMaximum : 65_535,
    packetBytesMax: isV5 ? request.packetBytesMax : 1_000_000,
    topicAliasMaximum: isV5 ? request.topicAliasMaximum : 0,
    keepAliveSeconds: isCapped ? serverKeepAlive : keepAliveSeconds,
    connect: {
      clean,
      expirySeconds: Math.min(wanted, settings.sessionExpiryMaximumSeconds),
      will: willKey === null ? null : { key: willKey, delaySeconds: request.will!.delaySeconds },
    },
    ...{ sent: [], written: [], subscribing: new Map(), uid: 0, hasConnack: false, hasSession: false, connectedAt: 0 },
    ...{ isWillCancelled: false, newExpirySeconds: null, isDetached: false, isGone: false },
    ...{ unanswered: new Map(), marks: new Map(), aliases: new Map(), outstanding: new Set(), last: new Map() },
    ...{ answered: new Set(), asked: new Map(), owed: { puback: [], pubrec: [] } },
    ...{ hasBug: false, unreadSince: 0, exchange: null, connection: null, wire: null as unknown as Wire },
  };
}

/** By what a message is recognised: the number that its payload begins with. */
export function keyOf(payload: string, topic: string): string {
  const end = payload.indexOf(' ');
  return payload === '' ? `empty ${topic}` : end === -1 ? payload : payload.slice(0, end);
}

export function describe(packet: Packet, key: string, topic: string): string {
  const { qos, messageId, dup, retain, properties } = packet;
  const id = qos === 0 ? '' : ` id ${messageId}`;
  const seconds = properties?.messageExpiryInterval;
  const identifiers = properties?.subscriptionIdentifier === undefined ? '' : ` [${properties.subscriptionIdentifier}]`;
  const flags = `${dup ? ' DUP' : ''}${retain ? ' RETAIN' : ''}${seconds === undefined ? '' : ` ${seconds} s left`}`;
  return `PUBLISH ${key} to ${topic}, QoS ${qos}${id}${flags}${identifiers}`;
}
