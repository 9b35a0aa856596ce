/** Lines of a log on their way to its output, together. */

/** They are written when so many characters have come, or a fifth of a second after the first of them. */
const writeLength = 65_536;
const writeDelayMs = 200;

/**
 * pino's destination could gather them itself, but measures all it has with every line, which makes a burst of them
 * cost several times as much.
 */
export class GatheredLines {
  readonly #output: (text: string) => void;
  #text = '';
  #timer: NodeJS.Timeout | null = null;

  constructor(output: (text: string) => void) {
    this.#output = output;
  }

  write(line: string): void {
    this.#text += line;
    if (this.#text.length >= writeLength) return this.flush();
    this.#timer ??= setTimeout(() => this.flush(), writeDelayMs).unref();
  }

  flush(): void {
    const text = this.take();
    if (text !== '') this.#output(text);
  }

  /** What was not written yet; the caller writes it. */
  take(): string {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const text = this.#text;
    this.#text = '';
    return text;
  }
}
