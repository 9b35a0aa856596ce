/** Who may take up a connection, with times and addresses of the test's own. */
import { describe, expect, test } from 'vitest';
import { Admission, type ConnectionTicket } from '../../../src/broker/admission.ts';
import { Counters } from '../../../src/broker/counters.ts';
import { Journal } from '../../../src/broker/journal.ts';
import { createLimitedLog } from '../../../src/broker/limited-log.ts';
import type { AuditEvent } from '../../../src/contracts/audit.ts';
import type { ClientIdentity } from '../../../src/contracts/hooks.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import { defaultLimits, defaultPenalties, defaultSettings, type Limits } from '../../../src/contracts/settings.ts';
import { ReasonCode } from '../../../src/protocol/reason-codes.ts';

const listener = 'mqtt://0.0.0.0:1883';
const badPassword = ReasonCode.BadUserNameOrPassword;

class Door {
  now = 1_000_000;
  readonly events: AuditEvent[] = [];
  readonly counters = new Counters(0);
  readonly admission: Admission;

  constructor(limits: Partial<Limits> = {}, penalties: Partial<typeof defaultPenalties> = {}) {
    this.admission = new Admission({
      settings: {
        ...defaultSettings,
        limits: { ...defaultLimits, ...limits },
        penalties: { ...defaultPenalties, ...penalties },
      },
      counters: this.counters,
      limitedLog: createLimitedLog(silentLog, silentLog, () => this.now),
      journal: new Journal({
        settings: defaultSettings,
        audit: { wants: () => true, record: (event) => this.events.push(event) },
        access: null,
        authorizers: 'the hook of the program',
        time: this,
      }),
    });
  }

  arrive(address: string): ConnectionTicket | null {
    return this.admission.arrive(`${address}:50000`, listener, this.now);
  }

  /** Returns the code of the refusal, or 0. */
  connect(
    ticket: ConnectionTicket,
    username: string | null,
    clientId = 'c',
    replaces: ConnectionTicket | null = null,
  ): number {
    return code(() =>
      this.admission.checkConnect(ticket, { clientId, username } as ClientIdentity, this.now, replaces),
    );
  }

  /** One connection that comes, is refused for its password, and leaves. Returns for how long it was kept waiting. */
  fail(address: string, username: string | null, clientId = 'c', reasonCode: number = badPassword): number {
    const ticket = this.arrive(address)!;
    if (this.connect(ticket, username, clientId) !== 0) return -1;
    const delayMs = this.admission.failed(ticket, reasonCode, this.now);
    this.admission.leave(ticket, this.now);
    return delayMs;
  }

  /** What a client with the right password gets to hear. */
  try(address: string, username: string | null, clientId = 'c'): number {
    const ticket = this.arrive(address);
    if (ticket === null) return -1;
    const refusal = this.connect(ticket, username, clientId);
    const answer = refusal !== 0 ? refusal : code(() => this.admission.welcome(ticket, username, this.now, null));
    this.admission.leave(ticket, this.now);
    return answer;
  }
}

function code(run: () => void): number {
  try {
    run();
    return 0;
  } catch (error) {
    return (error as { reasonCode: number }).reasonCode;
  }
}

describe('penalties', () => {
  test('each refusal is kept back twice as long, up to the maximum, and what is forgotten is forgotten', () => {
    const door = new Door();
    const delays = Array.from({ length: 7 }, () => door.fail('192.0.2.1', 'bob'));
    expect(delays).toEqual([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    door.now += 10 * defaultPenalties.forgetSeconds * 1000;
    expect(door.fail('192.0.2.1', 'bob')).toBe(250);
  });

  test('a user who keeps failing is shut out from there, for a while, but neither elsewhere nor with others', () => {
    const door = new Door();
    for (let i = 0; i < 10; i++) door.fail('192.0.2.1', 'bob');
    expect(door.try('192.0.2.1', 'bob')).toBe(ReasonCode.Banned);
    expect(door.try('192.0.2.2', 'bob')).toBe(0);
    expect(door.try('192.0.2.1', 'alice')).toBe(0);
    expect(door.events).toMatchObject([{ event: 'banned', from: '192.0.2.1', user: 'bob' }]);
    expect(door.counters).toMatchObject({ banned: 1, authenticationFailed: 10, limited: { bans: 1 } });
    door.now += defaultPenalties.banSeconds * 1000;
    expect(door.try('192.0.2.1', 'bob')).toBe(0);
  });

  test('clients without a user name are told apart by their identifiers', () => {
    const door = new Door();
    for (let i = 0; i < 10; i++) door.fail('192.0.2.1', null, 'bad token');
    expect(door.try('192.0.2.1', null, 'bad token')).toBe(ReasonCode.Banned);
    expect(door.try('192.0.2.1', null, 'good token')).toBe(0);
  });

  test('an address from which names are guessed is shut out as a whole; of IPv6, its network', () => {
    const door = new Door();
    for (let i = 0; i < 100; i++) door.fail(`2001:db8::${i.toString(16)}`, `user ${i}`);
    expect(door.try('2001:db8::ffff', 'alice')).toBe(ReasonCode.Banned);
    expect(door.try('2001:db8:0:1::1', 'alice')).toBe(0);
  });

  test('a right password forgives that user, but not the address', () => {
    const door = new Door({}, { failuresPerAddress: 20 });
    for (let i = 0; i < 19; i++) {
      expect(door.fail('192.0.2.1', 'bob')).toBeGreaterThanOrEqual(0);
      expect(door.try('192.0.2.1', 'bob')).toBe(0);
    }
    door.fail('192.0.2.1', 'bob');
    expect(door.try('192.0.2.1', 'bob')).toBe(ReasonCode.Banned);
  });

  test('guesses that were under way when the ban came learn nothing, even if one is right', () => {
    const door = new Door();
    const tickets = Array.from({ length: 50 }, () => door.arrive('192.0.2.1')!);
    for (const ticket of tickets) expect(door.connect(ticket, 'bob')).toBe(0);
    const right = tickets.pop()!;
    for (const ticket of tickets) door.admission.failed(ticket, badPassword, door.now);
    expect(code(() => door.admission.welcome(right, 'bob', door.now, null))).toBe(ReasonCode.Banned);
  });

  test('an authentication that is out of service punishes nobody', () => {
    const door = new Door();
    for (let i = 0; i < 200; i++) {
      expect(door.fail('192.0.2.1', 'bob', 'c', ReasonCode.ServerUnavailable)).toBe(0);
    }
    expect(door.try('192.0.2.1', 'bob')).toBe(0);
  });

  test('exempt addresses are never slowed nor shut out', () => {
    const door = new Door({ exemptAddresses: ['192.0.2.0/24'] });
    for (let i = 0; i < 200; i++) expect(door.fail('192.0.2.1', 'bob')).toBe(0);
    expect(door.try('192.0.2.1', 'bob')).toBe(0);
  });

  test('so many refusals are kept back at one time; the others leave at once', () => {
    const door = new Door({}, { delayedConnections: 2 });
    const tickets = Array.from({ length: 4 }, () => door.arrive('192.0.2.1')!);
    for (const ticket of tickets) door.connect(ticket, 'bob');
    const isDelayed = tickets.map((ticket) => door.admission.failed(ticket, badPassword, door.now) > 0);
    expect(isDelayed).toEqual([true, true, false, false]);
    for (const ticket of tickets) door.admission.leave(ticket, door.now);
    expect(door.fail('192.0.2.1', 'bob')).toBeGreaterThan(0);
  });

  test('a client that comes and goes in a loop is shut out; one that stays, or others, are not', () => {
    const door = new Door({}, { flapsPerMinute: 5 });
    for (let i = 0; i < 5; i++) {
      expect(door.try('192.0.2.1', null, 'flapping')).toBe(0);
      const stays = door.arrive('192.0.2.1')!;
      door.connect(stays, null, 'staying');
      door.admission.welcome(stays, null, door.now, null);
      door.now += 10_000;
      door.admission.leave(stays, door.now);
      door.now -= 10_000;
    }
    expect(door.try('192.0.2.1', null, 'flapping')).toBe(ReasonCode.Banned);
    expect(door.try('192.0.2.1', null, 'staying')).toBe(0);
    expect(door.try('192.0.2.2', null, 'flapping')).toBe(0);
  });

  test('whoever is pardoned starts anew', () => {
    const door = new Door();
    for (let i = 0; i < 10; i++) door.fail('192.0.2.1', 'bob');
    for (let i = 0; i < 100; i++) door.fail('192.0.2.2', `user ${i}`);
    expect(door.admission.penalties.bans.list(door.now)).toMatchObject([
      { address: '192.0.2.1', user: 'bob' },
      { address: '192.0.2.2', user: null },
    ]);
    expect(door.admission.penalties.pardon({ address: '192.0.2.3', user: null, client: null }, door.now)).toBe(0);
    expect(door.admission.penalties.pardon({ address: '192.0.2.1', user: null, client: null }, door.now)).toBe(1);
    expect(door.fail('192.0.2.1', 'bob')).toBe(250);
    expect(door.try('192.0.2.1', 'bob')).toBe(0);
    expect(door.admission.penalties.pardon({ address: null, user: null, client: null }, door.now)).toBe(1);
    expect(door.try('192.0.2.2', 'x')).toBe(0);
  });

  test('bans take bounded room, also those of very long names', () => {
    const door = new Door({}, { failuresPerUser: 1, failuresPerAddress: 0, bans: 10 });
    for (let i = 0; i < 100; i++) door.fail('192.0.2.1', `${'x'.repeat(60_000)}${i}`);
    const bans = door.admission.penalties.bans.list(door.now);
    expect(bans).toHaveLength(10);
    expect(JSON.stringify(bans).length).toBeLessThan(5_000);
    expect(door.try('192.0.2.1', `${'x'.repeat(60_000)}99`)).toBe(ReasonCode.Banned);
  });
});

describe('limits per address', () => {
  test('so many connections at one time, counted for each address', () => {
    const door = new Door({ connectionsPerAddress: 2 });
    const [first, second, third] = [1, 2, 3].map(() => door.arrive('192.0.2.1')!);
    expect([first, second, third].map((ticket) => door.connect(ticket!, null))).toEqual([
      0,
      0,
      ReasonCode.QuotaExceeded,
    ]);
    expect(door.counters.limited.connectionsPerAddress).toBe(1);
    door.admission.leave(third!, door.now);
    expect(door.try('192.0.2.2', null)).toBe(0);
    door.admission.leave(first!, door.now);
    expect(door.try('192.0.2.1', null)).toBe(0);
  });

  test('a client that takes the place of its own connection needs no further one', () => {
    const door = new Door({ connectionsPerAddress: 1 });
    const dead = door.arrive('192.0.2.1')!;
    door.connect(dead, null);
    const back = door.arrive('192.0.2.1')!;
    expect(door.connect(back, null, 'c', dead)).toBe(0);
  });

  test('so many new connections a second in the mean, with ten seconds at once', () => {
    const door = new Door({ connectsPerSecondPerAddress: 2 });
    const codes = Array.from({ length: 25 }, () => door.try('192.0.2.1', null));
    expect(codes.filter((each) => each === 0)).toHaveLength(20);
    expect(codes.at(-1)).toBe(ReasonCode.ConnectionRateExceeded);
    expect(door.try('192.0.2.2', null)).toBe(0);
    door.now += 1_000;
    expect([1, 2, 3].map(() => door.try('192.0.2.1', null))).toEqual([0, 0, ReasonCode.ConnectionRateExceeded]);
  });

  test('only so many are kept to be told why; the others are closed at once', () => {
    const door = new Door({ connectionsPerAddress: 1 });
    door.arrive('192.0.2.1');
    const kept = Array.from({ length: 3_000 }, () => door.arrive('192.0.2.1')).filter((ticket) => ticket !== null);
    expect(kept).toHaveLength(1_000);
    expect(door.arrive('192.0.2.2')).not.toBeNull();
  });
});

describe('limits for all', () => {
  test('connections that are not known yet: the newest are turned away until one is known or leaves', () => {
    const door = new Door({ unauthenticatedConnections: 2, exemptAddresses: ['192.0.2.0/24'] });
    const first = door.arrive('192.0.2.1')!;
    const second = door.arrive('192.0.2.1')!;
    expect(door.arrive('192.0.2.2')).toBeNull();
    door.admission.welcome(first, null, door.now, null);
    expect(door.arrive('192.0.2.2')).not.toBeNull();
    expect(door.arrive('192.0.2.2')).toBeNull();
    door.admission.leave(second, door.now);
    expect(door.arrive('192.0.2.2')).not.toBeNull();
    expect(door.counters).toMatchObject({ connectionsRefused: 2, limited: { unauthenticatedConnections: 2 } });
  });

  test('one address alone fills half of the room, unless it is exempt, and what it gives up is there again', () => {
    const door = new Door({ unauthenticatedConnections: 10 });
    const tickets = Array.from({ length: 8 }, () => door.arrive('192.0.2.1')).filter((ticket) => ticket !== null);
    expect(tickets).toHaveLength(5);
    expect(door.arrive('192.0.2.2')).not.toBeNull();
    door.admission.welcome(tickets[0]!, null, door.now, null);
    expect(door.arrive('192.0.2.1')).not.toBeNull();
    expect(door.arrive('192.0.2.1')).toBeNull();
    door.admission.leave(tickets[1]!, door.now);
    expect(door.arrive('192.0.2.1')).not.toBeNull();
    expect(door.counters.limited.unauthenticatedConnections).toBe(4);
    expect([1, 2, 3, 4, 5].map(() => door.arrive('127.0.0.1') !== null)).toEqual([true, true, true, true, false]);
  });

  test('bytes of all that are not known yet: whoever brings too many is refused', () => {
    const door = new Door({ unauthenticatedBytes: 1_000 });
    const first = door.arrive('192.0.2.1')!;
    const second = door.arrive('192.0.2.2')!;
    door.admission.receive(first, 500);
    // One address has half of the room.
    const other = door.arrive('192.0.2.1')!;
    expect(code(() => door.admission.receive(other, 1))).toBe(ReasonCode.ServerBusy);
    door.admission.receive(second, 500);
    const local = door.arrive('127.0.0.1')!;
    expect(code(() => door.admission.receive(local, 1))).toBe(ReasonCode.ServerBusy);
    // Who is refused is not kept, and takes no room.
    expect(door.admission.unauthenticatedBytes).toBe(1_000);
    door.admission.leave(other, door.now);
    door.admission.leave(local, door.now);
    door.admission.leave(second, door.now);
    door.admission.welcome(first, null, door.now, null);
    expect(door.admission.unauthenticatedBytes).toBe(0);
    expect(door.admission.unauthenticated).toBe(0);
  });

  test('what a client sends once it is known, but has no CONNACK yet, is not counted among the bytes of strangers', () => {
    const door = new Door({ unauthenticatedBytes: 1_000 });
    for (let i = 0; i < 10; i++) {
      const ticket = door.arrive('192.0.2.1')!;
      door.admission.receive(ticket, 100);
      door.admission.welcome(ticket, null, door.now, null);
      door.admission.receive(ticket, 300);
      door.admission.leave(ticket, door.now);
    }
    expect(door.admission.unauthenticatedBytes).toBe(0);
  });

  test('connections of one user, whatever their addresses; a reconnect is not one more', () => {
    const door = new Door({ connectionsPerUser: 2 });
    const enter = (address: string, replaces: ConnectionTicket | null = null) => {
      const ticket = door.arrive(address)!;
      door.connect(ticket, 'bob');
      return { ticket, code: code(() => door.admission.welcome(ticket, 'bob', door.now, replaces)) };
    };
    const first = enter('192.0.2.1');
    enter('192.0.2.2');
    expect(enter('192.0.2.3').code).toBe(ReasonCode.QuotaExceeded);
    const again = enter('192.0.2.1', first.ticket);
    expect(again.code).toBe(0);
    door.admission.end(first.ticket, door.now);
    door.admission.leave(first.ticket, door.now);
    expect(enter('192.0.2.3').code).toBe(ReasonCode.QuotaExceeded);
    door.admission.leave(again.ticket, door.now);
    expect(enter('192.0.2.3').code).toBe(0);
    expect(door.try('192.0.2.3', 'alice')).toBe(0);
  });
});

test('connections that are closing do not count, within a room of their own', () => {
  const door = new Door({ connections: 32, connectionsPerAddress: 40 });
  const come = () => Array.from({ length: 32 }, () => door.arrive('192.0.2.1'));
  const first = come();
  expect(door.arrive('192.0.2.1')).toBe(null);
  for (const ticket of first) door.admission.closing(ticket!);
  const next = come();
  // As many as are open may not be kept in their closing: there are 16 places for that.
  expect(next.filter((ticket) => ticket !== null)).toHaveLength(16);
  for (const ticket of first) door.admission.leave(ticket!, door.now);
  expect(come().filter((ticket) => ticket !== null)).toHaveLength(16);
  for (const ticket of next) if (ticket !== null) door.admission.leave(ticket, door.now);
  expect(come().filter((ticket) => ticket !== null)).toHaveLength(16);
});
