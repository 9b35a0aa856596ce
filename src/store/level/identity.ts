/**
 * Who a session's client is, as it stands in the record of the session: a byte for what has few values, names once
 * where they are the client identifier, and the rest as texts.
 *
 * There are as many of these as sessions, on disk and in memory. So those that are read share what many have in common:
 * the listener, the names of groups and attributes, and having none of them.
 */
import type { ClientIdentity } from '../../contracts/hooks.ts';
import type { StoredSession } from '../../contracts/session-store.ts';
import type { TransportKind } from '../../contracts/transport.ts';
import type { ProtocolVersion } from '../../protocol/traits.ts';
import { type ByteReader, type ByteWriter, CorruptValue } from './bytes.ts';

/** Their numbers in records, which stay; three bits have room for eight. */
const transportNumbers: Readonly<Record<TransportKind, number>> = {
  tcp: 0,
  tls: 1,
  ws: 2,
  wss: 3,
  local: 4,
  unix: 5,
  stream: 6,
};
const transports = Object.keys(transportNumbers) as TransportKind[];
const hasUsername = 8;
const isNamedAsClient = 16;
const hasOtherClientId = 32;

const sharedMax = 1_000;
const shared = new Map<string, string>();
const noGroups: readonly string[] = Object.freeze([]);
const noAttributes: Readonly<Record<string, string>> = Object.freeze({});

export function writeIdentity(out: ByteWriter, identity: ClientIdentity, clientId: string): void {
  const { username, transport, groups } = identity;
  const isOther = identity.clientId !== clientId;
  const naming = username === null ? 0 : username === identity.clientId ? isNamedAsClient : hasUsername;
  out.u8(transportNumbers[transport] | naming | (isOther ? hasOtherClientId : 0)).u8(identity.protocolVersion);
  if (isOther) out.text(identity.clientId);
  if (naming === hasUsername) out.text(username!);
  out.text(identity.remoteAddress).text(identity.listener).varint(groups.length);
  for (const group of groups) out.text(group);
  const attributes = Object.entries(identity.attributes);
  out.varint(attributes.length);
  for (const [name, value] of attributes) out.text(name).text(value);
}

/** Of the session with this client identifier. Throws CorruptValue. */
export function readIdentity(reader: ByteReader, ofClient: StoredSession['clientId']): ClientIdentity {
  const flags = reader.u8();
  const transport = transports[flags & 7];
  if (transport === undefined) throw new CorruptValue('a transport has a number that is none');
  const protocolVersion = reader.u8() as ProtocolVersion;
  const clientId = (flags & hasOtherClientId) === 0 ? ofClient : reader.text();
  const username = (flags & hasUsername) !== 0 ? reader.text() : (flags & isNamedAsClient) !== 0 ? clientId : null;
  const remoteAddress = reader.text();
  const listener = sharedText(reader.text());
  const groups = reader.list(() => sharedText(reader.text()));
  const attributes = reader.list(() => [sharedText(reader.text()), reader.text()] as const);
  return {
    clientId,
    username,
    protocolVersion,
    transport,
    remoteAddress,
    listener,
    groups: groups.length === 0 ? noGroups : groups,
    attributes: attributes.length === 0 ? noAttributes : Object.fromEntries(attributes),
  };
}

/** The same string each time, so that equal ones take their memory once. */
function sharedText(text: string): string {
  const known = shared.get(text);
  if (known !== undefined) return known;
  // Beyond that they are not what many have in common.
  if (shared.size < sharedMax) shared.set(text, text);
  return text;
}
