/** Every metric that there is, of a broker with a pipeline that has not been started. */
import type { Metric } from '../../src/base/metrics.ts';
import { createContext } from '../../src/broker/create-context.ts';
import { defaultSettings } from '../../src/contracts/settings.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { benchWith } from './pipeline.ts';

export async function allMetrics(): Promise<Metric[]> {
  const { pipelines } = await benchWith([{ decode: 'json' }]);
  const options = { settings: defaultSettings, store: new MemoryStore(), pipeline: pipelines };
  return [...createContext(options, new Set(), () => {}).metrics];
}
