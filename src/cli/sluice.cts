#!/usr/bin/env node
/**
 * The command `sluice`, before anything else of it is loaded: whether this Node can run it. Old versions of Node must be
 * able to read this file, so it has no `import`, and nothing that ES2015 does not have.
 */
const oldest = [20, 19];
const found = process.versions.node.split('.').map(Number);
const isOld = found[0]! < oldest[0]! || (found[0] === oldest[0] && found[1]! < oldest[1]!);

if (isOld) {
  process.stderr.write(
    `Sluice needs Node.js ${oldest.join('.')} or later, and this is ${process.versions.node} (${process.execPath})\n`,
  );
  process.exitCode = 1;
} else {
  require('./load.cjs');
}
