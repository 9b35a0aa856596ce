/**
 * Which pipelines that are for some subscribers only a subscription's messages go through on their way, and what it
 * asked for with `accept`. All subscriptions with the same of both are one class; its name is stored with the
 * subscription. What is for everybody is in no name: it applies as it is when a message is published, whatever an
 * earlier run of the broker has stored.
 */
import { matchesWildcard } from '../base/wildcard.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { Part } from './part.ts';

/** Between the names of a class's pipelines, and before the content type it wants; neither is in a name. */
const nameSeparator = ',';
const acceptSeparator = ';';

/** Null: messages come as they were published. */
export function classNameOf(parts: readonly Part[], client: ClientIdentity, contentType: string | null): string | null {
  const names = parts.filter((part) => !isForAll(part) && isFor(part, client)).map(({ name }) => name);
  if (contentType !== null) return `${names.join(nameSeparator)}${acceptSeparator}${contentType}`;
  return names.length === 0 ? null : names.join(nameSeparator);
}

export interface SubscriberClass {
  /** Of pipelines that may be gone. */
  readonly names: readonly string[];
  readonly contentType: string | null;
}

export function parseClassName(name: string): SubscriberClass {
  const [names = '', contentType = null] = name.split(acceptSeparator);
  return { names: names.split(nameSeparator), contentType };
}

/** A step of a program, or a pipeline without `for`. */
export const isForAll = ({ for: wanted }: Part): boolean => wanted === undefined;

function isFor({ for: wanted }: Part, client: ClientIdentity): boolean {
  if (wanted === undefined) return true;
  const { username, clientId, listener } = wanted;
  return (
    isAsWanted(username, client.username) &&
    isAsWanted(clientId, client.clientId) &&
    isAsWanted(listener, client.listener)
  );
}

/** Undefined: anything is. */
function isAsWanted(pattern: string | undefined, text: string | null): boolean {
  return pattern === undefined || (text !== null && matchesWildcard(pattern.split('*'), text));
}
