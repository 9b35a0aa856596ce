/** The beginning of a connection: what the program says of a CONNECT before the broker hears of it. */
import { randomUUID } from 'node:crypto';
import { asked } from './asked.ts';
import type { Owner } from './owner.ts';
import type { ConnackPacket, ConnectPacket } from './packets.ts';

/** By return code of MQTT 3.1.1, in Aedes's words; 6 is Aedes's own. */
const errorMessages = [
  '',
  'unacceptable protocol version',
  'identifier rejected',
  'Server unavailable',
  'bad user name or password',
  'not authorized',
  'keep alive limit exceeded',
] as const;

/** What MQTT 5 says for it. */
const reasonCodes = [0, 0x84, 0x85, 0x88, 0x86, 0x87, 0x83] as const;

export type Greeting =
  /** For the broker. */
  | { readonly connect: ConnectPacket }
  | { readonly refusal: Error; readonly connack: ConnackPacket }
  /** The client is told nothing, and without an error nobody is. */
  | { readonly refusal: Error | null; readonly connack: null };

/** Of a code of either version. */
export const refusalMessage = (code: number): string =>
  errorMessages[code < 0x80 ? code : reasonCodes.indexOf(code as never)] ?? `refused with reason code ${code}`;

/** What CONNECT says of a client. */
interface Connecting<C> {
  readonly broker: Owner<C>;
  id: string;
  clean: boolean;
  version: number;
}

export async function connect<C extends Connecting<C>>(client: C, packet: ConnectPacket): Promise<Greeting> {
  const { broker } = client;
  const before = await asked<boolean>((done) => broker.preConnect(client, packet, done));
  if (before.error !== null) return { refusal: before.error, connack: null };
  if (before.value !== true) return { refusal: null, connack: null };
  const code = faultOf(broker, packet);
  if (code > 0) return refusalOf(packet, code, new Error(errorMessages[code]));
  client.id = packet.clientId || `aedes_${randomUUID()}`;
  client.clean = packet.clean ?? true;
  client.version = packet.protocolVersion ?? 4;
  const { error, value } = await asked<boolean | null>((done) =>
    broker.authenticate(client, packet.username, packet.password, done),
  );
  if (error === null && value) return { connect: withoutAliases({ ...packet, clientId: client.id }) };
  const told = (error as { returnCode?: number } | null)?.returnCode ?? 5;
  const returnCode = told >= 2 && told <= 5 ? told : 5;
  const refusal = error ?? new Error(errorMessages[returnCode]);
  refusal.message ||= errorMessages[returnCode]!;
  return refusalOf(packet, returnCode, refusal);
}

function faultOf(
  broker: Pick<Owner<never>, 'opts'>,
  { protocolVersion = 4, protocolId, clientId, keepalive = 0 }: ConnectPacket,
): number {
  const { keepaliveLimit, maxClientsIdLength } = broker.opts;
  if (keepaliveLimit > 0 && (keepalive === 0 || keepalive > keepaliveLimit)) return 6;
  if (protocolVersion === 3 && clientId.length > maxClientsIdLength) return 2;
  return protocolVersion === 5 && protocolId !== 'MQTT' ? 1 : 0;
}

function refusalOf({ protocolVersion, protocolId }: ConnectPacket, code: number, refusal: Error): Greeting {
  const isNew = protocolVersion === 5 && protocolId === 'MQTT';
  const codes = isNew ? { reasonCode: reasonCodes[code]! } : { returnCode: code };
  const connack: ConnackPacket = { cmd: 'connack', sessionPresent: false, ...codes };
  return { refusal: Object.assign(refusal, { errorCode: code }), connack };
}

/** Handlers are asked about topics, so each packet has its own, in both directions. */
function withoutAliases(packet: ConnectPacket): ConnectPacket {
  if (packet.properties?.topicAliasMaximum === undefined) return packet;
  const { topicAliasMaximum: _, ...properties } = packet.properties;
  return { ...packet, properties };
}

/** Makes the broker's answer the client's. `asked`: what the client had sent. */
export function greeted(connack: ConnackPacket, asked: ConnectPacket, sent: ConnectPacket): void {
  if (connack.properties !== undefined) delete connack.properties.topicAliasMaximum;
  if (asked.clientId || sent.protocolVersion !== 5) return;
  connack.properties = { ...connack.properties, assignedClientIdentifier: sent.clientId };
}
