/** What a broker leaves behind when it cannot start, and how it stops when its disk does not take what is left. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Deadline } from '../../src/base/deadline.ts';
import { silentLog } from '../../src/contracts/log.ts';
import { type ConfigInput, createBroker } from '../../src/index.ts';
import { LevelStore } from '../../src/store/level/level-store.ts';
import { BadDisk, brokerOn } from '../support/bad-disk.ts';
import { WireClient } from '../support/wire-client.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-start-stop-'));
afterAll(() => rmSync(folder, { recursive: true }));
let lastCase = 0;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function takenPort(): Promise<number> {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  return (server.address() as { port: number }).port;
}

describe('a start that fails leaves nothing behind', () => {
  const broken: Record<string, () => Promise<ConfigInput> | ConfigInput> = {
    'a port that is taken': async () => ({ listeners: [{ kind: 'tcp', port: await takenPort() }] }),
    'two listeners on one port': () => {
      const port = 20_000 + (process.pid % 20_000);
      return {
        listeners: [
          { kind: 'tcp', port },
          { kind: 'ws', port },
        ],
      };
    },
    'a certificate that is missing': () => ({
      listeners: [{ kind: 'tls', port: 0, tls: { certFile: 'no.crt', keyFile: 'no.key' } }],
    }),
    'a pipeline that is wrong': () => ({ pipelines: [{ name: 'broken', filter: 'a', stages: [{ map: '(' }] }] }),
    'a password file that is missing': () => ({ authentication: [{ kind: 'password-file', file: 'no/passwords' }] }),
    'an audit log that cannot be opened': () => ({ audit: { file: join(folder, 'no', 'audit.log') } }),
  };

  test.each(Object.keys(broken))('%s', async (what) => {
    const directory = join(folder, String(++lastCase), 'data');
    const quiet = { log: { level: 'silent' }, store: { directory } } as const;
    const before = process.getActiveResourcesInfo().sort();
    const config = { listeners: [{ kind: 'tcp', port: 0 }], ...quiet, ...(await broken[what]!()) } as ConfigInput;
    const open = process.getActiveResourcesInfo().length - before.length;

    await expect(createBroker({ config })).rejects.toThrow();

    expect(existsSync(directory)).toBe(false);
    // What the case before had open may close meanwhile.
    const growth = () => process.getActiveResourcesInfo().length - before.length;
    await expect.poll(growth).toBeLessThanOrEqual(open);
    const broker = await createBroker({ config: { listeners: [{ kind: 'tcp', port: 0 }], ...quiet } });
    await broker.close();
  });

  test('a second broker on the same port and data', async () => {
    const directory = join(folder, String(++lastCase));
    const quiet = { log: { level: 'silent' }, store: { directory } } as const;
    const first = await createBroker({ config: { ...quiet, listeners: [{ kind: 'tcp', port: 0 }] } });
    closing.push(() => first.close());
    const { port } = first.listeners[0]!;
    await expect(createBroker({ config: { ...quiet, listeners: [{ kind: 'tcp', port }] } })).rejects.toThrow(/taken/);
    await expect(createBroker({ config: { ...quiet, listeners: [{ kind: 'tcp', port: 0 }] } })).rejects.toThrow(
      /in use/,
    );
    const audit = { file: join(folder, `${lastCase}.audit`) };
    await expect(createBroker({ config: { ...quiet, audit, listeners: [{ kind: 'tcp', port: 0 }] } })).rejects.toThrow(
      /in use/,
    );
    expect(existsSync(audit.file)).toBe(false);
    await (await WireClient.connect(port, { version: 4 })).nothingElse();
  });
});

async function stopWhile(mood: 'refusing' | 'hanging', ms: number) {
  const disk = new BadDisk();
  const on = await brokerOn(disk);
  closing.push(() => on.dispose());
  const { broker, store, connect, directory } = on;
  const away = await connect({ version: 4, clientId: 'away', clean: false });
  await away.subscribe('kept', { qos: 1 });
  await away.disconnect();
  const [v5, v4] = [await connect({ version: 5 }), await connect({ version: 4 })];
  await v5.publish('kept', 'acknowledged', { qos: 1 });
  const before = disk.writes;
  disk.mood = mood;
  v5.send({ cmd: 'publish', topic: 'kept', payload: 'x', qos: 1, messageId: 7, dup: false, retain: false });
  await expect.poll(() => disk.writes).toBeGreaterThan(before);
  const deadline = new Deadline(ms);
  closing.push(() => deadline.cancel());
  const closed = broker.close({ deadline });
  closed.catch(() => {});
  return { disk, closed, v5, v4, store, directory };
}

const reopened = (directory: string) =>
  new LevelStore({
    ...{ directory, durability: 'sync', topics: [], maxCommitDelayMs: 0, cacheBytes: 0, acceptLoss: false },
    log: silentLog,
  });

describe.each(['refusing', 'hanging'] as const)('a stop while the disk is %s', (mood) => {
  test('tells the clients, and says in time what was not written', async () => {
    const { disk, closed, v5, v4, directory } = await stopWhile(mood, 2_000);
    expect((await v5.closed()).map(({ cmd, reasonCode }) => [cmd, reasonCode])).toEqual([['disconnect', 0x8b]]);
    expect(await v4.closed()).toEqual([]);
    await expect(closed).rejects.toThrow(
      /^The disk did not take 1 changes .* no client was told that they are stored$/,
    );

    disk.mood = 'well';
    const store = reopened(directory);
    // A database whose write hung closes once the disk has answered.
    const load = () => store.load().catch(() => null);
    await expect.poll(load).not.toBeNull();
    await store.close();
  });

  test('succeeds if the disk is well again in time', async () => {
    const { disk, closed, v4, directory } = await stopWhile(mood, 60_000);
    await v4.closed();
    disk.mood = 'well';
    await closed;
    const store = reopened(directory);
    const [session] = [...(await store.load()).sessions];
    expect(session?.backlog.messages).toBe(2);
    await store.close();
  });
});
