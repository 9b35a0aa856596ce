/**
 * Where the lines of the broker's own log go: standard error, or a file that is opened anew when somebody has moved it
 * away. A full disk below it, or nobody at its other end, is no reason to end or to wait: a part of what cannot be
 * written is kept, and the rest counted.
 */

import { once } from 'node:events';
import { destination } from 'pino';
import { fileProblem } from '../base/file-problem.ts';
import { GatheredLines } from './gathered-lines.ts';
import { errorStream, type FormatSettings, formatFor, rendererOf } from './log-format.ts';

export interface LogOutput {
  /** A line of JSON, with its end of line. */
  write(line: string): void;
  /**
   * Goes on in a new file, if the old one was moved away. Resolves when it does, or cannot, which is said on standard
   * error.
   */
  reopen(): Promise<void>;
  /** Resolves when what was written so far is in the file, or cannot be. Nothing more is to be written. */
  close(): Promise<void>;
}

/** Of log lines that wait to be read, or for the disk. */
const waitingBytesMax = 4_194_304;
/** While a file cannot be written, standard error says so this often. */
const complainMs = 60_000;
/** Names and addresses are in it. */
const fileMode = 0o600;

type Destination = ReturnType<typeof destination>;

/** `given`: instead of standard error, for tests. Rejects if the file cannot be opened. */
export async function openOutput(settings: FormatSettings, given?: NodeJS.WritableStream): Promise<LogOutput> {
  const stream = errorStream();
  const format = formatFor(settings, stream);
  const render = (await rendererOf(format, { colours: settings.file === undefined })) ?? ((line: string) => line);
  if (given !== undefined) return { write: (line) => given.write(render(line)), async reopen() {}, async close() {} };
  if (settings.file !== undefined) return LogFile.open(settings.file, render);
  if (format === 'pretty' && stream.isTerminal) return terminal(render);
  return errorOutput(render);
}

type Render = (line: string) => string;

function terminal(render: Render): LogOutput {
  const output = patient(destination({ fd: 2, sync: true }));
  return { write: (line) => void output.write(render(line)), async reopen() {}, async close() {} };
}

/** A few times a second or when a good deal has come, and once more at the end of the process. */
function errorOutput(render: Render): LogOutput {
  const output = patient(destination({ fd: 2, sync: false, maxLength: waitingBytesMax }));
  const lines = new GatheredLines((text) => output.write(text));
  const atExit = () => {
    output.flushSync();
    // A write that `output` began now would not be carried out any more.
    const last = patient(destination({ fd: 2, sync: true }));
    last.write(lines.take());
    last.flushSync();
  };
  process.once('exit', atExit);
  countLost(output, render, 'standard error was not read');
  return {
    write: (line) => lines.write(render(line)),
    async reopen() {},
    async close() {
      lines.flush();
      // Else the end of the process takes care of it.
      output.once('drain', () => process.off('exit', atExit));
    },
  };
}

class LogFile implements LogOutput {
  readonly #file: string;
  readonly #render: Render;
  readonly #lines = new GatheredLines((text) => void this.#output.write(text));
  #output: Destination;
  /** Opens one after the other. */
  #reopening: Promise<void> = Promise.resolve();
  #complainedAt = Number.NEGATIVE_INFINITY;

  private constructor(file: string, render: Render, output: Destination) {
    this.#file = file;
    this.#render = render;
    this.#output = this.#use(output);
    process.once('exit', this.#atExit);
  }

  static async open(file: string, render: Render): Promise<LogFile> {
    return new LogFile(file, render, await openFile(file));
  }

  write(line: string): void {
    this.#lines.write(this.#render(line));
  }

  reopen(): Promise<void> {
    const reopen = async () => {
      const next = await openFile(this.#file);
      this.#lines.flush();
      const last = this.#output;
      this.#output = this.#use(next);
      await ended(last);
    };
    this.#reopening = this.#reopening.then(reopen).catch((error: Error) => {
      process.stderr.write(
        `The log ${this.#file} cannot be opened anew: ${fileProblem(error)}; it goes on in the file that was open\n`,
      );
    });
    return this.#reopening;
  }

  async close(): Promise<void> {
    await this.#reopening;
    this.#lines.flush();
    process.off('exit', this.#atExit);
    await ended(this.#output);
  }

  #use(output: Destination): Destination {
    output.on('error', (error) => this.#complain(error));
    countLost(patient(output), this.#render, `${this.#file} could not be written`);
    return output;
  }

  /** On standard error, where there is nothing else then. */
  #complain(error: Error): void {
    const now = performance.now();
    if (now - this.#complainedAt < complainMs) return;
    this.#complainedAt = now;
    const what =
      'lines wait in memory as far as they fit, and are tried again with the next one; the others are counted';
    process.stderr.write(`The log cannot be written to ${this.#file}: ${fileProblem(error)}; ${what}\n`);
  }

  readonly #atExit = () => {
    this.#output.write(this.#lines.take());
    this.#output.flushSync();
  };
}

/** Rejects with what is in the way. */
async function openFile(file: string): Promise<Destination> {
  const output = destination({ dest: file, sync: false, maxLength: waitingBytesMax, mode: fileMode });
  await once(output, 'ready');
  return output;
}

/** Resolves when all of it is written, or some of it cannot be, which is said. */
function ended(output: Destination): Promise<void> {
  return new Promise((resolve) => {
    output.once('close', resolve);
    output.once('error', (error: Error) => {
      process.stderr.write(`The last lines of the log are lost: ${fileProblem(error)}\n`);
      output.destroy();
      resolve();
    });
    output.end();
  });
}

/** What there was no room for is counted, and said in a line as soon as something can be written. */
function countLost(output: Destination, render: Render, why: string): void {
  let lost = 0;
  output.on('drop', (text: string) => (lost += text.split('\n').length - 1));
  output.on('drain', () => {
    if (lost === 0) return;
    const level = 40; // warn
    const msg = `${lost} log ${lost === 1 ? 'line was' : 'lines were'} lost, because ${why}`;
    lost = 0;
    output.write(render(`${JSON.stringify({ level, time: new Date().toISOString(), msg })}\n`));
  });
}

/**
 * What could not be written is tried again with the next line. At the end of the process it is given up, where pino
 * would try for ever.
 */
function patient<T extends Destination>(output: T): T {
  const flushSync = output.flushSync.bind(output);
  output.on('error', () => (output.flushSync = () => {}));
  output.on('write', () => (output.flushSync = flushSync));
  return output;
}
