/** Runs the broker, with V8's code of it where there is some. */
import { compile, readCode, readSource, runBroker } from './broker-file.ts';

function compiled() {
  const source = readSource();
  return compile(source, readCode(source));
}

runBroker(compiled());
