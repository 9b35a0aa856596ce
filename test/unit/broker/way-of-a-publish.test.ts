/**
 * Follows a QoS 1 PUBLISH through the broker, and compares its way with the list in ARCHITECTURE.md.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Connection } from '../../../src/broker/connection.ts';
import { createBroker } from '../../../src/index.ts';
import { SocketStream } from '../../../src/net/socket-stream.ts';
import { LevelStore } from '../../../src/store/level/level-store.ts';
import { WireClient } from '../../support/wire-client.ts';

interface Hop {
  readonly file: string;
  readonly name: string;
}

const hopsMax = 10;
const root = join(import.meta.dirname, '../../..');

/** Items such as: 1. `net/socket-stream.ts` `received`: … */
async function documented(): Promise<string[]> {
  const text = await readFile(join(root, 'ARCHITECTURE.md'), 'utf8');
  return [...text.matchAll(/^\d+\. `([\w/.-]+)` `(#?\w+)`:/gm)].map(([, file, name]) => `${file} ${name}`);
}

/** Whatever is at work now, the outermost first. */
function hops(): Hop[] {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 200;
  const lines = (new Error().stack ?? '').split('\n').reverse();
  Error.stackTraceLimit = limit;
  return lines.flatMap((line) => {
    const [, name, file] = /at (?:async )?(?:new )?(?:[\w$]+\.)*(#?[\w$]+).*\/src\/([\w/.-]+\.ts)/.exec(line) ?? [];
    return name === undefined || file === undefined ? [] : [{ name, file }];
  });
}

test('it takes the hops that ARCHITECTURE.md lists, in this order', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-way-'));
  const broker = await createBroker({
    config: { listeners: [{ kind: 'tcp', port: 0 }], log: { level: 'silent' }, store: { kind: 'level', directory } },
  });
  onTestFinished(async () => {
    vi.restoreAllMocks();
    await broker.close();
    await rm(directory, { recursive: true });
  });
  const connect = (clientId: string) => WireClient.connect(broker.listeners[0]!.port, { clientId, clean: false });
  const away = await connect('away');
  await away.subscribe('a', { qos: 1 });
  const publisher = await connect('publisher');

  const way: Hop[][] = [];
  const watch = <T extends object>(prototype: T, method: keyof T & string, file: string) => {
    const original = prototype[method] as (...given: unknown[]) => unknown;
    vi.spyOn(prototype, method as never).mockImplementation(function (this: unknown, ...given: unknown[]) {
      way.push([...hops(), { file, name: method }]);
      return original.apply(this, given);
    } as never);
  };
  watch(LevelStore.prototype, 'putDelivery', 'store/level/level-store.ts');
  watch(Connection.prototype, 'sendAck', 'broker/connection.ts');
  watch(SocketStream.prototype, 'write', 'net/socket-stream.ts');
  await publisher.publish('a', 'x', { qos: 1 });

  const listed = await documented();
  expect(listed.length).toBeLessThanOrEqual(hopsMax);
  const seen = way.flat().map(({ file, name }) => `${file} ${name}`);
  let from = 0;
  for (const hop of listed) {
    const at = seen.indexOf(hop, from);
    expect(at, `${hop} comes after the ones before it; the way was ${seen.join(', ')}`).toBeGreaterThanOrEqual(from);
    from = at + 1;
  }
});
