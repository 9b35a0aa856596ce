/**
 * Who may take up a connection: ceilings for all that are not known yet, limits per address and per user, and
 * penalties.
 *
 * What there is no room for is turned away as it comes, the newest first, so that those who began can finish. A client
 * that a limit per address or a ban keeps out is told so in answer to its CONNECT, while few are told at a time; the
 * others are closed at once.
 */
import { AddressSet, addressOf, sourceOf } from '../base/addresses.ts';
import { LeakyBuckets } from '../base/ttl-table.ts';
import type { Ban } from '../contracts/bans.ts';
import type { ClientIdentity } from '../contracts/hooks.ts';
import type { BrokerSettings, Limits } from '../contracts/settings.ts';
import { noAddress } from '../contracts/transport.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Counters, LimitName } from './counters.ts';
import type { Journal } from './journal.ts';
import type { LimitedLog } from './limited-log.ts';
import { Penalties, type Suspect } from './penalties.ts';

/**
 * Those that are closing take no place of `limits.connections`, or a fleet that comes back at once would be turned away
 * for what it was before. They still have file descriptors, so they have no more room than a sixteenth of the limit,
 * within these.
 */
const closingRoom = { least: 16, most: 256 };
const closingMax = (connections: number): number =>
  Math.min(closingRoom.most, Math.max(closingRoom.least, Math.ceil(connections / 16)));
/** Connections kept only to be told why they are refused. */
const unwelcomeMax = 1_000;
/** What may come together with the end of a CONNECT. */
const readBytes = 65_536;
/** Addresses whose rate of connecting is watched. */
const watchedMax = 65_536;
/** An address may connect so many seconds' worth at once. */
const burstSeconds = 10;

/** Reason codes that blame what the client showed; an authentication that is out of service punishes nobody. */
const blamesClient = new Set<number>([
  ReasonCode.BadUserNameOrPassword,
  ReasonCode.NotAuthorized,
  ReasonCode.BadAuthenticationMethod,
]);

interface Share {
  connections: number;
  bytes: number;
}

/** One connection, from accept to close, as admission sees it. Only `Admission` changes it. */
export interface ConnectionTicket {
  /** Where it comes from; of IPv6, a network. */
  readonly source: string;
  /** What the limits per address count it under; null: it is exempt. */
  readonly address: string | null;
  /** What all that are unknown take that come from there. */
  readonly share: Share | null;
  /** It may stay only to be told this. */
  readonly unwelcome: { readonly limit: LimitName; readonly error: ProtocolError } | null;
  state: 'unknown' | 'known' | 'ended';
  /** It is going, and no longer counts as a connection. */
  isClosing: boolean;
  /** What it has sent while unknown. */
  bytes: number;
  user: string | null;
  /** Null until CONNECT has come. */
  client: string | null;
  knownSince: number;
  isDelayed: boolean;
  /** Its credentials were refused. */
  hasFailed: boolean;
}

export interface AdmissionOptions {
  readonly settings: BrokerSettings;
  readonly counters: Counters;
  readonly limitedLog: LimitedLog;
  readonly journal: Journal;
}

export class Admission {
  readonly penalties: Penalties;
  readonly #options: AdmissionOptions;
  readonly #exempt: AddressSet;
  readonly #connectRate: LeakyBuckets | null;
  readonly #perAddress = new Map<string, number>();
  /** By address: of those that are not known yet. */
  readonly #shares = new Map<string, Share>();
  readonly #perUser = new Map<string, number>();
  /** Without those that are closing. */
  #connections = 0;
  #closing = 0;
  #unknown = 0;
  #unknownBytes = 0;
  #unwelcome = 0;
  #delayed = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    const { limits, penalties } = options.settings;
    this.#exempt = new AddressSet(limits.exemptAddresses);
    const rate = limits.connectsPerSecondPerAddress;
    this.#connectRate = rate === 0 ? null : new LeakyBuckets(1000 / rate, watchedMax);
    this.penalties = new Penalties(penalties, (ban) => this.#banned(ban));
  }

  get unauthenticated(): number {
    return this.#unknown;
  }

  get unauthenticatedBytes(): number {
    return this.#unknownBytes;
  }

  get delayed(): number {
    return this.#delayed;
  }

  /**
   * What the limits per address count an address under; null: it is exempt, or a stream of the program's that has none.
   */
  sourceFrom(address: string): string | null {
    return address === noAddress || this.#exempt.has(address) ? null : sourceOf(address);
  }

  /** A connection has come. Null: there is no room for it. */
  arrive(remoteAddress: string, listener: string, now: number): ConnectionTicket | null {
    const { limits } = this.#options.settings;
    const room = limits.connections + closingMax(limits.connections) - this.#closing;
    if (this.#connections >= Math.min(limits.connections, room))
      return this.#turnAway('connections', remoteAddress, listener);
    if (this.#unknown >= limits.unauthenticatedConnections) {
      return this.#turnAway('unauthenticatedConnections', remoteAddress, listener);
    }
    const address = this.sourceFrom(addressOf(remoteAddress));
    // Half of the room at most: one address alone keeps nobody else out.
    const share = address === null ? null : (this.#shares.get(address) ?? { connections: 0, bytes: 0 });
    if (share !== null && share.connections >= Math.ceil(limits.unauthenticatedConnections / 2)) {
      return this.#turnAway('unauthenticatedConnections', remoteAddress, listener);
    }
    const unwelcome = address === null ? null : this.#unwelcomeFrom(address, now);
    if (unwelcome !== null && this.#unwelcome >= unwelcomeMax) {
      return this.#turnAway(unwelcome.limit, remoteAddress, listener);
    }
    this.#connections++;
    this.#unknown++;
    if (unwelcome !== null) this.#unwelcome++;
    if (address !== null && share !== null) {
      this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
      share.connections++;
      this.#shares.set(address, share);
    }
    return {
      source: sourceOf(addressOf(remoteAddress)),
      address,
      share,
      unwelcome,
      state: 'unknown',
      isClosing: false,
      bytes: 0,
      user: null,
      client: null,
      knownSince: 0,
      isDelayed: false,
      hasFailed: false,
    };
  }

  #unwelcomeFrom(address: string, now: number): ConnectionTicket['unwelcome'] {
    const { limits } = this.#options.settings;
    const ban = this.penalties.bans.find({ address, user: null, client: null }, now);
    if (ban !== null) return { limit: 'bans', error: bannedError(ban) };
    if (limits.connectionsPerAddress > 0 && (this.#perAddress.get(address) ?? 0) >= limits.connectionsPerAddress) {
      const what = `There are ${limits.connectionsPerAddress} connections from this address already`;
      const error = new ProtocolError(ReasonCode.QuotaExceeded, `${what} (limits.connectionsPerAddress)`);
      return { limit: 'connectionsPerAddress', error };
    }
    const rate = this.#connectRate;
    if (rate === null) return null;
    if (rate.level(address, now) + 1 <= limits.connectsPerSecondPerAddress * burstSeconds) {
      rate.add(address, now);
      return null;
    }
    const what = 'This address connects too often (limits.connectsPerSecondPerAddress)';
    const error = new ProtocolError(ReasonCode.ConnectionRateExceeded, what);
    return { limit: 'connectsPerSecondPerAddress', error };
  }

  /** Of its own limit. */
  turnAwayFromListener(connections: number, from: string, listener: string): null {
    return this.#turnAwayBecause(
      'connections',
      `connections (${connections}) of the listener is reached`,
      from,
      listener,
    );
  }

  #turnAway(limit: LimitName, from: string, listener: string): null {
    const value = this.#options.settings.limits[limit as keyof Limits];
    const what = limit === 'bans' ? 'the address is banned' : `limits.${limit} (${value}) is reached`;
    return this.#turnAwayBecause(limit, what, from, listener);
  }

  #turnAwayBecause(limit: LimitName, what: string, from: string, listener: string): null {
    const { counters, limitedLog, journal } = this.#options;
    counters.limited[limit]++;
    counters.connectionsRefused++;
    limitedLog.warn('turnedAway', { from, listener }, `connection refused: ${what}`);
    journal.turnedAway(from, listener, what);
    return null;
  }

  /** Throws if those who are not known yet have sent more together than there is room for. */
  receive(ticket: ConnectionTicket, bytes: number): void {
    // It waits for its CONNACK only: its bytes would never be forgotten again.
    if (ticket.state !== 'unknown') return;
    const { limits } = this.#options.settings;
    ticket.bytes += bytes;
    this.#unknownBytes += bytes;
    if (ticket.share !== null) ticket.share.bytes += bytes;
    if (ticket.client === null && ticket.bytes > limits.connectBytes + readBytes) {
      const what = `More than the ${limits.connectBytes} bytes that a CONNECT may have (limits.connectBytes)`;
      throw new ProtocolError(ReasonCode.PacketTooLarge, what);
    }
    const isWithinShare = ticket.share === null || ticket.share.bytes <= limits.unauthenticatedBytes / 2;
    if (isWithinShare && this.#unknownBytes <= limits.unauthenticatedBytes) return;
    this.#forgetBytes(ticket);
    this.#options.counters.limited.unauthenticatedBytes++;
    const what = 'Clients that are not known yet have sent as much as they may together (limits.unauthenticatedBytes)';
    throw new ProtocolError(ReasonCode.ServerBusy, what);
  }

  /** CONNECT has come. Throws what speaks against this client, before its credentials are looked at. */
  checkConnect(
    ticket: ConnectionTicket,
    { clientId, username }: ClientIdentity,
    now: number,
    replaces: ConnectionTicket | null,
  ): void {
    ticket.client = clientId;
    ticket.user = username;
    const { unwelcome } = ticket;
    // A client that takes over its own connection needs no further one.
    const isReplacing = unwelcome?.limit === 'connectionsPerAddress' && replaces?.address === ticket.address;
    if (unwelcome !== null && !isReplacing) {
      this.#options.counters.limited[unwelcome.limit]++;
      this.#options.counters.connectionsRefused++;
      throw unwelcome.error;
    }
    this.#checkBans(ticket, now);
  }

  #checkBans(ticket: ConnectionTicket, now: number): void {
    const ban = this.#banOf(ticket, now);
    if (ban === null) return;
    this.#options.counters.limited.bans++;
    throw bannedError(ban);
  }

  /** Exempt addresses are exempt from penalties, and not from what an operator says. */
  #banOf(ticket: ConnectionTicket, now: number): Ban | null {
    const { source: address, user, client } = ticket;
    const suspect = suspectOf(ticket);
    if (suspect !== null) return this.penalties.find(suspect, now);
    return client === null ? null : this.penalties.findImposed({ address, user, client }, now);
  }

  /** Its credentials were refused with this code. Returns for how many milliseconds the answer is to be kept back. */
  failed(ticket: ConnectionTicket, reasonCode: number, now: number): number {
    ticket.hasFailed = true;
    const { counters, settings } = this.#options;
    counters.authenticationFailed++;
    const suspect = suspectOf(ticket);
    if (suspect === null || !blamesClient.has(reasonCode)) return 0;
    const delayMs = this.penalties.failed(suspect, now);
    if (delayMs === 0 || ticket.state !== 'unknown' || this.#delayed >= settings.penalties.delayedConnections) return 0;
    this.#delayed++;
    ticket.isDelayed = true;
    return delayMs;
  }

  /** Its credentials are right. Throws if it must stay out all the same; else it counts as known from now on. */
  welcome(ticket: ConnectionTicket, username: string | null, now: number, replaces: ConnectionTicket | null): void {
    // What was under way when the ban came learns nothing by it.
    this.#checkBans(ticket, now);
    const suspect = suspectOf(ticket);
    if (suspect !== null) this.penalties.succeeded(suspect);
    const { connectionsPerUser } = this.#options.settings.limits;
    if (username !== null && connectionsPerUser > 0) {
      const count = (this.#perUser.get(username) ?? 0) - (replaces?.user === username ? 1 : 0);
      if (count >= connectionsPerUser) {
        this.#options.counters.limited.connectionsPerUser++;
        const what = `The user has ${connectionsPerUser} connections already (limits.connectionsPerUser)`;
        throw new ProtocolError(ReasonCode.QuotaExceeded, what);
      }
    }
    this.#forgetUnknown(ticket);
    ticket.state = 'known';
    ticket.user = username;
    ticket.knownSince = now;
    if (username !== null) this.#perUser.set(username, (this.#perUser.get(username) ?? 0) + 1);
  }

  /** Its client has closed its side, or it is decided that it ends. */
  closing(ticket: ConnectionTicket): void {
    if (ticket.isClosing) return;
    ticket.isClosing = true;
    this.#connections--;
    this.#closing++;
    if (ticket.address !== null) decrement(this.#perAddress, ticket.address);
  }

  /** It is decided that the connection ends; it may take a while until it has left. */
  end(ticket: ConnectionTicket, now: number): void {
    this.closing(ticket);
    // Nothing that it has sent is kept any more.
    if (ticket.state === 'unknown') this.#forgetBytes(ticket);
    if (ticket.state !== 'known') return;
    ticket.state = 'ended';
    if (ticket.user !== null) decrement(this.#perUser, ticket.user);
    const suspect = suspectOf(ticket);
    if (suspect !== null) this.penalties.ended(suspect, ticket.knownSince, now);
  }

  /** It is closed. */
  leave(ticket: ConnectionTicket, now: number): void {
    this.end(ticket, now);
    this.#forgetUnknown(ticket);
    ticket.state = 'ended';
    this.#closing--;
    if (ticket.unwelcome !== null) this.#unwelcome--;
    if (ticket.isDelayed) this.#delayed--;
  }

  #forgetUnknown(ticket: ConnectionTicket): void {
    if (ticket.state !== 'unknown') return;
    this.#forgetBytes(ticket);
    this.#unknown--;
    const { address, share } = ticket;
    if (address !== null && share !== null && --share.connections === 0) this.#shares.delete(address);
  }

  #forgetBytes(ticket: ConnectionTicket): void {
    this.#unknownBytes -= ticket.bytes;
    if (ticket.share !== null) ticket.share.bytes -= ticket.bytes;
    ticket.bytes = 0;
  }

  #banned(ban: Ban): void {
    const { counters, limitedLog, journal } = this.#options;
    counters.banned++;
    const { address, user, client, why, until } = ban;
    const ends = new Date(until).toISOString();
    limitedLog.warn('banned', { address, user, client, until: ends }, `banned: ${why}`);
    journal.banned(ban);
  }
}

function bannedError({ why, until }: Ban): ProtocolError {
  return new ProtocolError(ReasonCode.Banned, `Banned until ${new Date(until).toISOString()}: ${why}`);
}

function suspectOf({ address, user, client }: ConnectionTicket): Suspect | null {
  return address === null || client === null ? null : { address, user, client };
}

function decrement(counts: Map<string, number>, name: string): void {
  const count = counts.get(name)!;
  if (count === 1) counts.delete(name);
  else counts.set(name, count - 1);
}
