/** A stream of the HTTP API, read line by line. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';

export class ApiLines {
  readonly response: IncomingMessage;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into it, and fails if it is another
  readonly #events: AsyncGenerator<any>;

  constructor(response: IncomingMessage) {
    this.response = response;
    this.#events = this.#read();
  }

  async *#read() {
    let text = '';
    for await (const chunk of this.response) {
      text += chunk;
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
        yield JSON.parse(text.slice(0, end));
        text = text.slice(end + 1);
      }
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the same
  async next(): Promise<any> {
    const { value, done } = await this.#events.next();
    if (done === true) throw new Error('the stream has ended');
    return value;
  }

  /** Up to the first that is as wanted, which is returned. */
  // biome-ignore lint/suspicious/noExplicitAny: the same
  async until(isWanted: (event: any) => boolean): Promise<any> {
    for (;;) {
      const event = await this.next();
      if (isWanted(event)) return event;
    }
  }

  async close(): Promise<void> {
    if (this.response.closed) return;
    const closed = once(this.response, 'close');
    this.response.destroy();
    await closed;
  }
}
