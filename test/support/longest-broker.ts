/** A broker as a process, in its default configuration, with one client that must be served whatever others send. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { ProtocolVersion } from '../../src/protocol/traits.ts';
import { build, mainFile } from './build.ts';
import type { LongPacket } from './longest-packets.ts';
import { WireClient } from './wire-client.ts';

export class LongestBroker {
  readonly #child: ChildProcess;
  readonly #port: number;
  readonly #ended: Promise<unknown>;
  readonly #witness: WireClient;
  readonly log: () => string;

  private constructor(child: ChildProcess, port: number, witness: WireClient, log: () => string) {
    this.#child = child;
    this.#port = port;
    this.#witness = witness;
    this.log = log;
    this.#ended = once(child, 'close').then(([code, signal]) => code ?? signal);
  }

  static async start(directory: string): Promise<LongestBroker> {
    await build();
    const argv = [mainFile, 'start', '--port', '0', '--ws-port', '0', '--admin-port', '0', '--data-dir', directory];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    let log = '';
    child.stderr.on('data', (bytes: Buffer) => (log += bytes.toString()));
    for await (const line of createInterface({ input: child.stdout })) {
      const port = /mqtt:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port === undefined) continue;
      const witness = await WireClient.connect(Number(port), { version: 5 });
      await witness.subscribe('witness');
      return new LongestBroker(child, Number(port), witness, () => log);
    }
    throw new Error(`It did not start: ${log}`);
  }

  /**
   * Sends it on a connection of its own; returns what came for it. Throws unless the other client is served behind it.
   */
  async send(version: ProtocolVersion, { name, isFirst, bytes }: LongPacket): Promise<string> {
    const client = await WireClient.open(this.#port, version);
    if (!isFirst) {
      client.sendConnect();
      await client.next('connack');
    }
    client.sendBytes(bytes);
    // Behind a refusal it is not answered, and the connection ends.
    client.send({ cmd: 'pingreq' });
    const seen: string[] = [];
    for (let cmd = ''; cmd !== 'pingresp' && cmd !== 'closed'; ) {
      cmd = await client.next().then(
        (packet) => packet.cmd,
        () => 'closed',
      );
      seen.push(cmd);
    }
    try {
      await this.#witness.publish('witness', name);
      const echoed = await this.#witness.next('publish');
      if (echoed.payload?.toString() !== name) throw new Error(`it got ${echoed.payload}`);
    } catch (cause) {
      const why = (cause as Error).message;
      throw new Error(`after ${name} in version ${version} nobody is served: ${why}\n${this.log()}`, { cause });
    }
    if (!seen.includes('closed')) await client.vanish();
    return seen.join();
  }

  async stop(): Promise<unknown> {
    this.#child.kill('SIGTERM');
    return this.#ended;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
