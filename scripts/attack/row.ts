/** What an attack is, and what it finds. */
import type { Attacker } from './attacker.ts';

export const transports = ['tcp', 'tls', 'ws'] as const;
export type TransportName = (typeof transports)[number];
export const schemeOf: Readonly<Record<TransportName, string>> = { tcp: 'mqtt', tls: 'mqtts', ws: 'ws' };

/** What a row needs of the broker besides the default. `folder` is where it may put files. */
export type Needs = (folder: string, isShort: boolean) => Readonly<Record<string, unknown>>;

export interface Row {
  readonly name: string;
  readonly needs?: Needs;
  /** Of the broker's process. */
  readonly environment?: (folder: string) => Readonly<Record<string, string>>;
  /** Default: TCP only. */
  readonly transports?: readonly TransportName[];
  /** Of the form that runs in CI. */
  readonly isInShortForm?: true;
  /** Whether new clients may be refused meanwhile: where a limit for all is what is attacked. */
  readonly mayTurnAway?: boolean;
  /** The healthy clients publish and subscribe at QoS 0: where the disk hangs, nothing else can be asked for. */
  readonly healthyQos?: 0 | 1;
  /** An attack that takes longer is ended, and not held. Default: 120. */
  readonly secondsMax?: number;
  /** At most so much on disk at the end. */
  readonly diskMegabytesMax?: number;
  /** At most so much in the log. */
  readonly logMegabytesMax?: number;
  /** Before the attack, measured by itself: sessions, subscriptions and the like that it needs. */
  prepare?(attacker: Attacker): Promise<void>;
  run(attacker: Attacker): Promise<void>;
}

/** What healthy clients saw in a phase, in milliseconds. */
export interface Seen {
  readonly messages: number;
  readonly p99: number;
  readonly longest: number;
  readonly newcomers: number;
  readonly newcomersP99: number;
  readonly newcomersLongest: number;
  /** What must not happen to anybody. */
  readonly failures: readonly string[];
  /** New clients that were refused. */
  readonly turnedAway: number;
}

export interface Totals {
  readonly sent: number;
  readonly received: number;
  readonly acknowledged: number;
}

export interface Result {
  readonly row: string;
  readonly transport: TransportName;
  readonly before: Seen;
  /** Preparations are an attack as well; null if there were none. */
  readonly preparing: Seen | null;
  readonly during: Seen;
  readonly seconds: number;
  readonly rssMegabytesBefore: number;
  readonly rssMegabytesMost: number;
  readonly ceilingMegabytes: number;
  readonly diskMegabytes: number;
  readonly logMegabytes: number;
  readonly cpuSeconds: number;
  /** How long the broker's event loop waited for a processor that others had, of 1. */
  readonly disturbed: number;
  readonly facts: readonly string[];
  /** Empty: it held. */
  readonly problems: readonly string[];
}
