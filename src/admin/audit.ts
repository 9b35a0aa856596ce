/**
 * The audit log: a JSON object per line, in a file that is rotated by size.
 *
 * Nothing here holds the broker up or fails it. Events wait in bounded memory while the file is written to, or cannot
 * be; what does not fit is counted, and the count is written as soon as something can be. What anybody can cause at
 * will is written so many times in an interval, and then counted too. So every event is in the file, or in the number
 * of a line that says how many are not.
 */
import { existsSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { jsonLine } from '../base/printable.ts';
import { RateLimit } from '../base/rate-limit.ts';
import { RecentItems } from '../base/recent-items.ts';
import type { Audit, AuditEvent } from '../contracts/audit.ts';
import type { Log } from '../contracts/log.ts';

export interface AuditOptions {
  readonly file: string;
  /** The file is rotated before it gets larger. */
  readonly maxBytes: number;
  /** So many old files stay, `file.1` the newest. */
  readonly keep: number;
  readonly log: Log;
}

type Kind = AuditEvent['event'];

/** Of events that anybody can cause. */
const limits = {
  intervalMs: 10_000,
  most: {
    refused: 1_000,
    handshakeRefused: 1_000,
    authenticationFailed: 1_000,
    banned: 1_000,
    publishRefused: 1_000,
    willRefused: 1_000,
    subscribeRefused: 1_000,
  },
};
type LimitedKind = keyof typeof limits.most;
const isLimited = (kind: Kind): kind is LimitedKind => Object.hasOwn(limits.most, kind);
const tickMs = 1_000;
/** Events that wait to be written. */
const waitingBytesMax = 4_194_304;
/** Events that are kept for whoever follows them. */
const [recentMax, recentBytesMax] = [200, 524_288];
const retryMs = 1_000;
/** While nothing can be written, the broker's own log says so this often. */
const complainMs = 60_000;

export class AuditLog implements Audit {
  readonly #options: AuditOptions;
  /** The last events since the start, a line each. */
  readonly recent = new RecentItems<{ readonly line: string }>({
    itemsMax: recentMax,
    bytesMax: recentBytesMax,
    bytesOf: ({ line }) => 2 * line.length,
  });
  readonly #limit = new RateLimit<LimitedKind>(
    limits,
    () => performance.now(),
    (kind, count) => this.#add(jsonLine({ time: new Date().toISOString(), event: 'suppressed', of: kind, count })),
  );
  readonly #ticker: NodeJS.Timeout;
  #handle: FileHandle | null;
  /** There was no file before. */
  readonly #isNew: boolean;
  /** Of the file. */
  #bytes: number;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #lost = 0;
  /**
   * Lines that are being written, and how much of them is: after a failure it goes on there, so that no line is torn.
   */
  #batch: Buffer | null = null;
  #written = 0;
  #mustReopen = false;
  #writing: Promise<void> | null = null;
  #retry: NodeJS.Timeout | null = null;
  #complainedAt = Number.NEGATIVE_INFINITY;

  private constructor(options: AuditOptions, handle: FileHandle, bytes: number, isNew: boolean) {
    this.#options = options;
    this.#isNew = isNew;
    this.#handle = handle;
    this.#bytes = bytes;
    this.#ticker = setInterval(() => this.#limit.tick(), tickMs).unref();
  }

  /** Rejects if the file cannot be opened: whoever wants an audit log must not find out later that there was none. */
  static async open(options: AuditOptions): Promise<AuditLog> {
    const isNew = !existsSync(options.file);
    const handle = await openFile(options.file);
    return new AuditLog(options, handle, (await handle.stat()).size, isNew);
  }

  wants(kind: Kind): boolean {
    return !isLimited(kind) || this.#limit.allows(kind);
  }

  record({ event, ...details }: AuditEvent): void {
    this.#add(jsonLine({ time: new Date().toISOString(), event, ...details }));
  }

  #add(line: string): void {
    this.recent.add({ line });
    if (this.#waitingBytes + line.length > waitingBytesMax) {
      this.#lost++;
      return;
    }
    this.#waiting.push(`${line}\n`);
    this.#waitingBytes += line.length + 1;
    this.#start();
  }

  get file(): string {
    return this.#options.file;
  }

  /** The file takes nothing at present: it is tried again and again. */
  get isFailing(): boolean {
    return this.#complainedAt !== Number.NEGATIVE_INFINITY;
  }

  /** Events that are not written yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Events that there was no room for since something was written. */
  get lost(): number {
    return this.#lost;
  }

  /** Goes on in a new file, if the old one was moved away. */
  reopen(): void {
    this.#mustReopen = true;
    this.#start();
  }

  /** Writes what waits, as far as that is possible now. */
  async close(): Promise<void> {
    clearInterval(this.#ticker);
    this.#limit.end();
    this.recent.close();
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    this.#start();
    while (this.#writing !== null) await this.#writing;
    if (this.#retry !== null) clearTimeout(this.#retry);
    const unwritten = this.#waiting.length + this.#lost + (this.#batch === null ? 0 : 1);
    if (unwritten > 0) this.#options.log.error({ count: unwritten }, 'events of the audit log were not written');
    await this.#handle?.close();
    this.#handle = null;
    // Of a start that fails nothing stays.
    if (this.#isNew && this.#bytes === 0) await rm(this.#options.file, { force: true });
  }

  #start(): void {
    if (this.#writing !== null || this.#retry !== null) return;
    this.#writing = this.#write()
      .catch((error: unknown) => this.#failed(error as Error))
      .finally(() => {
        this.#writing = null;
        if ((this.#waiting.length > 0 || this.#mustReopen) && this.#retry === null) this.#start();
      });
  }

  #failed({ message }: Error): void {
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#start();
    }, retryMs).unref();
    const now = performance.now();
    if (now - this.#complainedAt < complainMs) return;
    this.#complainedAt = now;
    const { file, log } = this.#options;
    log.error(
      { file, cause: message, waiting: this.#waiting.length, lost: this.#lost },
      'the audit log cannot be written; events wait in memory as far as they fit, the others are counted',
    );
  }

  async #write(): Promise<void> {
    if (this.#mustReopen) {
      await this.#open();
      this.#mustReopen = false;
    }
    while (this.#batch !== null || this.#waiting.length > 0) {
      this.#batch ??= this.#next();
      const { maxBytes } = this.#options;
      if (this.#written === 0 && this.#bytes > 0 && this.#bytes + this.#batch.length > maxBytes) await this.#rotate();
      while (this.#written < this.#batch.length) {
        const { bytesWritten } = await this.#handle!.write(this.#batch, this.#written);
        this.#bytes += bytesWritten;
        this.#written += bytesWritten;
      }
      this.#batch = null;
      this.#written = 0;
    }
    if (this.#lost > 0) {
      const count = this.#lost;
      this.#lost = 0;
      this.#waiting.push(`${jsonLine({ time: new Date().toISOString(), event: 'lost', count })}\n`);
    }
    this.#complainedAt = Number.NEGATIVE_INFINITY;
  }

  /** As many lines as the file has room for, but at least one. */
  #next(): Buffer {
    const room = Math.max(1, this.#options.maxBytes - this.#bytes);
    let text = '';
    let count = 0;
    while (count < this.#waiting.length && count < 1_000) {
      const line = this.#waiting[count]!;
      // A character has up to three bytes for each of its units.
      if (count > 0 && (text.length + line.length) * 3 > room) break;
      text += line;
      count++;
    }
    this.#waiting.splice(0, count);
    this.#waitingBytes = Math.max(0, this.#waitingBytes - text.length);
    return Buffer.from(text);
  }

  async #open(): Promise<void> {
    const handle = await openFile(this.#options.file);
    const { size, ino } = await handle.stat();
    const isOther = ino !== (await this.#handle?.stat())?.ino;
    await this.#handle?.close();
    this.#handle = handle;
    this.#bytes = size;
    // Another file must not begin in the middle of a line.
    if (isOther && this.#written > 0) this.#written = this.#batch!.lastIndexOf(10, this.#written - 1) + 1;
  }

  async #rotate(): Promise<void> {
    const { file, keep } = this.#options;
    if (keep === 0) await rm(file, { force: true });
    else {
      await rm(`${file}.${keep}`, { force: true });
      for (let i = keep - 1; i >= 1; i--) await moved(`${file}.${i}`, `${file}.${i + 1}`);
      await moved(file, `${file}.1`);
    }
    await this.#open();
  }
}

/** For its owner only: it has names and addresses in it. */
const openFile = (file: string) => open(file, 'a', 0o600);

/** One that somebody has taken away is not missed. */
async function moved(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}
