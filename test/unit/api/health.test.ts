import { describe, expect, test } from 'vitest';
import {
  type BrokerCondition,
  type HealthReport,
  healthStatusCode,
  livez,
  readyz,
  startupz,
} from '../../../src/api/health.ts';
import { Broker } from '../../../src/broker/broker.ts';
import { defaultSettings } from '../../../src/contracts/settings.ts';
import { MemoryStore } from '../../../src/store/memory.ts';

const healthy: BrokerCondition = {
  phase: 'running',
  isBroken: false,
  isStoreFailing: false,
  listeners: [{ isListening: true }, { isListening: true }],
};
const wrong = ({ checks }: HealthReport) => checks.filter(({ isOk }) => !isOk).map(({ name }) => name);
const oneIsClosed = [{ isListening: true }, { isListening: false }];

describe.each<[string, Partial<BrokerCondition>, { live: string[]; ready: string[]; started: string[] }]>([
  ['that runs', {}, { live: [], ready: [], started: [] }],
  [
    'that starts, whose listeners are not open yet',
    { phase: 'starting', listeners: oneIsClosed },
    { live: [], ready: ['start'], started: ['start'] },
  ],
  ['that drains', { phase: 'draining' }, { live: [], ready: ['stop'], started: [] }],
  [
    'that stops',
    { phase: 'stopping', listeners: oneIsClosed },
    { live: [], ready: ['stop', 'listeners'], started: [] },
  ],
  ['whose disk takes no writes', { isStoreFailing: true }, { live: [], ready: ['store'], started: [] }],
  ['with a listener that is closed', { listeners: oneIsClosed }, { live: [], ready: ['listeners'], started: [] }],
  ['that a bug has ended', { isBroken: true }, { live: ['eventLoop'], ready: ['eventLoop'], started: [] }],
])('a broker %s', (_, change, expected) => {
  const condition = { ...healthy, ...change };

  test.each([
    ['livez', livez, expected.live],
    ['readyz', readyz, expected.ready],
    ['startupz', startupz, expected.started],
  ] as const)('%s says what is not all right, and why', (_name, ask, names) => {
    const report = ask(condition);
    expect(wrong(report)).toEqual(names);
    expect(healthStatusCode(report)).toBe(names.length === 0 ? 200 : 503);
    expect(report.status).toBe(names.length === 0 ? 'ok' : 'failing');
    for (const { isOk, reason } of report.checks) expect(reason === undefined).toBe(isOk);
  });
});

test('the reason says how many listeners are closed, and what the broker does', () => {
  const reasons = (change: Partial<BrokerCondition>) =>
    readyz({ ...healthy, ...change }).checks.flatMap(({ reason }) => reason ?? []);
  expect(reasons({ listeners: oneIsClosed })).toEqual(['1 of 2 listeners are closed; the log says why']);
  expect(reasons({ phase: 'draining' })).toEqual(['The broker is draining: it takes no more clients']);
});

test('a broker tells what it is at, and whether its disk takes writes', async () => {
  const store: Omit<MemoryStore, 'isFailing'> & { isFailing: boolean } = new MemoryStore();
  const broker = new Broker({ store, settings: { ...defaultSettings, sysIntervalSeconds: 0 } });
  const sound = { isBroken: false, isStoreFailing: false };
  expect(broker.condition).toEqual({ phase: 'starting', ...sound });
  await broker.start();
  expect(broker.condition).toEqual({ phase: 'running', ...sound });
  store.isFailing = true;
  expect(broker.condition.isStoreFailing).toBe(true);
  store.isFailing = false;
  await broker.close();
  expect(broker.condition).toEqual({ phase: 'stopping', ...sound });
});
