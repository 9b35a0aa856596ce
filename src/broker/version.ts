import { readFileSync } from 'node:fs';

/** From package.json, which lies two folders up from here in the source tree and in the built package alike. */
export const version: string = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
