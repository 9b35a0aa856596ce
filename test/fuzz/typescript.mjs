/**
 * Lets Node run the sources as they stand (`node --import`): no build, and coverage speaks of places in the source. Vitest could,
 * but a fuzzer has to own its threads: it stops those that hang.
 */
import { readFile } from 'node:fs/promises';
import { register } from 'node:module';
import amaro from 'amaro';

const asHooks = '?hooks';
if (!import.meta.url.endsWith(asHooks)) register(import.meta.url + asHooks);

export async function load(url, context, nextLoad) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return nextLoad(url, context);
  const { code } = amaro.transformSync(await readFile(new URL(url), 'utf8'), { mode: 'strip-only' });
  return { format: 'module', source: code, shortCircuit: true };
}
