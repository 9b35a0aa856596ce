import { setTimeout } from 'node:timers/promises';

/** Waits until it is so; the test's own time limit ends what never comes. */
export async function eventually(isSo: () => boolean): Promise<void> {
  while (!isSo()) await setTimeout(2);
}
