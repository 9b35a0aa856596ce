/**
 * The audit log: who connected from where as whom, what was refused and by which rule, what an operator did. Never a
 * password or a payload. It must not hold the broker up: `record` only takes note.
 */

/** Fields that are absent are not known, or do not apply. */
export interface AuditEvent {
  readonly event:
    | 'started'
    | 'stopped'
    /** A client was accepted. */
    | 'connected'
    | 'disconnected'
    /** A connection was refused before its client could show who it is, or although it had shown it. */
    | 'refused'
    /** A connection was turned away in its TLS handshake, or for its PROXY header or its HTTP request. */
    | 'handshakeRefused'
    | 'authenticationFailed'
    /** Somebody is shut out for a while. */
    | 'banned'
    /** A session went over from one connection to another one. */
    | 'takenOver'
    | 'publishRefused'
    /** A will, by a rule: at CONNECT, which is refused for it, or when it was to be published. */
    | 'willRefused'
    | 'subscribeRefused'
    /** The configuration was read anew. */
    | 'reloaded'
    /** A client trace: `by` whom, and of which client, user, address or topic. */
    | 'traceStarted'
    | 'traceStopped'
    /** A command to the running broker, on its socket or from the program. */
    | 'command';
  readonly client?: string | null | undefined;
  readonly user?: string | null | undefined;
  /** `address:port`; of a ban, what it covers. */
  readonly from?: string;
  readonly listener?: string;
  readonly transport?: string;
  readonly version?: string;
  /** How the client showed who it is. */
  readonly mechanism?: string | undefined;
  readonly tls?: string | undefined;
  readonly sessionPresent?: boolean;
  readonly topic?: string;
  readonly qos?: number;
  readonly retain?: boolean;
  readonly code?: string;
  readonly reason?: string | undefined;
  /** Which rule refused. */
  readonly rule?: string | undefined;
  readonly until?: string;
  readonly command?: string;
  /** Who gave a command: `control socket`, `program`, `key backup-job`. */
  readonly by?: string;
  /** Of a command, as JSON, cut if it is long. */
  readonly request?: string;
  readonly outcome?: string;
}

export interface Audit {
  /**
   * Asked before the details of an event are found out. False: there are too many of its kind at present, and one more
   * has been counted; it is not to be recorded.
   */
  wants(event: AuditEvent['event']): boolean;
  record(event: AuditEvent): void;
}
