/** `sluice start`, as a program of its own: `bundle.mjs` makes one file of it and of all that a broker is. */
import { runProcess } from './run-process.ts';
import { start } from './start.ts';

runProcess(start, process.argv.slice(3));
