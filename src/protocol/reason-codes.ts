/**
 * The reason codes of MQTT 5.0, by the names of its table 2-6. [MQTT5 2.4]
 * Codes of 0x80 and above mean failure.
 */
export const ReasonCode = {
  Success: 0x00,
  NormalDisconnection: 0x00,
  GrantedQoS0: 0x00,
  GrantedQoS1: 0x01,
  GrantedQoS2: 0x02,
  DisconnectWithWill: 0x04,
  NoMatchingSubscribers: 0x10,
  NoSubscriptionExisted: 0x11,
  ContinueAuthentication: 0x18,
  ReAuthenticate: 0x19,
  UnspecifiedError: 0x80,
  MalformedPacket: 0x81,
  ProtocolError: 0x82,
  ImplementationSpecificError: 0x83,
  UnsupportedProtocolVersion: 0x84,
  ClientIdentifierNotValid: 0x85,
  BadUserNameOrPassword: 0x86,
  NotAuthorized: 0x87,
  ServerUnavailable: 0x88,
  ServerBusy: 0x89,
  Banned: 0x8a,
  ServerShuttingDown: 0x8b,
  BadAuthenticationMethod: 0x8c,
  KeepAliveTimeout: 0x8d,
  SessionTakenOver: 0x8e,
  TopicFilterInvalid: 0x8f,
  TopicNameInvalid: 0x90,
  PacketIdentifierInUse: 0x91,
  PacketIdentifierNotFound: 0x92,
  ReceiveMaximumExceeded: 0x93,
  TopicAliasInvalid: 0x94,
  PacketTooLarge: 0x95,
  MessageRateTooHigh: 0x96,
  QuotaExceeded: 0x97,
  AdministrativeAction: 0x98,
  PayloadFormatInvalid: 0x99,
  RetainNotSupported: 0x9a,
  QoSNotSupported: 0x9b,
  UseAnotherServer: 0x9c,
  ServerMoved: 0x9d,
  SharedSubscriptionsNotSupported: 0x9e,
  ConnectionRateExceeded: 0x9f,
  MaximumConnectTime: 0xa0,
  SubscriptionIdentifiersNotSupported: 0xa1,
  WildcardSubscriptionsNotSupported: 0xa2,
} as const;

export type ReasonCode = (typeof ReasonCode)[keyof typeof ReasonCode];

const names = new Map<number, string>(
  Object.entries(ReasonCode)
    .reverse() // 0x00 has three names; the first one listed wins
    .map(([name, code]) => [code, name.replace(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase()]),
);

/** For labels: `sessionTakenOver`; null if the standard has no such code. */
export function reasonName(code: number): string | null {
  return names.get(code)?.replace(/ (.)/g, (_, letter: string) => letter.toUpperCase()) ?? null;
}

/** For logs: `0x8e session taken over`. */
export function describeReason(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')} ${names.get(code) ?? 'unknown reason'}`;
}

export const isFailure = (code: number): boolean => code >= 0x80;

/** What CONNACK can say and DISCONNECT cannot, and the nearest that it can. [MQTT5 3.14.2.1] */
const sayingItInDisconnect = new Map<number, number>([
  [ReasonCode.UnsupportedProtocolVersion, ReasonCode.ProtocolError],
  [ReasonCode.ClientIdentifierNotValid, ReasonCode.NotAuthorized],
  [ReasonCode.BadUserNameOrPassword, ReasonCode.NotAuthorized],
  [ReasonCode.BadAuthenticationMethod, ReasonCode.NotAuthorized],
  [ReasonCode.Banned, ReasonCode.NotAuthorized],
  [ReasonCode.ServerUnavailable, ReasonCode.ServerBusy],
]);

export const disconnectCode = (code: number): number => sayingItInDisconnect.get(code) ?? code;

/** What CONNACK can refuse with. [MQTT5 3.2.2.2] */
export const inConnack: ReadonlySet<number> = new Set<number>([
  ReasonCode.UnspecifiedError,
  ReasonCode.MalformedPacket,
  ReasonCode.ProtocolError,
  ReasonCode.ImplementationSpecificError,
  ReasonCode.UnsupportedProtocolVersion,
  ReasonCode.ClientIdentifierNotValid,
  ReasonCode.BadUserNameOrPassword,
  ReasonCode.NotAuthorized,
  ReasonCode.ServerUnavailable,
  ReasonCode.ServerBusy,
  ReasonCode.Banned,
  ReasonCode.BadAuthenticationMethod,
  ReasonCode.TopicNameInvalid,
  ReasonCode.PacketTooLarge,
  ReasonCode.QuotaExceeded,
  ReasonCode.PayloadFormatInvalid,
  ReasonCode.RetainNotSupported,
  ReasonCode.QoSNotSupported,
  ReasonCode.UseAnotherServer,
  ReasonCode.ServerMoved,
  ReasonCode.ConnectionRateExceeded,
]);
const sayingItInConnack = new Map<number, number>([
  [ReasonCode.ServerShuttingDown, ReasonCode.ServerUnavailable],
  [ReasonCode.MaximumConnectTime, ReasonCode.ServerBusy],
  // Another connection has the session by now, here or at another node: this one may try again.
  [ReasonCode.SessionTakenOver, ReasonCode.ServerBusy],
]);

export function connackCode(code: number): number {
  return inConnack.has(code) ? code : (sayingItInConnack.get(code) ?? ReasonCode.UnspecifiedError);
}
