/**
 * dist/program/broker.cjs, which is all of a broker in one file, and V8's code of it.
 *
 * V8 would parse those two megabytes and compile what is called: a quarter of the processor time of a start. So the
 * build keeps V8's code beside it (`code-cache.ts`), for the Node that it runs in. Another version of V8, or one with
 * other options, rejects it and compiles as it would without.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { builtModule } from '../base/worker-file.ts';

const fileBeside = (name: string) => fileURLToPath(new URL(`./${name}`, builtModule(import.meta.url)));

const file = fileBeside('broker.cjs');
/**
 * V8 compares neither the platform nor more of a source than its length, and runs damaged code, which crashes the
 * process: name and hash stand for all of these.
 */
export const codeFile: string = fileBeside(`broker-${process.version}-${process.platform}-${process.arch}.code`);
const hashBytes = 20;
const hashOf = (source: string, code: Buffer) => createHash('sha1').update(source, 'latin1').update(code).digest();

export const readSource = (): string => readFileSync(file, 'utf8');

/** Undefined where there is none of this source, or a damaged one. */
export function readCode(source: string, from: string = codeFile): Buffer | undefined {
  try {
    const kept = readFileSync(from);
    const code = kept.subarray(hashBytes);
    return hashOf(source, code).equals(kept.subarray(0, hashBytes)) ? code : undefined;
  } catch {
    return undefined;
  }
}

export function codeOf(source: string, script: Script): Buffer {
  const code = script.createCachedData();
  return Buffer.concat([hashOf(source, code), code]);
}

export function compile(source: string, code: Buffer | undefined): Script {
  return new Script(source, {
    filename: file,
    ...(code === undefined ? {} : { cachedData: code }),
  });
}

/** V8 keeps no way to load modules with its code, so that is handed in as well. */
const importModule = (specifier: string): Promise<unknown> => import(specifier);

export function runBroker(script: Script): void {
  script.runInThisContext()(createRequire(file), file, importModule);
}
