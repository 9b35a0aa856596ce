#!/usr/bin/env node
import { processIo } from './io.ts';
import { run } from './run.ts';

// A reader that leaves (`sluice sub … | head`) is no error; the command that writes finds out by itself.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

// No process.exit: what was written may still be on its way.
process.exitCode = await run(process.argv.slice(2), processIo);
