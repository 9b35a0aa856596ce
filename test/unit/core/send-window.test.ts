/** The window of messages under way to one client, held against a list. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Delivery } from '../../../src/core/delivery.ts';
import { Awaiting, beyondNote, inFlightMax, SendWindow } from '../../../src/core/send-window.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';

const aDelivery = () => new Delivery(Message.of(Topic.of('a'), Buffer.alloc(0)), 1, false, null, null);

function windowOf(limit: number): SendWindow {
  const window = new SendWindow();
  window.resume(limit);
  return window;
}

test('identifiers start at 1, rise, and come round to 1 after 65,535 without passing 0', () => {
  const window = windowOf(65_535);
  for (let expected = 1; expected <= 65_535; expected++) {
    const id = window.begin(null, 1);
    // An assertion for each takes seconds.
    if (id !== expected) expect(id).toBe(expected);
    window.settle(id);
  }
  expect(window.begin(null, 1)).toBe(1);
});

test('it is full at the limit, and again has room when one is settled', () => {
  const window = windowOf(2);
  window.begin(null, 1);
  window.begin(null, 2);
  expect(window.isFull).toBe(true);
  window.settle(1);
  expect(window.isFull).toBe(false);
});

test('an identifier that is never answered is passed over when they come round, and sending goes on [MQTT5 2.2.1-4]', () => {
  const window = windowOf(3);
  const delivery = aDelivery();
  const stuck = window.begin(delivery, 1);
  const seen = new Set<number>();
  for (let i = 0; i < 3 * 65_535; i++) {
    const id = window.begin(null, 1);
    seen.add(id);
    window.settle(id);
  }
  expect([seen.has(stuck), seen.has(0), seen.size]).toEqual([false, false, 65_534]);
  expect([window.count, window.isFull, [...window]]).toEqual([1, false, [stuck]]);
  expect(window.delivery(stuck)).toBe(delivery);
  window.settle(stuck);
  expect([window.count, window.awaiting(stuck)]).toEqual([0, Awaiting.nothing]);
});

test('after a reconnect it comes first, and the others behind it, though their identifiers are lower [MQTT-4.4.0-1]', () => {
  const window = windowOf(3);
  for (let i = 1; i < 65_000; i++) window.settle(window.begin(null, 1));
  const stuck = window.begin(aDelivery(), 2);
  for (let i = 0; i < 40_000; i++) window.settle(window.begin(null, 1));
  const [second, third] = [window.begin(aDelivery(), 1), window.begin(aDelivery(), 1)];
  expect([stuck, second, third]).toEqual([65_000, 39_466, 39_467]);
  expect(window.isFull).toBe(true);
  window.received(stuck);
  window.resume(2);
  expect([window.hasResends, window.nextResend(), window.nextResend(), window.isFull]).toEqual([
    true,
    stuck,
    second,
    true,
  ]);
  expect(window.awaiting(stuck)).toBe(Awaiting.pubcomp);
  window.settle(stuck);
  expect([window.isFull, window.nextResend(), window.hasResends]).toEqual([false, third, false]);
});

test('one that is answered before it was sent again is not sent again, and gives no room that it never took', () => {
  const window = windowOf(2);
  const stuck = [window.begin(aDelivery(), 1)];
  window.resume(2);
  stuck.push(window.nextResend());
  for (let i = 0; i < 40_000; i++) window.settle(window.begin(null, 1));
  window.begin(null, 1);
  window.resume(2);
  window.settle(1);
  expect([window.hasResends, window.nextResend(), window.isFull]).toEqual([true, 40_002, false]);
  window.begin(null, 1);
  expect(window.isFull).toBe(true);
});

test('any number of them may be never answered, up to the quota', () => {
  const window = windowOf(65_535);
  const stuck: number[] = [];
  while (!window.isFull) {
    stuck.push(window.begin(null, 1));
    if (!window.isFull) window.settle(window.begin(null, 1));
  }
  expect([stuck.length, new Set(stuck).size, window.count]).toEqual([inFlightMax, inFlightMax, inFlightMax]);
  expect([...window]).toEqual(stuck);
  window.settle(stuck[0]!);
  expect(window.isFull).toBe(false);
  expect(stuck.slice(1)).not.toContain(window.begin(null, 1));
  window.resume(65_535);
  const resent: number[] = [];
  for (let id = window.nextResend(); id !== 0; id = window.nextResend()) resent.push(id);
  expect([resent.length, resent[0]]).toEqual([inFlightMax, stuck[1]]);
});

test('what was put back after a restart is sent again first, in its order, with gaps', () => {
  const window = new SendWindow();
  const deliveries = [aDelivery(), aDelivery()];
  window.restore(65_534, deliveries[0]!, Awaiting.pubrec);
  window.restore(3, deliveries[1]!, Awaiting.pubcomp);
  window.startAt(3);
  window.resume(10);
  expect([window.nextResend(), window.nextResend(), window.nextResend()]).toEqual([65_534, 3, 0]);
  expect(window.delivery(3)).toBe(deliveries[1]);
  expect(window.begin(null, 1)).toBe(4);
});

describe('what the store is told', () => {
  const send = (window: SendWindow, count: number) => {
    for (let i = 0; i < count; i++) window.settle(window.begin(aDelivery(), 1));
  };

  test('it is to be told anew after 4,096 identifiers, and after as many again no more are given until it has been', () => {
    const window = windowOf(10);
    window.noted(1);
    send(window, 4_096);
    expect(window.needsNote).toBe(false);
    send(window, 1);
    expect([window.needsNote, window.isPastNote, window.next]).toEqual([true, true, 4_098]);
    const { next } = window;
    send(window, 4_095);
    expect([window.isFull, window.next]).toEqual([true, beyondNote(1)]);
    window.noted(next);
    expect([window.isFull, window.isPastNote]).toEqual([false, false]);
    send(window, 4_096);
    expect([window.isPastNote, window.isFull, window.next]).toEqual([true, false, beyondNote(1) + 4_096]);
  });

  test('while that was on its way, so many may have been given that it is to be told again', () => {
    const window = windowOf(10);
    window.noted(1);
    send(window, 4_097);
    window.isPastNote = false;
    const { next } = window;
    send(window, 4_095);
    window.noted(next);
    expect(window.isPastNote).toBe(false);
    send(window, 2);
    expect(window.isPastNote).toBe(true);
  });

  test('that holds where identifiers come round, and where they pass over stragglers', () => {
    const window = windowOf(65_535);
    const all = 65_535;
    for (let id = 4_000; id < 4_200; id++) window.restore(id, aDelivery(), Awaiting.puback);
    window.startAt(all - 1_000);
    window.resume(65_535);
    while (window.nextResend() !== 0);
    window.noted(window.next);
    // It is to be told at 3,096: before the stragglers.
    send(window, 1_001 + 3_095);
    expect([window.isPastNote, window.next]).toEqual([false, 3_096]);
    window.noted(96);
    // And now at 4,192, which a straggler has.
    send(window, 4_000 - 3_096);
    expect([window.isPastNote, window.next]).toEqual([true, 4_200]);
    expect(beyondNote(all - 1_000)).toBe(7_192);
  });

  test('a QoS 1 message that becomes a straggler is named once, one of QoS 2 not: the store knows it', () => {
    const window = windowOf(10);
    const tell = () => {
      if (window.isPastNote) window.noted(window.next);
    };
    window.noted(1);
    const stuck = [window.begin(aDelivery(), 1), window.begin(aDelivery(), 2)];
    const named: number[] = [];
    while (!stuck.every((id) => window.isStraggler(id))) {
      send(window, 1);
      tell();
      named.push(...window.takeOutgrown());
    }
    expect([named, stuck.map((id) => window.isStraggler(id))]).toEqual([[stuck[0]], [true, true]]);
    send(window, 1);
    expect([window.takeOutgrown(), window.needsNote]).toEqual([[], false]);
  });

  test('of a session that ends with its connection it is told nothing', () => {
    const window = windowOf(10);
    window.begin(null, 1);
    for (let i = 0; i < 70_000; i++) window.settle(window.begin(null, 1));
    expect([window.needsNote, window.isFull]).toEqual([false, false]);
  });
});

describe('against a list of what is in flight', () => {
  const steps = fc.array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ kind: fc.constant('begin' as const), qos: fc.constantFrom(1 as const, 2 as const) }),
      },
      { weight: 5, arbitrary: fc.record({ kind: fc.constant('answer' as const), which: fc.nat(12) }) },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('reconnect' as const), limit: fc.integer({ min: 1, max: 20 }) }),
      },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('resend' as const) }) },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('others' as const), count: fc.integer({ min: 1, max: 50_000 }) }),
      },
    ),
    { maxLength: 200, size: 'max' },
  );

  test('order, states, resends and the quota are those of the list', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const window = windowOf(10);
        let limit = 10;
        const inFlight: { id: number; awaiting: Awaiting; isSent: boolean; delivery: Delivery }[] = [];
        for (const step of all) {
          const sent = inFlight.filter(({ isSent }) => isSent).length;
          const unsent = inFlight.find(({ isSent }) => !isSent);
          expect(window.count).toBe(inFlight.length);
          expect([...window]).toEqual(inFlight.map(({ id }) => id));
          expect(window.isFull).toBe(sent >= limit);
          if (step.kind === 'begin') {
            if (window.isFull || window.hasResends) continue;
            const delivery = aDelivery();
            const id = window.begin(delivery, step.qos);
            expect(inFlight.some((one) => one.id === id)).toBe(false);
            inFlight.push({ id, awaiting: step.qos, isSent: true, delivery });
          } else if (step.kind === 'answer') {
            const one = inFlight[step.which];
            if (one === undefined) continue;
            expect(window.awaiting(one.id)).toBe(one.awaiting);
            expect(window.delivery(one.id)).toBe(one.delivery);
            if (one.awaiting === Awaiting.pubrec) {
              window.received(one.id);
              one.awaiting = Awaiting.pubcomp;
            } else {
              window.settle(one.id);
              inFlight.splice(step.which, 1);
              expect(window.awaiting(one.id)).toBe(Awaiting.nothing);
            }
          } else if (step.kind === 'reconnect') {
            limit = step.limit;
            window.resume(limit);
            for (const one of inFlight) one.isSent = false;
          } else if (step.kind === 'others') {
            // Sent and answered at once, so that the identifiers come round.
            const inUse = new Set(inFlight.map(({ id }) => id));
            for (let i = 0; i < step.count && !window.isFull && !window.hasResends; i++) {
              const id = window.begin(null, 1);
              if (inUse.has(id)) throw new Error(`${id} is in use`);
              window.settle(id);
            }
          } else if (!window.isFull) {
            expect(window.nextResend()).toBe(unsent?.id ?? 0);
            if (unsent !== undefined) unsent.isSent = true;
          }
        }
      }),
      { numRuns: 80 },
    );
  });
});
