/** The log lines of the broker that anybody can cause: how many of each kind it writes. */
import { RateLimitedLog } from '../base/rate-limited-log.ts';
import type { Log } from '../contracts/log.ts';

const limits = {
  intervalMs: 10_000,
  most: {
    /** Clients come and go: a fleet that comes back, or one client in a loop. The audit log has each of them. */
    connected: 200,
    disconnected: 200,
    /** A connection is turned away because there is no room. */
    turnedAway: 1,
    /** A client broke the protocol, a limit or a rule. */
    refused: 100,
    banned: 20,
    /** Memory comes near its ceiling, or goes back from there. */
    memory: 50,
    /** A client waits for the disk. */
    waiting: 20,
    /** What a pipeline made of a message cannot be used. */
    pipeline: 20,
    /** A bridge has found its peer or lost it, or has a message that cannot go over it. */
    bridge: 100,
    /** A hook failed, or answered what is no answer. */
    hook: 20,
    /** A listener or handler of the program failed. */
    program: 20,
    /** A bug of ours, of which only one connection had the disadvantage. */
    bug: 20,
  },
};

type Kind = keyof typeof limits.most;
export type LimitedLog = RateLimitedLog<Kind>;

/** Kinds that are about one client. */
const ofSessions = new Set<Kind>(['connected', 'disconnected', 'turnedAway', 'refused', 'banned', 'waiting']);

/** `sessionLog`: for what is about one client. */
export const createLimitedLog = (log: Log, sessionLog: Log, now: () => number): LimitedLog =>
  new RateLimitedLog((kind) => (ofSessions.has(kind) ? sessionLog : log), limits, now);
