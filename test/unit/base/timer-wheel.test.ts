import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Timer, TimerWheel } from '../../../src/base/timer-wheel.ts';

test('a timer fires when its time has come and not before', () => {
  const fired: string[] = [];
  const wheel = new TimerWheel(0);
  wheel.set(new Timer(() => fired.push('a')), 1_000);

  wheel.advance(999);
  expect(fired).toEqual([]);
  wheel.advance(1_000);
  expect(fired).toEqual(['a']);
});

test('a cancelled timer never fires, and a moved one only at its new time', () => {
  const fired: string[] = [];
  const wheel = new TimerWheel(0);
  const cancelled = new Timer(() => fired.push('cancelled'));
  const moved = new Timer(() => fired.push('moved'));
  wheel.set(cancelled, 500);
  wheel.set(moved, 500);
  wheel.set(moved, 90_000);
  wheel.cancel(cancelled);

  wheel.advance(89_999);
  expect(fired).toEqual([]);
  wheel.advance(90_000);
  expect(fired).toEqual(['moved']);
  expect(wheel.count).toBe(0);
});

test('a timer may set itself again while it fires', () => {
  let rounds = 0;
  const wheel = new TimerWheel(0);
  const timer: Timer = new Timer(() => {
    if (++rounds < 3) wheel.set(timer, rounds * 100 + 100);
  });
  wheel.set(timer, 100);

  wheel.advance(10_000);
  expect(rounds).toBe(3);
});

test('after a jump of the clock everything that is due fires at once, in its order', () => {
  const fired: number[] = [];
  const wheel = new TimerWheel(0);
  const tenYears = 10 * 365 * 86_400_000;
  for (const at of [3_000, 86_400_000, 1_000, tenYears + 60_000]) wheel.set(new Timer(() => fired.push(at)), at);

  wheel.advance(tenYears);
  expect(fired).toEqual([1_000, 3_000, 86_400_000]);
  wheel.advance(tenYears + 60_000);
  expect(fired).toEqual([1_000, 3_000, 86_400_000, tenYears + 60_000]);
});

test('so many may fire in one go, and the next call goes on with the others in their order', () => {
  const fired: number[] = [];
  const wheel = new TimerWheel(0);
  for (const at of [100, 100, 100, 700, 60_000]) wheel.set(new Timer(() => fired.push(at)), at);
  const late = new Timer(() => fired.push(-1));

  expect(wheel.advance(1_000, 2)).toBe(false);
  expect(fired).toEqual([100, 100]);
  wheel.set(late, 300);
  expect(wheel.advance(1_000, 2)).toBe(false);
  expect(fired).toEqual([100, 100, 100, -1]);
  expect(wheel.advance(1_000, 2)).toBe(true);
  expect(wheel.advance(60_000, 1)).toBe(true);
  expect(fired).toEqual([100, 100, 100, -1, 700, 60_000]);
  expect(wheel.advance(70_000, 0)).toBe(true);
});

test('very many timers of one hour come down a level in parts, and then fire in their order', () => {
  const fired: number[] = [];
  const wheel = new TimerWheel(0);
  const hour = 3_600_000;
  for (let i = 0; i < 1_000; i++) wheel.set(new Timer(() => fired.push(i)), hour + (i % 2) * 100);

  let goes = 0;
  while (!wheel.advance(hour, 2)) {
    if (fired.length === 0) goes++;
  }
  expect(goes).toBeGreaterThan(20);
  expect(fired).toEqual(Array.from({ length: 500 }, (_, i) => 2 * i));
  while (!wheel.advance(hour + 100, 2));
  expect(fired.slice(500)).toEqual(Array.from({ length: 500 }, (_, i) => 2 * i + 1));
});

test('a timer that is due and was left can be fired before others, and others cannot', () => {
  const fired: string[] = [];
  const wheel = new TimerWheel(0);
  const timers = { first: 100, second: 100, later: 2_000 };
  const [first, second, later] = Object.entries(timers).map(([name, at]) => {
    const timer = new Timer(() => fired.push(name));
    wheel.set(timer, at);
    return timer;
  });

  wheel.advance(1_000, 1);
  for (const timer of [null, first, second, later]) wheel.fireIfDue(timer!, 1_000);
  expect(fired).toEqual(['first', 'second']);
  expect(wheel.advance(2_000)).toBe(true);
  expect(fired).toEqual(['first', 'second', 'later']);
});

test('whatever the times, each timer fires in the tick in which it is due', () => {
  const delay = fc.oneof(fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 1, max: 200 * 365 * 86_400_000 }));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 42 }), fc.array(delay, { maxLength: 40 }), (start, delays) => {
      const wheel = new TimerWheel(start);
      const lateness: number[] = [];
      let now = start;
      for (const each of delays) wheel.set(new Timer(() => lateness.push(now - start - each)), start + each);
      for (const each of [...delays].sort((a, b) => a - b)) {
        const tickEnd = Math.ceil((start + each) / 100) * 100;
        for (const time of [tickEnd - 100, tickEnd]) wheel.advance((now = Math.max(now, time)));
      }
      expect(wheel.count).toBe(0);
      expect(lateness.every((late) => 0 <= late && late < 100)).toBe(true);
    }),
  );
});
