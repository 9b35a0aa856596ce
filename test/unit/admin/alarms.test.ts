/** Alarms: when one is raised, what is told of it, and when it is cleared. */
import { expect, test } from 'vitest';
import { Alarms } from '../../../src/admin/alarms.ts';
import { alarmsOf } from '../../../src/alarms.ts';
import type { BrokerFigures } from '../../../src/broker/figures.ts';
import type { AlarmDeclaration, AlarmFinding } from '../../../src/contracts/alarms.ts';
import { silentLog } from '../../../src/contracts/log.ts';
import type { ExpiringFile } from '../../../src/contracts/transport.ts';

/** Alarms with a clock of their own, and what they say to the log. */
function watching(declared: readonly AlarmDeclaration[]) {
  const said: string[] = [];
  const say = (level: string) => (_: object, message: string) => void said.push(`${level}: ${message}`);
  const clock = { now: 1_000_000 };
  const log = { ...silentLog, info: say('info'), warn: say('warn'), error: say('error') };
  const alarms = new Alarms(declared, log, () => clock.now);
  const after = (seconds: number) => {
    for (let i = 0; i < seconds; i++) {
      clock.now += 1_000;
      alarms.look();
    }
    return alarms.active.map(({ name, about }) => (about === null ? name : `${name} ${about}`));
  };
  return { alarms, said, clock, after };
}

function aDeclaration(more: Partial<AlarmDeclaration> = {}) {
  const found: { now: readonly AlarmFinding[] } = { now: [] };
  const declaration = { name: 'it', severity: 'warning', what: 'w', remedy: 'Mend it', look: () => found.now, ...more };
  return { found, declaration: declaration as AlarmDeclaration };
}

test('one is raised and cleared, each told once, and then among the past ones', () => {
  const { found, declaration } = aDeclaration();
  const { alarms, said, clock, after } = watching([declaration]);
  expect(after(3)).toEqual([]);
  found.now = [{ text: '1 is wrong' }];
  expect(after(1)).toEqual(['it']);
  const since = clock.now;
  found.now = [{ text: '2 are wrong' }];
  expect(after(5)).toEqual(['it']);
  const raised = { name: 'it', about: null, severity: 'warning', since, text: '2 are wrong', remedy: 'Mend it' };
  expect(alarms.active).toEqual([{ ...raised, clearedAt: null }]);
  found.now = [];
  expect(after(1)).toEqual([]);
  expect(alarms.past).toEqual([{ ...raised, clearedAt: clock.now }]);
  expect(said).toEqual(['warn: alarm: 1 is wrong. Mend it', 'info: alarm cleared']);
});

test('one that must last is raised after that time without a break, and cleared after its time away', () => {
  const { found, declaration } = aDeclaration({ lastsSeconds: 3, awaySeconds: 2 });
  const { after } = watching([declaration]);
  found.now = [{ text: 'it is wrong' }];
  expect(after(3)).toEqual([]);
  found.now = [];
  after(1);
  found.now = [{ text: 'it is wrong' }];
  expect(after(3)).toEqual([]);
  expect(after(1)).toEqual(['it']);
  found.now = [];
  expect(after(1)).toEqual(['it']);
  expect(after(1)).toEqual([]);
});

test('one that becomes worse is told again, and what it is about tells two apart', () => {
  const { found, declaration } = aDeclaration();
  const { said, after } = watching([declaration]);
  found.now = [{ about: 'a', text: 'a ends' }];
  after(2);
  found.now = [
    { about: 'a', text: 'a ended', severity: 'critical' },
    { about: 'b', text: 'b ends' },
  ];
  expect(after(2)).toEqual(['it a', 'it b']);
  expect(said.map((line) => line.split('.')[0])).toEqual([
    'warn: alarm: a ends',
    'error: alarm: a ended',
    'warn: alarm: b ends',
  ]);
});

test('a hundred of the past are remembered, and a hundred of one kind at one time', () => {
  const { found, declaration } = aDeclaration();
  const { alarms, after } = watching([declaration]);
  found.now = Array.from({ length: 250 }, (_, index) => ({ about: `${index}`, text: 'wrong' }));
  expect(after(1)).toHaveLength(100);
  found.now = [{ about: 'one more', text: 'wrong' }];
  after(1);
  found.now = [];
  after(1);
  expect(alarms.past).toHaveLength(100);
  expect(alarms.past[0]!.about).toBe('one more');
});

test('one that cannot be looked at does not keep the others from being raised', () => {
  const { found, declaration } = aDeclaration();
  const broken = aDeclaration({
    name: 'broken',
    look: () => {
      throw new Error('a bug');
    },
  });
  const { said, after } = watching([broken.declaration, declaration]);
  found.now = [{ text: 'it is wrong' }];
  expect(after(1)).toEqual(['it']);
  expect(said[0]).toMatch(/^error: a bug in Sluice/);
});

/** The table, over a broker that is all right. */
function ofBroker() {
  const at = {
    figures: {
      store: 'ok',
      memory: { bytes: 0, ceilingBytes: 1_048_576_000, pressure: 'none' },
      counts: { queueFull: 0, loopDelaySeconds: 0 },
    },
    diskFreeBytes: null as number | null,
    expiring: [] as Partial<ExpiringFile>[],
    bridges: [] as {
      name: string;
      state: 'stopped' | 'waiting' | 'connecting' | 'connected';
      problem: string | null;
      fullness: number;
    }[],
    audit: { isFailing: false, waiting: 0, lost: 0 },
  };
  const table = alarmsOf({
    figures: () => at.figures as unknown as BrokerFigures,
    diskFreeBytes: () => at.diskFreeBytes,
    listeners: () => [{ url: 'mqtts://a', expiring: at.expiring as ExpiringFile[] }],
    bridges: { [Symbol.iterator]: () => at.bridges[Symbol.iterator]() },
    audit: at.audit,
  });
  return { at, table, ...watching(table) };
}

test.each([
  ['refusing', 1, 'disk-refusing', 'critical'],
  ['hanging', 1, 'disk-hanging', 'critical'],
  ['slow', 11, 'disk-slow', 'warning'],
])('a disk that is %s is an alarm after %i seconds', (state, seconds, name, severity) => {
  const { at, alarms, after } = ofBroker();
  at.figures.store = state;
  expect(after(seconds - 1)).toEqual([]);
  expect(after(1)).toEqual([name]);
  expect(alarms.active).toMatchObject([{ severity }]);
  at.figures.store = 'ok';
  expect(after(31)).toEqual([]);
});

test('a disk with little room left is an alarm that says how much', () => {
  const { at, alarms, after } = ofBroker();
  at.diskFreeBytes = 2 ** 30;
  expect(after(1)).toEqual([]);
  at.diskFreeBytes = 500 * 2 ** 20;
  expect(after(1)).toEqual(['disk-nearly-full']);
  at.diskFreeBytes = 100 * 2 ** 20;
  after(1);
  expect(alarms.active).toMatchObject([{ severity: 'critical', text: expect.stringContaining('100 MiB left') }]);
});

test('memory under pressure is an alarm with its share of the ceiling', () => {
  const { at, alarms, after } = ofBroker();
  Object.assign(at.figures.memory, { bytes: 734_003_200, pressure: 'queues' });
  after(6);
  expect(alarms.active).toMatchObject([
    {
      name: 'memory-high',
      severity: 'warning',
      text: 'Clients hold 700 MiB, 70 % of the ceiling: queues leave memory',
    },
  ]);
  at.figures.memory.pressure = 'disconnection';
  after(1);
  expect(alarms.active).toMatchObject([{ severity: 'critical' }]);
});

test('full queues are an alarm until none was met for a minute', () => {
  const { at, alarms, after } = ofBroker();
  at.figures.counts.queueFull = 5;
  expect(after(2)).toEqual([]);
  at.figures.counts.queueFull = 8;
  expect(after(1)).toEqual(['queue-full']);
  at.figures.counts.queueFull = 9;
  after(30);
  expect(alarms.active[0]!.text).toBe('4 messages found the queue of a session full');
  expect(after(30)).toEqual(['queue-full']);
  expect(after(1)).toEqual([]);
});

test('an event loop that is late again and again is an alarm, one long stop is none', () => {
  const { at, after } = ofBroker();
  after(1);
  at.figures.counts.loopDelaySeconds += 3;
  expect(after(20)).toEqual([]);
  for (let second = 0; second < 12; second++) {
    at.figures.counts.loopDelaySeconds += 0.2;
    after(1);
  }
  expect(after(1)).toEqual(['event-loop-late']);
});

test('a certificate that ends is an alarm, and its renewal clears it', () => {
  const { at, alarms, clock, after } = ofBroker();
  const dayMs = 86_400_000;
  const file = (days: number) => ({
    kind: 'certificate' as const,
    name: 'tls.certFile a.crt',
    from: clock.now - 100 * dayMs,
    until: clock.now + days * dayMs,
  });
  at.expiring = [file(31)];
  expect(after(1)).toEqual([]);
  at.expiring = [file(20), file(20)];
  after(1);
  expect(alarms.active).toMatchObject([{ name: 'certificate-expiring', severity: 'warning' }]);
  expect(alarms.active[0]!.text).toMatch(/^tls.certFile a.crt of mqtts:\/\/a ends in 20 days, on /);
  at.expiring = [file(-1)];
  after(1);
  expect(alarms.active).toMatchObject([{ severity: 'critical', text: expect.stringContaining('has ended on') }]);
  at.expiring = [file(365)];
  expect(after(1)).toEqual([]);
});

test('an audit log that cannot be written is an alarm', () => {
  const { at, alarms, after } = ofBroker();
  Object.assign(at.audit, { isFailing: true, waiting: 7, lost: 2 });
  expect(after(1)).toEqual(['audit-failing']);
  expect(alarms.active[0]!.text).toContain('7 events in memory, 2 lost');
});

test('there is a metric of each kind, also of those that are not raised', () => {
  const { at, alarms, table, after } = ofBroker();
  at.figures.store = 'refusing';
  after(1);
  const samples = [...alarms.metrics[0]!.samples()];
  expect(samples.map(({ labels }) => labels.alarm)).toEqual(table.map(({ name }) => name));
  expect(samples.filter(({ value }) => value === 1).map(({ labels }) => labels.alarm)).toEqual(['disk-refusing']);
});
