import { expect, test } from 'vitest';
import type { ExpiringFile } from '../../../src/contracts/transport.ts';
import { listenerMetrics } from '../../../src/net/metrics.ts';

const file = (kind: ExpiringFile['kind'], until: number): ExpiringFile => ({
  ...{ kind, name: 'a file', file: 'a file', subject: null, issuer: null, subjectAltNames: [] },
  ...{ from: 0, until },
});

test('of each kind and listener the file that ends first is told, and one that has ended is below 0', () => {
  const listeners = [
    { url: 'mqtt://a', expiring: [] },
    {
      url: 'mqtts://b',
      expiring: [file('certificate', 90_000), file('authority', 5_000), file('certificate', 20_000)],
    },
  ];
  const [metric] = listenerMetrics(
    () => listeners,
    () => 10_000,
  );

  expect([...metric!.samples()]).toEqual([
    { labels: { listener: 'mqtts://b', kind: 'certificate' }, value: 10 },
    { labels: { listener: 'mqtts://b', kind: 'authority' }, value: -5 },
  ]);
});
