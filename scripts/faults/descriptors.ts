/** The broker has 200 file descriptors, and 500 clients want to connect beside 40 that are there. */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Scene } from './scene.ts';

const openFilesMax = 200;
const strangers = 500;

export async function descriptors(scene: Scene): Promise<void> {
  await scene.start({ openFilesMax });
  const { hostname, port } = new URL(scene.url);
  const traffic = Promise.all([
    scene.traffic('20 pairs with a full load of descriptors', 'p2p -n 20 -r 500 -q 1 -u 0 -d 30'),
    scene.traffic('1 kB messages with QoS 2 through 5 pairs', 'p2p -n 5 -r 500 -q 2 -s 1024 -u 0 -d 30'),
  ]);
  traffic.catch(() => {}); // it is awaited below
  await delay(3_000);
  const sockets: Socket[] = [];
  let closed = 0;
  for (let i = 0; i < strangers; i++) {
    const socket = connect(Number(port), hostname);
    socket.on('error', () => {}).on('close', () => closed++);
    sockets.push(socket);
  }
  await delay(8_000);
  scene.fact(`${closed} of ${strangers} strangers were turned away within 8 s`);
  await delay(7_000);
  for (const socket of sockets) socket.destroy();
  await traffic;
  await scene.traffic('afterwards, 50 new pairs', 'p2p -n 50 -r 500 -q 1 -u 0 -d 5');
}
