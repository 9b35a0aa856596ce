/**
 * Links of all Markdown pages lead somewhere, and so do the paths of pages and files that code, configuration and pages
 * name.
 */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root, textOf } from './pages.ts';

const skipped = new Set(['node_modules', 'dist', 'release', '.git', 'data', 'findings']);
const textFile = /(\.(md|ts|mjs|js|json|ya?ml|c|sh)|\/Dockerfile|\/\.ci\/run)$/;

function* textFiles(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && !skipped.has(entry.name)) yield* textFiles(path);
    if (entry.isFile() && textFile.test(path) && entry.name !== 'package-lock.json') yield relative(root, path);
  }
}
const files = [...textFiles(root)];
const pages = files.filter((file) => file.endsWith('.md'));

/** The page without fenced blocks, in which neither headings nor links are meant as such. */
const prose = (page: string) =>
  textOf(page).replaceAll(/^( *)```.*?^\1```$/gms, (block) => block.replaceAll(/.+/g, ''));

/** Anchors as GitHub makes them of headings: a second one of the same name has `-1` behind it. */
function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of prose(page).matchAll(/^#{1,6} +(.+)$/gm)) {
    const text = heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const name = text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}\p{Pc}\- ]/gu, '')
      .replaceAll(' ', '-');
    let anchor = name;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${name}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** What is wrong with a link on this page, or null. */
function faultOf(page: string, link: string): string | null {
  const [path, anchor] = link.split('#') as [string, string?];
  const target = path === '' ? page : join(dirname(page), decodeURIComponent(path));
  if (!existsSync(join(root, target))) return `${link}: there is no ${target}`;
  if (anchor === undefined) return null;
  return anchorsOf(target).has(anchor) ? null : `${link}: ${target} has no heading of this name`;
}

test.each(pages)('links of %s lead to a file and a heading', (page) => {
  const links = [...prose(page).matchAll(/\]\((?!\w+:)([^)\s]+)\)/g)].map(([, link]) => link!);
  expect(links.map((link) => faultOf(page, link)).filter((fault) => fault !== null)).toEqual([]);
});

test('a link to a page or heading that is not there is noticed', () => {
  expect(faultOf('docs/guides/tls.md', '../../README.md')).toBe(null);
  expect(faultOf('docs/guides/tls.md', 'tsl.md')).toBe('tsl.md: there is no docs/guides/tsl.md');
  expect(faultOf('README.md', '#no-such-heading')).toMatch(/has no heading/);
});

test('pages of docs/ that any file names are there', () => {
  const missing = files.flatMap((file) =>
    [...textOf(file).matchAll(/(?<![\w./-])docs\/[\w./-]+\.\w+/g)]
      .map(([path]) => path)
      .filter((path) => !existsSync(join(root, path)))
      .map((path) => `${file}: ${path}`),
  );
  expect(missing.filter((each) => !each.startsWith('test/unit/docs/links.test.ts'))).toEqual([]);
});

test('files of the repository that pages name by their whole path are there', () => {
  const missing = pages.flatMap((page) =>
    [...textOf(page).matchAll(/`((?:src|test|scripts|config|docs)\/[\w./-]+)`/g)]
      .map(([, path]) => path!)
      .filter((path) => !existsSync(join(root, path)))
      .map((path) => `${page}: ${path}`),
  );
  expect(missing).toEqual([]);
});

test('what the README links to is in the package', () => {
  const { files } = JSON.parse(textOf('package.json')) as { files: string[] };
  const linked = [...prose('README.md').matchAll(/\]\((?!\w+:|#)([^)\s#]+)/g)].map(([, path]) => path!);
  expect(linked.filter((path) => !files.includes(path.split('/')[0]!))).toEqual([]);
});

describe('the manual', () => {
  const all = pages.filter((page) => page.startsWith('docs/'));

  test.each(all)('%s begins with what it is for', (page) => {
    expect(textOf(page)).toMatch(/^# \S.*\n\n(?!```)[A-Z`]/);
  });

  test('every page is in its table of contents', () => {
    const contents = new Set([...prose('docs/README.md').matchAll(/\]\(([^)#]+)/g)].map(([, link]) => `docs/${link}`));
    expect(all.filter((page) => page !== 'docs/README.md' && !contents.has(page))).toEqual([]);
  });
});
