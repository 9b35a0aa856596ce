import { EventEmitter } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import type { Io } from '../../src/cli/io.ts';
import { run } from '../../src/cli/run.ts';

/** Takes what is written to it, until `close` makes it answer as a pipe whose reader left. */
class Capture extends Writable {
  bytes = Buffer.alloc(0);
  #hasReader = true;
  readonly #written = new EventEmitter();

  get text(): string {
    return this.bytes.toString();
  }

  close(): void {
    this.#hasReader = false;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    if (!this.#hasReader) return done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    this.bytes = Buffer.concat([this.bytes, chunk]);
    this.#written.emit('written');
    done();
  }

  /** Resolves once the text matches. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.text);
      if (match !== null) return match;
      await new Promise((resolve) => this.#written.once('written', resolve));
    }
  }
}

export class FakeIo implements Io {
  readonly member = null;
  environment: Record<string, string> = {};
  readonly stdin = new PassThrough();
  readonly stdout = new Capture();
  readonly stderr = new Capture();
  readonly exits: number[] = [];
  readonly #signals = new EventEmitter();

  onSignal(listener: () => void): () => void {
    this.#signals.on('signal', listener);
    return () => this.#signals.off('signal', listener);
  }

  onReload(listener: () => void): () => void {
    this.#signals.on('reload', listener);
    return () => this.#signals.off('reload', listener);
  }

  onUncaught(listener: (error: Error) => void): () => void {
    this.#signals.on('uncaught', listener);
    return () => this.#signals.off('uncaught', listener);
  }

  tuneEngine(): void {}

  keepFilesPrivate(): void {}

  exit(code: number): void {
    this.exits.push(code);
  }

  reload(): void {
    this.#signals.emit('reload');
  }

  throwUncaught(error: Error): void {
    this.#signals.emit('uncaught', error);
  }

  signal(): void {
    this.#signals.emit('signal');
  }
}

/** Runs a command to its end. */
export async function sluice(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const io = new FakeIo();
  const code = await run(argv, io);
  return { code, out: io.stdout.text, err: io.stderr.text };
}
