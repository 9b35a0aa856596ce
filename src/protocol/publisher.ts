/**
 * Who published a message, as one short text that the message carries on its way: whoever gives it up can tell whose it
 * was. A client's own identifier stands for it; texts that begin with U+0000, which no identifier does, for the others.
 */
import { cutText } from '../base/cut-text.ts';

/** Of a client identifier, so many characters at most: very many messages may carry one. */
export const publisherCharactersMax = 64;

/** The program around the broker, or a pipeline that had held back what others published. */
export const programPublisher = '\0program';
/** The broker itself: `$SYS`. */
export const brokerPublisher = '\0broker';
/**
 * Nobody: what the topic retains is removed at all nodes of a cluster by a message that is delivered to nobody.
 */
export const removal = '\0removal';
const willPrefix = '\0will:';
/** Begins the client identifiers of sessions of bridges: the name follows, and behind a slash what a lane is for. */
export const bridgeSessionPrefix = '\0bridge/';

export const isOfBridge = (clientId: string): boolean => clientId.startsWith(bridgeSessionPrefix);
/** Whether it is a client within the process that ends with it. */
export const isProgramClient = (clientId: string): boolean => clientId.startsWith('\0') && !isOfBridge(clientId);

export const clientPublisher = (clientId: string): string =>
  isOfBridge(clientId) ? clientId : cutText(clientId, publisherCharactersMax);
export const willPublisher = (clientId: string): string => wholeWillPublisher(clientPublisher(clientId));
/** With the whole identifier: too long for a message to carry. */
export const wholeWillPublisher = (clientId: string): string => `${willPrefix}${clientId}`;

export type PublisherKind = 'client' | 'will' | 'program' | 'broker';

/** What such a text says. */
export function readPublisher(publisher: string): { kind: PublisherKind; clientId: string | null } {
  if (!publisher.startsWith('\0')) return { kind: 'client', clientId: publisher };
  if (isOfBridge(publisher)) return { kind: 'program', clientId: publisher };
  if (publisher.startsWith(willPrefix)) return { kind: 'will', clientId: publisher.slice(willPrefix.length) };
  return { kind: publisher === brokerPublisher ? 'broker' : 'program', clientId: null };
}
