/**
 * As many connections as the system lets one process have, 20,000 at most, and all of them cut and made again at once,
 * twice. They come from two processes to two addresses, because one address has some 28,000 ports.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { endsWithUs } from '../child-processes.ts';
import { projectRoot } from '../project-root.ts';
import type { CrowdLine } from './crowd.ts';
import type { Scene } from './scene.ts';

/** What the broker keeps for its files and handshakes, and the healthy clients. */
const otherDescriptors = 1_100;
const connectionsMax = 20_000;
const storms = 2;

export async function storm(scene: Scene): Promise<void> {
  const openFilesMax = Number(execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' })) || connectionsMax * 2;
  const count = Math.min(connectionsMax, openFilesMax - otherDescriptors);
  const openFiles = Math.min(openFilesMax, connectionsMax + otherDescriptors);
  await scene.start({ host: '0.0.0.0', settings: 'allowAnonymous: true', openFilesMax: openFiles });
  const port = new URL(scene.url).port;
  const crowds = ['127.0.0.2', '127.0.0.3'].map((host, index) => {
    return new Crowd(`mqtt://${host}:${port}`, Math.floor(count / 2), `crowd-${index}`, openFiles);
  });
  try {
    tell(scene, `${count} connections made`, await Promise.all(crowds.map((crowd) => crowd.line())), 0);
    scene.fact(`memory with all of them: ${scene.megabytes} MB`);
    let isOver = false;
    const traffic = scene.traffic('50 healthy pairs meanwhile', 'p2p -n 50 -r 500 -q 1 -u 0 -d 60').then(() => {
      isOver = true;
    });
    await delay(5_000);
    for (let i = 1; i <= storms; i++) {
      const lines = await Promise.all(crowds.map((crowd) => crowd.storm()));
      tell(scene, `storm ${i}, all cut and all back`, lines, Math.floor(count / 2) * 2);
      scene.must(!isOver, 'the healthy traffic ended before the storm');
      await delay(2_000);
    }
    await traffic;
  } finally {
    for (const crowd of crowds) crowd.end();
  }
}

function tell(scene: Scene, what: string, lines: readonly CrowdLine[], resumable: number): void {
  const sum = (of: (line: CrowdLine) => number) => lines.reduce((total, line) => total + of(line), 0);
  const seconds = Math.max(...lines.map((line) => line.seconds)).toFixed(1);
  scene.fact(
    `${what} in ${seconds} s; ${sum(({ retries }) => retries)} attempts repeated, ${sum(({ resumed }) => resumed)} sessions resumed`,
  );
  scene.must(
    sum(({ resumed }) => resumed) === resumable,
    `${what}: ${resumable - sum(({ resumed }) => resumed)} sessions are gone`,
  );
}

class Crowd {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(url: string, count: number, name: string, openFiles: number) {
    const file = join(projectRoot(), 'scripts/dist/faults/crowd.js');
    const command = `ulimit -n ${openFiles} && exec "$0" "$@"`;
    const args = ['-c', command, process.execPath, file, url, String(count), name];
    this.#child = endsWithUs(spawn('sh', args, { stdio: ['pipe', 'pipe', 'inherit'] }));
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  async line(): Promise<CrowdLine> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('the crowd has gone');
    return JSON.parse(value) as CrowdLine;
  }

  async storm(): Promise<CrowdLine> {
    this.#child.stdin!.write('storm\n');
    return this.line();
  }

  end(): void {
    this.#child.stdin!.end();
    this.#child.kill();
  }
}
