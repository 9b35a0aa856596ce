/**
 * Loads the command itself, as `bundle.mjs` has made it. A file of its own, since old versions of Node cannot even read
 * an `import()`.
 */
const program: string = process.argv[2] === 'start' ? 'start-process' : 'main';
void import(`../program/${program}.js`);
