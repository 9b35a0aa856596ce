import { expect, test } from 'vitest';
import { Complaints } from '../../../src/broker/complaints.ts';
import { silentLog } from '../../../src/contracts/log.ts';

test('clients that come and go fill no log: of each kind so many lines, and one that says how many more there were', () => {
  const lines: string[] = [];
  const log = { ...silentLog, info: (_about: object, what: string) => void lines.push(what) };
  const complaints = new Complaints(log);
  complaints.tick(0);
  for (let i = 0; i < 10_000; i++) {
    complaints.info('connected', {}, 'client connected');
    complaints.info('disconnected', {}, 'client disconnected');
  }
  expect(lines).toHaveLength(400);
  complaints.tick(10_000);
  expect(lines.slice(400)).toEqual([
    'and 9800 more such lines; the last: client connected',
    'and 9800 more such lines; the last: client disconnected',
  ]);
  complaints.info('connected', {}, 'client connected');
  expect(lines).toHaveLength(403);
});
