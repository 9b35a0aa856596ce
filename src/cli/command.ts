/** All commands. */
import { command } from './run.ts';
import { runProcess } from './run-process.ts';

runProcess(command, process.argv.slice(2));
