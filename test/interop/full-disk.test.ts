/**
 * A disk that fills up under a running broker, and has room again: on a small tmpfs, where this machine lets us mount
 * one.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createBroker } from '../../src/index.ts';
import { build, mainFile } from '../support/build.ts';
import { type Received, WireClient } from '../support/wire-client.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-small-'));
beforeAll(build);
const mebibyte = 1_048_576;
const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', directory]).status === 0;
afterAll(() => {
  if (isMounted) execFileSync('umount', [directory]);
  rmSync(directory, { recursive: true });
});

test.runIf(isMounted)(
  'a broker that is stopped while its disk is full says what it could not write, and ends with 1',
  async () => {
    const data = join(directory, 'stopped');
    const config = join(tmpdir(), `sluice-stop-${process.pid}.yaml`);
    writeFileSync(config, 'shutdownSeconds: 2\n');
    const args = [
      mainFile,
      'start',
      '--config',
      config,
      '--port',
      '0',
      '--ws-port',
      '0',
      '--admin-port',
      '0',
      '--data-dir',
      data,
    ];
    const child = spawn(process.execPath, args, { stdio: 'pipe' });
    let [out, err] = ['', ''];
    child.stdout.on('data', (bytes: Buffer) => (out += bytes.toString()));
    child.stderr.on('data', (bytes: Buffer) => (err += bytes.toString()));
    const ended = once(child, 'close');
    try {
      await expect.poll(() => out).toMatch(/process/);
      const port = Number(/mqtt:\/\/127\.0\.0\.1:(\d+)/.exec(out)![1]);
      const kept = {
        version: 5,
        clientId: 'kept',
        clean: false,
        properties: { sessionExpiryInterval: 1_000 },
      } as const;
      const client = await WireClient.connect(port, kept);
      await client.subscribe('x', { qos: 1 });
      writeFileSync(join(directory, 'filler'), Buffer.alloc(16 * mebibyte));
      const publish = { cmd: 'publish', topic: 'x', payload: Buffer.alloc(400_000), qos: 1, retain: false, dup: false };
      for (let messageId = 1; messageId <= 60; messageId++) client.send({ ...publish, messageId });
      await expect.poll(() => err).toMatch(/cannot write to the data directory/);
      child.kill('SIGTERM');
      expect(await ended).toEqual([1, null]);
      expect((await client.closed()).at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x8b });
      expect(err).toMatch(/The disk did not take \d+ changes/);
    } finally {
      child.kill('SIGKILL');
      await ended;
      for (const path of [config, data, join(directory, 'filler')]) rmSync(path, { recursive: true, force: true });
    }
  },
);

test.runIf(isMounted)(
  'a full disk: nothing more is acknowledged, QoS 0 goes on, and service resumes by itself',
  async () => {
    const broker = await createBroker({
      config: {
        listeners: [{ kind: 'tcp', port: 0 }],
        log: { level: 'silent' },
        store: { directory: join(directory, 'data') },
      },
    });
    const { port } = broker.listeners[0]!;
    const persistent = {
      version: 5,
      clientId: 'away',
      clean: false,
      properties: { sessionExpiryInterval: 1_000 },
    } as const;
    const away = await WireClient.connect(port, persistent);
    await away.subscribe('x', { qos: 1 });
    await away.disconnect();
    const live = await WireClient.connect(port);
    await live.subscribe('y');
    const v5 = await WireClient.connect(port, { version: 5 });
    const v4 = await WireClient.connect(port, { version: 4 });

    // One after the other until the disk is full: the one that fills it gets no answer yet, and the next client is
    // refused.
    const filler = join(directory, 'filler');
    writeFileSync(filler, Buffer.alloc(16 * mebibyte));
    const payload = Buffer.alloc(400_000, 1);
    const publish = { cmd: 'publish', topic: 'x', payload, qos: 1, retain: false, dup: false };
    let taken = 0;
    let refusal: Received | null = null;
    for (let publisher = v5, messageId = 1; refusal === null; messageId++) {
      publisher.send({ ...publish, messageId });
      const puback = await Promise.race([publisher.next('puback'), delay(500, null)]);
      if (puback?.reasonCode === 0x97) refusal = puback;
      else taken++;
      if (puback === null) publisher = await WireClient.connect(port, { version: 5 });
    }
    expect([refusal.reasonCode, refusal.properties?.reasonString]).toEqual([
      0x97,
      'The broker cannot write to its disk',
    ]);

    v4.send({ cmd: 'publish', topic: 'x', payload: 'waits', qos: 1, messageId: 7, retain: false, dup: false });
    const clean = await WireClient.connect(port, { version: 4 });
    await clean.publish('y', 'QoS 0 goes on');
    let text = '';
    while (text !== 'QoS 0 goes on') text = (await live.next('publish')).payload?.toString() ?? '';
    expect(v4.waiting).toEqual([]);

    unlinkSync(filler);
    expect((await v4.next('puback')).messageId).toBe(7);
    await WireClient.connect(port, { version: 5 }).then((again) => again.publish('x', 'and again', { qos: 1 }));
    const back = await WireClient.connect(port, persistent);
    // All that was acknowledged, what filled the disk, the one that waited, and the last.
    const got = await back.collect('publish', taken + 2);
    expect(got.slice(-2).map((packet) => packet.payload?.toString())).toEqual(['waits', 'and again']);
    await broker.close();
  },
);
