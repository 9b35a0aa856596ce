import { expect, test } from 'vitest';
import { outcomeOf } from '../../../src/cluster/nats/outcomes.ts';

const refusal = (err_code: number, description: string) =>
  JSON.stringify({ error: { code: 400, err_code, description } });

test.each([
  [JSON.stringify({ stream: 's', seq: 7 }), { state: 'stored', sequence: 7 }],
  [refusal(10_071, 'wrong last sequence: 12'), { state: 'outdated', last: 12 }],
  [refusal(10_077, 'maximum bytes exceeded'), { state: 'full' }],
  [refusal(10_047, 'insufficient storage resources available'), { state: 'full' }],
  [refusal(10_164, 'wrong last sequence'), { state: 'unknown', reason: '10164 wrong last sequence' }],
  [refusal(10_077, 'raft: not leader'), { state: 'unknown', reason: '10077 raft: not leader' }],
])('%s is told as %o', (answer, outcome) => {
  expect(outcomeOf(answer)).toEqual(outcome);
});
