/** The pages of the manual, and the fenced blocks in them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../..', import.meta.url));

export const textOf = (page: string) => readFileSync(join(root, page), 'utf8');

export interface Block {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  /** The name of a file behind the language: then the block is that file. */
  readonly file: string | undefined;
  readonly text: string;
}

export function blocksOf(page: string): Block[] {
  const text = textOf(page);
  return [...text.matchAll(/^```(\w+)(?: (\S+))?\n(.*?)^```$/gms)].map((match) => {
    const [, language, file, content] = match;
    return { page, line: text.slice(0, match.index).split('\n').length, language: language!, file, text: content! };
  });
}

/** Pages with examples for users: the README, and everything in docs/ that is not about the code. */
export const manual = [
  'README.md',
  'docs/getting-started.md',
  ...['guides', 'reference'].flatMap((folder) =>
    readdirSync(join(root, 'docs', folder)).map((name) => `docs/${folder}/${name}`),
  ),
];
