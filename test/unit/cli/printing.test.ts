/** What tables on the command line show for names that nobody can type. */
import { expect, test } from 'vitest';
import { Table } from '../../../src/cli/printing.ts';

test('the session of a bridge is shown as the bridge', () => {
  const rows = new Table(['clientId', 'topicFilter']).rows([{ clientId: '\0bridge/up/1.9.', topicFilter: 'a/#' }]);
  expect(rows).toEqual(['bridge up, priority 9  a/#']);
});
