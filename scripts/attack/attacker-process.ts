/**
 * The attacker's process: told a row, it prepares it, runs it, and ends it by closing all its connections. It tells its
 * parent when each of these is over, and goes on when it is told to.
 */
import { once } from 'node:events';
import { Attacker, type Report, type Task } from './attacker.ts';
import { rows } from './rows.ts';

const tell = (report: Report) => process.send!(report);

process.once('disconnect', () => process.exit());
const [task] = (await once(process, 'message')) as [Task];
const attacker = new Attacker(task);
const row = rows.find(({ name }) => name === task.row)!;
try {
  await row.prepare?.(attacker);
  tell({ kind: 'prepared' });
  await once(process, 'message');
  await row.run(attacker);
} catch (error) {
  attacker.problems.push(`the attack failed: ${(error as Error).stack ?? String(error)}`);
}
tell({ kind: 'attacked' });
await once(process, 'message');
attacker.end();
tell({ kind: 'done', facts: attacker.facts, problems: attacker.problems });
