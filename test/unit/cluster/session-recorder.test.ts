import { expect, test } from 'vitest';
import { NodeRecorder } from '../../../src/cluster/session-recorder.ts';

test('the checkpoint stays where it was until what goes on to others is in the log', () => {
  let readTo = 7;
  const recorder = new NodeRecorder({
    timers: { after: () => {}, every: () => () => {} },
    clock: { now: () => 0 },
    readTo: () => readTo,
    release: () => {},
    record: async () => {},
    notes: { values: new Map(), isShared: () => false, write: async () => {} },
    failed: (error) => {
      throw error;
    },
  });
  expect([recorder.checkpoint, recorder.low]).toEqual([7, 8]);

  const [first, second] = [recorder.hold(), recorder.hold()];
  readTo = 20;
  expect([recorder.checkpoint, recorder.low]).toEqual([7, 8]);
  first();
  expect([recorder.checkpoint, recorder.low]).toEqual([7, 8]);
  second();
  expect([recorder.checkpoint, recorder.low]).toEqual([20, 21]);
  recorder.close();
});
