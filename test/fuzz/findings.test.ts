/** Every input that the fuzzer once found. The valid inputs that a target begins with are run by `npm run fuzz`. */
import { describe, expect, test } from 'vitest';
import { savedFindings } from './findings.ts';
import { makeTarget } from './targets.ts';

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
