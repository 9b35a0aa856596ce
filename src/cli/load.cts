/** Loads the command itself. A file of its own, since old versions of Node cannot even read an `import()`. */
void (process.argv[2] === 'start' ? import('./start-process.js') : import('./main.js'));
