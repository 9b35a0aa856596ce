/** The window of messages under way to one client, held against a list. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Delivery } from '../../../src/core/delivery.ts';
import { Awaiting, SendWindow } from '../../../src/core/send-window.ts';
import { Message } from '../../../src/protocol/message.ts';
import { Topic } from '../../../src/protocol/topic.ts';

const aDelivery = (): Delivery => {
  return {
    message: Message.of(Topic.of('a'), Buffer.alloc(0)),
    qos: 1,
    retain: false,
    subscriptionIds: null,
    group: null,
  };
};

function windowOf(limit: number): SendWindow {
  const window = new SendWindow();
  window.resume(limit);
  return window;
}

test('identifiers start at 1, rise, and come round to 1 after 65,535 without passing 0', () => {
  const window = windowOf(65_535);
  for (let expected = 1; expected <= 65_535; expected++) {
    expect(window.begin(null, 1)).toBe(expected);
    window.settle(expected);
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

test('an identifier that was never answered is not given out a second time, however many others are', () => {
  const window = windowOf(65_535);
  const stuck = window.begin(aDelivery(), 1);
  let count = 0;
  while (!window.isFull) {
    const id = window.begin(null, 1);
    expect(id).not.toBe(stuck);
    window.settle(id);
    count++;
  }
  expect(count).toBe(65_533);
  expect([...window]).toEqual([stuck]);
  window.settle(stuck);
  expect(window.isFull).toBe(false);
});

test('what was put back after a restart is sent again first, in its order, with gaps', () => {
  const window = new SendWindow();
  const deliveries = [aDelivery(), aDelivery()];
  window.restore(65_534, deliveries[0]!, Awaiting.pubrec);
  window.restore(3, deliveries[1]!, Awaiting.pubcomp);
  window.resume(10);
  expect([window.nextResend(), window.nextResend(), window.nextResend()]).toEqual([65_534, 3, 0]);
  expect(window.delivery(3)).toBe(deliveries[1]);
  expect(window.begin(null, 1)).toBe(4);
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
          } else if (!window.isFull) {
            expect(window.nextResend()).toBe(unsent?.id ?? 0);
            if (unsent !== undefined) unsent.isSent = true;
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
