/** Every input that the fuzzer once found, and a short run of each target from a fixed seed. */
import { describe, expect, test } from 'vitest';
import { savedFindings } from './findings.ts';
import { makeTarget, targetNames } from './targets.ts';

describe.each(savedFindings())('$file', ({ target: name, input }) => {
  test('is nothing special any more', async () => {
    const target = await makeTarget(name, 1);
    try {
      const { user, system } = process.cpuUsage();
      await target.run(Buffer.from(input));
      const used = process.cpuUsage({ user, system });
      // Those that hung did so for seconds; a busy machine compiles this code slowly.
      expect((used.user + used.system) / 1_000).toBeLessThan(1_000);
    } finally {
      target.close?.();
    }
  });
});

test.each(targetNames)('the valid inputs that %s begins with are found to be right', async (name) => {
  const target = await makeTarget(name, 1);
  try {
    for (const seed of target.seeds) expect(typeof (await target.run(Buffer.from(seed)))).toBe('string');
  } finally {
    target.close?.();
  }
});
