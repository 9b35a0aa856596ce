import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * What waits for browsers, processes and disks. Vitest begins with the largest files, where it does not remember how
 * long each took; but some of the smallest take a minute, in which nothing else would be left to do.
 */
const long =
  /\/test\/(dashboard|interop|sim|contract|unit\/store\/damage)\/|\/(access-matrix|wills|executable|bad-disk)\.test\.ts$/;

/** Begins with the files that take long, so that the run does not end with one of them alone. */
export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => long.test(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}
