/** The broker stands still for a minute (SIGSTOP), as on a machine that is suspended, and goes on. */
import { setTimeout as delay } from 'node:timers/promises';
import { PatientClients } from './patient.ts';
import type { Scene } from './scene.ts';

const stoppedSeconds = 60;
const keepAliveSeconds = 10;

export async function stopped(scene: Scene): Promise<void> {
  const { pid } = await scene.start();
  const patient = await PatientClients.connect(scene.url, 100, keepAliveSeconds);
  const traffic = scene.traffic(
    '100 pairs, before, during and after',
    `p2p -n 100 -r 1000 -q 1 -u 0 -d ${stoppedSeconds + 25}`,
  );
  await delay(5_000);
  process.kill(pid, 'SIGSTOP');
  await delay(stoppedSeconds * 1_000);
  process.kill(pid, 'SIGCONT');
  await traffic;
  scene.fact(`of 100 clients with a keep-alive of ${keepAliveSeconds} s, the broker closed ${patient.closed}`);
  scene.must(patient.closed === 0, `${patient.closed} clients were closed that had sent all their PINGREQ`);
  patient.end();
  await scene.traffic('afterwards', 'p2p -n 100 -r 1000 -q 1 -u 0 -d 5');
}
