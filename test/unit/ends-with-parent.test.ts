import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { endsWithParent } from '../support/ends-with-parent.ts';

test('a child ends when nobody holds its pipe open any more, as when its parent was killed', async () => {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  // The kernel closes it for a process that ends.
  endsWithParent(child).guard.destroy();
  expect(await exited).toEqual([null, 'SIGKILL']);
});
