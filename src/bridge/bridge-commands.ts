/** What operators ask of bridges. */
import { isDeepStrictEqual } from 'node:util';
import type { BridgeView } from '../contracts/commands/bridges.ts';
import type { CommandHandlers } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { Bridge } from './bridge.ts';
import type { Bridges } from './bridges.ts';

type Handlers = Pick<
  CommandHandlers,
  | 'bridges list'
  | 'bridges show'
  | 'bridges create'
  | 'bridges change'
  | 'bridges pause'
  | 'bridges resume'
  | 'bridges remove'
>;

/** `masked`: settings without secrets. */
export function bridgeHandlers(bridges: Bridges, masked: (settings: Bridge['settings']) => object): Handlers {
  const find = (name: string): Bridge => {
    const bridge = bridges.get(name);
    if (bridge === null) throw new CommandFailure('not-found', `There is no bridge ${name}; see sluice bridges list`);
    return bridge;
  };
  const made = (name: string): Bridge => {
    const bridge = find(name);
    if (!bridges.isConfigured(name)) return bridge;
    const what = `The bridge ${name} is in the configuration: change it there, and reload`;
    throw new CommandFailure('conflict', what);
  };
  const make = (settings: Bridge['settings']): Promise<Bridge> => {
    const missing = bridges.missingPipeline(settings);
    if (missing === null) return bridges.make(settings);
    const what = `There is no pipeline ${missing} with "on: bridge" in the configuration: add it there, and reload`;
    throw new CommandFailure('conflict', what);
  };
  const view = (bridge: Bridge): BridgeView => ({ ...bridge.view(), isConfigured: bridges.isConfigured(bridge.name) });
  return {
    'bridges list': async () => ({
      bridges: [...bridges].map(view).sort((one, other) => (one.name < other.name ? -1 : 1)),
    }),
    async 'bridges show'({ name }) {
      const bridge = find(name);
      const settings = masked(bridge.settings) as Record<string, unknown>;
      return { ...view(bridge), refusedFilters: bridge.refusedFilters, settings };
    },
    async 'bridges create'({ settings }) {
      if (bridges.areOfCluster) {
        const what = 'Bridges of a cluster are in the configuration of each node: add it there, and reload each';
        throw new CommandFailure('conflict', what);
      }
      if (bridges.get(settings.name) !== null) {
        throw new CommandFailure(
          'conflict',
          `There is a bridge ${settings.name} already; change it, or remove it first`,
        );
      }
      return view(await make(settings));
    },
    async 'bridges change'({ name, settings }) {
      const { settings: before } = made(name);
      if (settings.name !== name) {
        throw new CommandFailure('conflict', 'A bridge keeps its name: make another one, and remove this one');
      }
      // Whoever changes what `bridges show` gives has not seen the secrets.
      return view(await make(withSecrets(settings, masked(before), before) as Bridge['settings']));
    },
    async 'bridges pause'({ name }) {
      const bridge = find(name);
      bridges.pause(name);
      return view(bridge);
    },
    async 'bridges resume'({ name }) {
      const bridge = find(name);
      bridges.resume(name);
      return view(bridge);
    },
    async 'bridges remove'({ name }) {
      made(name);
      return { dropped: await bridges.remove(name) };
    },
  };
}

/** What is given as it was shown stays what it is. */
function withSecrets(given: unknown, shown: unknown, own: unknown): unknown {
  if (isDeepStrictEqual(given, shown)) return own;
  if (Array.isArray(given) && Array.isArray(shown) && Array.isArray(own)) {
    return given.map((each) => own[shown.findIndex((one) => isDeepStrictEqual(one, each))] ?? each);
  }
  if (!isMap(given) || !isMap(shown) || !isMap(own)) return given;
  return Object.fromEntries(Object.entries(given).map(([key, each]) => [key, withSecrets(each, shown[key], own[key])]));
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
