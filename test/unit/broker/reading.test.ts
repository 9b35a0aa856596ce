/** Why a connection is not read, one reason beside the other. */
import { expect, test } from 'vitest';
import type { Step } from '../../../src/base/scheduler.ts';
import type { Output } from '../../../src/broker/output.ts';
import { type Readable, Reading } from '../../../src/broker/reading.ts';

function aReading() {
  const queued: Step[] = [];
  const stream = {
    isPaused: false,
    pendingBytes: 0,
    pause: () => void (stream.isPaused = true),
    resume: () => void (stream.isPaused = false),
  };
  const output = { waitingBytes: 0, fullBytes: 0 };
  const memory = { outputBytes: 1_000 };
  const connection = {
    context: { core: { now: 0 }, memory, settings: { limits: { receiveMaximum: 10 } }, advanceClock: () => 0 },
    stream,
    share: { run: (step: Step) => void step(), queue: (step: Step) => void queued.push(step) },
    session: {},
    isClosing: false,
    heldAnswers: 0,
    mayReceive: true,
    guard: (run: () => void) => run(),
    takeParked() {},
    restartKeepAlive() {},
  };
  const reading = new Reading(connection as unknown as Readable, output as unknown as Output);
  return { reading, stream, output, memory, queued };
}

test('time comes and goes while something else is waited for, and nothing is left to do then', () => {
  const { reading, stream, queued } = aReading();
  reading.yield();
  reading.park();
  expect(queued.shift()!()).toBe(false);
  expect([reading.isParked, reading.isBehind, queued.length]).toEqual([true, false, 0]);
  reading.unpark();
  expect([reading.isParked, stream.isPaused]).toEqual([false, false]);
});

test('a client that does not read is excused for as long as it is not read [MQTT5 3.1.2-22]', () => {
  const { reading, stream, output, memory } = aReading();
  stream.pendingBytes = output.waitingBytes = 1_500;
  reading.park();
  memory.outputBytes = 100;
  reading.unpark();
  expect(stream.isPaused).toBe(true);
  expect(reading.checkExcuse()).toBe(false);
  stream.pendingBytes = output.waitingBytes = 1_000;
  expect(reading.checkExcuse()).toBe(true);
  stream.pendingBytes = output.waitingBytes = 0;
  reading.drained();
  expect(stream.isPaused).toBe(false);
});

test('who is not parked cannot be unparked', () => {
  expect(() => aReading().reading.unpark()).toThrow('is not parked');
});
