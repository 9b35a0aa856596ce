/** Log lines on their way out. */
import { expect, test, vi } from 'vitest';
import { GatheredLines } from '../../../src/admin/gathered-lines.ts';

const line = `${'x'.repeat(1_023)}\n`;

test('lines leave together once there are enough of them', () => {
  const written: string[] = [];
  const lines = new GatheredLines((text) => written.push(text));

  for (let i = 0; i < 64; i++) {
    expect(written).toEqual([]);
    lines.write(line);
  }
  expect(written).toEqual([line.repeat(64)]);

  lines.flush();
  expect(written).toHaveLength(1);
});

test('a line by itself leaves after a while, and only once', async () => {
  const written: string[] = [];
  const lines = new GatheredLines((text) => written.push(text));

  lines.write('one\n');
  await vi.waitFor(() => expect(written).toEqual(['one\n']));

  lines.write('two\n');
  lines.flush();
  expect(written).toEqual(['one\n', 'two\n']);
});
