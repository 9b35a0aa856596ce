/**
 * Which clients a rule is about. Rules with the same conditions share one object, and a client's answer to it is
 * remembered.
 */
import { AddressSet } from '../../base/addresses.ts';
import { matchesWildcard } from '../../base/wildcard.ts';
import type { RuleClients, TextPatterns } from '../../contracts/authorization-settings.ts';
import type { ClientIdentity } from '../../contracts/hooks.ts';
import { attributeOf, usernameOf } from './topic-pattern.ts';

export type ClientTest = (client: ClientIdentity) => boolean;

export const asList = (texts: TextPatterns): readonly string[] => (typeof texts === 'string' ? [texts] : texts);

/** All conditions but `except`; null if there is no other. */
export function clientTest(wanted: RuleClients, except: keyof RuleClients | null): ClientTest | null {
  const tests: ClientTest[] = [];
  const add = (name: keyof RuleClients, test: ClientTest) => name !== except && tests.push(test);
  const { username, group, clientId, address, listener, attributes } = wanted;
  if (username !== undefined) {
    const fits = textTest(username);
    add('username', (client) => {
      const name = usernameOf(client);
      return name !== null && fits(name);
    });
  }
  if (group !== undefined) {
    const fits = textTest(group);
    add('group', ({ groups }) => groups.some(fits));
  }
  if (clientId !== undefined) {
    const fits = textTest(clientId);
    add('clientId', (client) => fits(client.clientId));
  }
  if (listener !== undefined) {
    const fits = textTest(listener);
    add('listener', (client) => fits(client.listener));
  }
  if (attributes !== undefined) {
    const wantedOnes = Object.entries(attributes).map(([name, value]) => ({ name, fits: textTest(value) }));
    add('attributes', (client) => {
      return wantedOnes.every(({ name, fits }) => {
        const value = attributeOf(name, client);
        return value !== null && fits(value);
      });
    });
  }
  if (address !== undefined) {
    const networks = new AddressSet(asList(address));
    // `address:port`, of which IPv6 has more colons.
    add('address', ({ remoteAddress }) => networks.has(remoteAddress.slice(0, remoteAddress.lastIndexOf(':'))));
  }
  if (tests.length === 0) return null;
  return tests.length === 1 ? tests[0]! : (client) => tests.every((test) => test(client));
}

function textTest(wanted: TextPatterns): (text: string) => boolean {
  const patterns = asList(wanted);
  const exact = new Set(patterns.filter((pattern) => !pattern.includes('*')));
  const wild = patterns.filter((pattern) => pattern.includes('*')).map((pattern) => pattern.split('*'));
  return (text) => exact.has(text) || wild.some((parts) => matchesWildcard(parts, text));
}
