/**
 * Brokers in this process that bridge to each other, on ports of their own.
 *
 *     const [north, south] = [await brokers.start(), …];
 *     const edge = await brokers.start({ bridges: [bridgeTo(cloud, { topics: [{ filter: 'up/#' }] })] });
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { freePort } from '../../scripts/ports.ts';
import { type App, startApp } from '../../src/app.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { ConfigInput } from '../../src/config/schema.ts';
import type { CommandAnswer, CommandRequest, SingleName } from '../../src/contracts/commands.ts';
import type { Log } from '../../src/contracts/log.ts';
import { program } from '../../src/contracts/roles.ts';
import { eventually } from '../unit/net/eventually.ts';

export type BridgeInput = NonNullable<ConfigInput['bridges']>[number];

/** Soon, so that tests do not wait for it. */
const reconnect = { minimumMs: 100, maximumMs: 200 };

export const bridgeTo = (port: number, bridge: Partial<BridgeInput> = {}): BridgeInput => ({
  name: 'up',
  addresses: [`mqtt://127.0.0.1:${port}`],
  clientId: 'the-bridge',
  topics: [{ filter: '#', direction: 'out' }],
  reconnect,
  ...bridge,
});

/** Its data outlives it: it can be stopped and started again. */
export class BridgedBroker {
  readonly port: number;
  app: App | null = null;
  readonly #directory: string;
  config: ConfigInput;
  /** From the next start on. */
  log: Log | undefined;

  private constructor(port: number, directory: string, config: ConfigInput) {
    this.port = port;
    this.#directory = directory;
    this.config = config;
  }

  static async start(config: ConfigInput = {}): Promise<BridgedBroker> {
    const directory = await mkdtemp(join(tmpdir(), 'sluice-bridge-'));
    const started = new BridgedBroker(await freePort(), directory, config);
    await started.start();
    return started;
  }

  async start(): Promise<void> {
    const config = parseConfig({
      log: { level: 'silent' },
      sysIntervalSeconds: 0,
      store: { kind: 'level', directory: this.#directory },
      listeners: [{ kind: 'tcp', port: this.port }],
      ...this.config,
    });
    this.app = await startApp(config, this.log === undefined ? {} : { log: this.log });
  }

  /** The bridge has its peer, and what is published there from now on comes. */
  async connected(name = 'up'): Promise<void> {
    await eventually(() => this.app?.bridges.get(name)?.isSubscribed === true);
  }

  async command<Name extends SingleName>(name: Name, request: CommandRequest<Name>): Promise<CommandAnswer<Name>> {
    return (await this.app!.commands()).receive(name, request, program) as Promise<CommandAnswer<Name>>;
  }

  async stop(): Promise<void> {
    await this.app?.close();
    this.app = null;
  }

  async remove(): Promise<void> {
    await this.stop();
    await rm(this.#directory, { recursive: true });
  }
}

/** Called once in a file, outside of its tests: what a test has started ends with it. */
export function bridgedBrokers(): { start(config?: ConfigInput): Promise<BridgedBroker> } {
  const started: BridgedBroker[] = [];
  afterEach(async () => {
    await Promise.all(started.splice(0).map((each) => each.remove()));
  });
  return {
    async start(config) {
      const broker = await BridgedBroker.start(config);
      started.push(broker);
      return broker;
    },
  };
}

/** The filters of the sessions that are meant, in their order. */
export async function filtersOf(broker: BridgedBroker, isMeant: (clientId: string) => boolean): Promise<string[]> {
  const { items } = await broker.command('subscriptions list', {});
  const meant = items.filter(({ clientId }) => isMeant(clientId));
  return meant.map(({ topicFilter }) => topicFilter).sort();
}

/** Asks until the answer is these, in any order. */
export async function untilFiltersAre(wanted: readonly string[], find: () => Promise<string[]>): Promise<void> {
  let known: string[] = [];
  const ask = () => find().then((filters) => (known = filters));
  await ask();
  await eventually(() => {
    ask().catch(() => {});
    return known.join(' ') === [...wanted].sort().join(' ');
  });
}

/** Three brokers, of which each but the last has a bridge to the next one. */
export async function chainOf(brokers: ReturnType<typeof bridgedBrokers>, topics: BridgeInput['topics']) {
  const far = await brokers.start();
  const middle = await brokers.start({ bridges: [bridgeTo(far.port, { topics })] });
  const near = await brokers.start({ bridges: [bridgeTo(middle.port, { topics })] });
  await Promise.all([middle.connected(), near.connected()]);
  return { far, near };
}
