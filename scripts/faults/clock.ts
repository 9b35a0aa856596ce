/** The broker's clock is set forward by an hour, back by two, and right again, under traffic. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { LoadClient } from '../bench/load/client.ts';
import { compileLibrary } from '../crash/compile-library.ts';
import { PatientClients } from './patient.ts';
import type { Scene } from './scene.ts';

const keepAliveSeconds = 4;

export async function clock(scene: Scene): Promise<void> {
  const library = compileLibrary('scripts/faults/clock.c', scene.folder);
  if (library === null) return scene.fact('skipped: this needs Linux and a C compiler');
  const file = join(scene.folder, 'offset');
  const set = (seconds: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(seconds));
    writeFileSync(file, bytes, { flag: 'r+' });
  };
  writeFileSync(file, Buffer.alloc(8));
  await scene.start({ environment: { LD_PRELOAD: library, CLOCK_OFFSET: file } });
  const patient = await PatientClients.connect(scene.url, 100, keepAliveSeconds);
  const traffic = scene.traffic('100 pairs all the time', 'p2p -n 100 -r 1000 -q 1 -u 0 -d 45');
  for (const hours of [1, -1, 0]) {
    await delay(5_000);
    set(hours * 3_600);
    await delay(5_000);
    scene.fact(`the clock ${hours} h from the right time: ${patient.closed} of 100 clients closed`);
    const seconds = await secondsUntilClosed(scene.url);
    scene.fact(`a client that falls silent is closed after ${seconds} s, its keep-alive is 1 s`);
    scene.must(seconds < 5, 'a silent client is not closed in time');
  }
  await traffic;
  scene.must(patient.closed === 0, `${patient.closed} clients were closed that had sent all their PINGREQ`);
  patient.end();
}

async function secondsUntilClosed(url: string): Promise<number> {
  const client = await LoadClient.connect({ url: new URL(url), version: 4, clientId: 'silent', keepAliveSeconds: 1 });
  const since = Date.now();
  await Promise.race([client.failed().catch(() => {}), delay(10_000, undefined, { ref: false })]);
  client.close();
  return Math.round((Date.now() - since) / 100) / 10;
}
