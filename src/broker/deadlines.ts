/**
 * When one connection has to end by itself: no CONNECT in time, nothing heard for one and a half times the keep-alive,
 * a refusal that was kept back, credentials that expire.
 */
import { Timer } from '../base/timer-wheel.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { BrokerContext } from './broker-context.ts';
import type { ConnectionState } from './connection-state.ts';

/** So much of a packet that is under way shows as well as a whole one that its client is there. */
const largePartBytes = 16_384;

/** The connection that ends by itself. */
export interface Timed {
  readonly context: BrokerContext;
  readonly state: ConnectionState;
  /** CONNACK has left. */
  readonly isAnswered: boolean;
  readonly reading: { checkExcuse(): boolean };
  guard(run: () => void): void;
  park(): void;
  fail(error: ProtocolError): void;
  end(reasonCode: number, why: string): void;
}

export class Deadlines {
  /**
   * When the client was last heard; the keep-alive counts from there. By packets, not by bytes: one that is trickled
   * and never whole would keep a connection without end. [MQTT5 3.1.2-22]
   */
  heardAt: number;
  /** Read since then. */
  #partBytes = 0;
  readonly #connection: Timed;
  readonly #timer: Timer;
  /** Only of connections whose credentials expire. */
  #endTimer: Timer | null = null;
  #keepAliveMs = 0;
  /** A refusal that is kept back. */
  #refusal: ProtocolError | null = null;

  constructor(connection: Timed) {
    const { core, timers, settings } = connection.context;
    this.#connection = connection;
    this.heardAt = core.now;
    this.#timer = new Timer(() => connection.guard(() => this.#onTimer()));
    timers.set(this.#timer, core.now + settings.limits.connectTimeoutSeconds * 1000);
  }

  /** As CONNACK said it, or CONNECT; 0: none. */
  get keepAliveSeconds(): number {
    return this.#keepAliveMs / 1_500;
  }

  /** What was read ended one packet or several. */
  packet(now: number): void {
    this.heardAt = now;
    this.#partBytes = 0;
  }

  /** These bytes ended none. A large packet may take longer on a slow link than its client may be silent. */
  partOfPacket(bytes: number, now: number): void {
    this.#partBytes += bytes;
    if (this.#partBytes >= largePartBytes) this.packet(now);
  }

  /** The CONNECT has been taken, and the CONNACK waits for the disk: as long for it as for the CONNECT. */
  connectTaken(): void {
    const { core, timers, settings } = this.#connection.context;
    timers.set(this.#timer, core.now + settings.limits.connectTimeoutSeconds * 1000);
  }

  /** 0: no keep-alive. [MQTT5 3.1.2-22] */
  setKeepAlive(seconds: number): void {
    this.#keepAliveMs = seconds * 1500;
    const { core, timers } = this.#connection.context;
    if (seconds === 0) timers.cancel(this.#timer);
    else timers.set(this.#timer, core.now + this.#keepAliveMs);
  }

  /**
   * The credentials hold until then (milliseconds since the epoch), unless it is told otherwise before. Null: for good.
   */
  endAt(time: number | null): void {
    const connection = this.#connection;
    const { timers, time: clock } = connection.context;
    const expire = () => connection.end(ReasonCode.NotAuthorized, 'the credentials have expired');
    if (time === null) return timers.cancel(this.#endTimer);
    this.#endTimer ??= new Timer(() => connection.guard(expire));
    timers.set(this.#endTimer, clock.at(time));
  }

  /** Refuses after so many milliseconds; until then nothing more is read. */
  failLater(error: ProtocolError, delayMs: number): void {
    const { core, timers } = this.#connection.context;
    this.#refusal = error;
    this.#connection.park();
    timers.set(this.#timer, core.now + delayMs);
  }

  clear(): void {
    const { timers } = this.#connection.context;
    timers.cancel(this.#timer);
    timers.cancel(this.#endTimer);
  }

  #onTimer(): void {
    const connection = this.#connection;
    if (connection.state.name === 'closing') return;
    if (this.#refusal !== null) return connection.fail(this.#refusal);
    const { time, core, timers } = connection.context;
    const stoodStill = time.resumedAt > this.heardAt;
    if (stoodStill) this.heardAt = time.resumedAt;
    if (!connection.isAnswered) return stoodStill ? this.connectTaken() : this.#refuseConnect();
    // While we do not read from it, it cannot be late.
    if (connection.reading.checkExcuse()) this.heardAt = core.now;
    const dueAt = this.heardAt + this.#keepAliveMs;
    if (dueAt > core.now) return timers.set(this.#timer, dueAt);
    connection.end(ReasonCode.KeepAliveTimeout, 'keep-alive timeout');
  }

  #refuseConnect(): void {
    const { context, state } = this.#connection;
    // Its CONNECT has been taken. A disk that is only slow has it in the end.
    if (state.name === 'open' && !context.storeHealth.isFailing) return this.connectTaken();
    const awaitsDisk = state.name === 'open' || (state.name === 'authenticating' && state.awaitsStore);
    const what = 'The broker cannot write to its disk now, and this session would have to be stored';
    this.#connection.fail(
      awaitsDisk
        ? new ProtocolError(ReasonCode.ServerUnavailable, what)
        : new ProtocolError(ReasonCode.MaximumConnectTime, 'No CONNECT in time'),
    );
  }
}
