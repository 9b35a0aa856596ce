#!/usr/bin/env node
/**
 * The process of the command `sluice`. It loads nothing by itself: a broker comes out of one file, with V8's code of it
 * (`load-broker.cts`), and all other commands are loaded as far as they are needed.
 */
if (process.argv[2] === 'start') await import('./broker.ts');
else await import('./command.ts');
