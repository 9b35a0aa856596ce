/**
 * Comments are read on half a screen: they keep to 120 columns, as the code does, which the formatter sees to.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
const columnsMax = 120;

test.each(['src', 'test', 'scripts'])('comments in %s keep to 120 columns', (folder) => {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).filter(
    (file) => /\.tsx?$/.test(file) && !file.startsWith('dist'),
  );
  const wide = files.flatMap((file) => {
    const lines = readFileSync(join(root, folder, file), 'utf8').split('\n');
    return lines.flatMap((line, index) => {
      const isWide = line.length > columnsMax && /^\s*(\/\/|\/?\*)/.test(line);
      return isWide ? [`${folder}/${file}:${index + 1}`] : [];
    });
  });
  expect(files.length).toBeGreaterThan(20);
  expect(wide).toEqual([]);
});
