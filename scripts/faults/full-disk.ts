/** The disk, a small tmpfs, fills up under the broker and has room again. Needs the right to mount one. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connectAsync, type MqttClient } from 'mqtt';
import type { Scene } from './scene.ts';

const megabytes = 64;
const mebibyte = 1_048_576;
const quotaExceeded = 0x97;

export async function fullDisk(scene: Scene): Promise<void> {
  const disk = join(scene.folder, 'disk');
  mkdirSync(disk);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', disk]).status !== 0) {
    return scene.fact('skipped: this needs the right to mount a tmpfs');
  }
  scene.atEnd(() => execFileSync('umount', [disk]));
  await scene.start({ dataDirectory: join(disk, 'data') });
  await fillAndFree(scene, join(disk, 'filler'));
}

async function fillAndFree(scene: Scene, filler: string): Promise<void> {
  const session = { protocolVersion: 5, clean: false, properties: { sessionExpiryInterval: 3_600 } } as const;
  const away = await connectAsync(scene.url, { ...session, clientId: 'away' });
  await away.subscribeAsync('kept', { qos: 1 });
  await away.endAsync();
  writeFileSync(filler, Buffer.alloc((megabytes - 24) * mebibyte));

  const traffic = scene.traffic('100 pairs of QoS 0 all the time', 'p2p -n 100 -r 1000 -q 0 -u 0 -d 30');
  const publisher = await connectAsync(scene.url, { protocolVersion: 5, reconnectPeriod: 0 });
  const acknowledged: number[] = [];
  let refused = 0;
  // LevelDB compresses: only what is random fills a disk.
  const payload = randomBytes(200_000);
  const startedAt = Date.now();
  for (let number = 0; Date.now() - startedAt < 12_000; number++) {
    payload.writeUInt32BE(number);
    const reason = await published(publisher, payload);
    if (reason === 'acknowledged') acknowledged.push(number);
    else if (reason === 'refused') refused++;
    if (reason !== 'acknowledged') await delay(200);
  }
  scene.fact(`while it filled: ${acknowledged.length} messages acknowledged, ${refused} refused with 0x97`);
  scene.must(refused > 0, 'nothing was refused, so the disk did not fill');
  unlinkSync(filler);
  const freedAt = Date.now();
  while ((await published(publisher, payload)) !== 'acknowledged') await delay(100);
  scene.fact(`service resumed ${((Date.now() - freedAt) / 1_000).toFixed(1)} s after there was room`);
  await traffic;
  publisher.end(true);

  const got = new Set<number>();
  const back = await connectAsync(scene.url, { ...session, clientId: 'away' });
  back.on('message', (_topic, message) => got.add(message.readUInt32BE()));
  for (let waited = 0; waited < 100 && acknowledged.some((each) => !got.has(each)); waited++) await delay(100);
  const lost = acknowledged.filter((each) => !got.has(each)).length;
  scene.fact(`of those acknowledged, ${lost} are lost`);
  scene.must(lost === 0, `${lost} acknowledged messages are lost`);
  back.end(true);
}

/** Without an answer within a second: the broker tries again to write it, and says so when it has. */
async function published(client: MqttClient, payload: Buffer): Promise<'acknowledged' | 'refused' | 'waits'> {
  const sent = client.publishAsync('kept', Buffer.from(payload), { qos: 1 }).then(
    () => 'acknowledged' as const,
    (error: { code?: number }) => (error.code === quotaExceeded ? ('refused' as const) : ('waits' as const)),
  );
  return Promise.race([sent, delay(1_000, 'waits' as const)]);
}
