/**
 * What differs between the protocol versions, in one table. Handlers ask for a trait and never for a version number.
 */
export type ProtocolVersion = 3 | 4 | 5;

export interface Traits {
  readonly version: ProtocolVersion;
  /** How people call it: 3.1, 3.1.1, 5.0. */
  readonly label: string;
  /** Packets carry properties and acknowledgements carry reason codes. */
  readonly hasProperties: boolean;
  /** The server may send DISCONNECT, and so tell why it closes. */
  readonly hasServerDisconnect: boolean;
  /** Session expiry, clean start, no-local, retain-as-published, retain-handling, subscription identifiers. */
  readonly hasSessionExpiry: boolean;
  /** The server names a client that does not name itself. Not so in 3.1. [MQTT3 3.1.3-6] */
  readonly assignsClientIds: boolean;
  /** With Clean Session off, a client must name itself. [MQTT3 3.1.3-8] */
  readonly assignsOnlyToCleanSessions: boolean;
  /** SUBACK can refuse a single filter; 3.1 has no such code and gets QoS 0 granted at most. */
  readonly hasSubackFailure: boolean;
  /**
   * SUBACK can say that a filter is invalid. Before, whoever sends one breaks the protocol. [MQTT3 4.7.1-2] [MQTT3
   * 4.8.0-1]
   */
  readonly answersInvalidFilters: boolean;
  /** PUBREL, SUBSCRIBE and UNSUBSCRIBE carry DUP when they are sent again. Later versions reserve that bit. */
  readonly resendsWithDup: boolean;
  /** Bit 0 of the connect flags must be 0; 3.1 does not use it and says nothing of its value. [MQTT3 3.1.2-3] */
  readonly reservesConnectFlag: boolean;
}

const v31: Traits = {
  version: 3,
  label: '3.1',
  hasProperties: false,
  hasServerDisconnect: false,
  hasSessionExpiry: false,
  assignsClientIds: false,
  assignsOnlyToCleanSessions: true,
  hasSubackFailure: false,
  answersInvalidFilters: false,
  resendsWithDup: true,
  reservesConnectFlag: false,
};
const v311: Traits = {
  ...v31,
  version: 4,
  label: '3.1.1',
  assignsClientIds: true,
  hasSubackFailure: true,
  resendsWithDup: false,
  reservesConnectFlag: true,
};
const v50: Traits = {
  version: 5,
  label: '5.0',
  hasProperties: true,
  hasServerDisconnect: true,
  hasSessionExpiry: true,
  assignsClientIds: true,
  assignsOnlyToCleanSessions: false,
  hasSubackFailure: true,
  answersInvalidFilters: true,
  resendsWithDup: false,
  reservesConnectFlag: true,
};

export const traitsOf: Readonly<Record<ProtocolVersion, Traits>> = { 3: v31, 4: v311, 5: v50 };
