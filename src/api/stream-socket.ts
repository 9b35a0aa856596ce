/** A stream of events over a WebSocket: a message of JSON for each, and acknowledgements the other way. */
import { streamMessage } from '../contracts/commands/messages.ts';
import type { Log } from '../contracts/log.ts';
import { CloseCode, type TextSocket } from '../net/text-socket.ts';

/** Acknowledgements are taken so often; of those that come meanwhile the highest counts. */
const acknowledgeMs = 10;

export interface SocketStream {
  readonly events: AsyncIterable<object>;
  /** Writes one as JSON. */
  readonly textOf: (event: object) => string;
  /** Acknowledges all up to this number. Null: this stream has nothing to acknowledge. */
  readonly acknowledge: ((upTo: number) => Promise<unknown>) | null;
  /** Why the stream has been aborted; null: it has not. */
  readonly abortedBy: () => { readonly code: number; readonly reason: string } | null;
  readonly log: Log;
}

/** Resolves once it has ended, by whoever. Never rejects. */
export async function streamOver(socket: TextSocket, stream: SocketStream): Promise<void> {
  const acknowledgements = new Acknowledgements(socket, stream.acknowledge);
  socket.onText = (text) => acknowledgements.take(text);
  try {
    for await (const event of stream.events) if (!(await socket.send(stream.textOf(event)))) break;
    const { code, reason } = stream.abortedBy() ?? { code: CloseCode.normal, reason: '' };
    socket.close(code, reason);
  } catch (err) {
    stream.log.error({ err }, 'a stream of the API failed');
    socket.close(CloseCode.internalError, 'internal error');
  }
}

class Acknowledgements {
  readonly #socket: TextSocket;
  readonly #acknowledge: SocketStream['acknowledge'];
  #upTo = 0;
  #isTaking = false;

  constructor(socket: TextSocket, acknowledge: SocketStream['acknowledge']) {
    this.#socket = socket;
    this.#acknowledge = acknowledge;
  }

  take(text: string): void {
    const upTo = numberIn(text);
    if (upTo === null) {
      return this.#socket.close(CloseCode.invalidPayload, 'expected {"acknowledge": number}');
    }
    if (this.#acknowledge === null) {
      return this.#socket.close(CloseCode.policy, 'a stream without a name has nothing to acknowledge');
    }
    this.#upTo = Math.max(this.#upTo, upTo);
    if (this.#isTaking) return;
    this.#isTaking = true;
    setTimeout(() => void this.#run(this.#acknowledge!), acknowledgeMs);
  }

  async #run(acknowledge: (upTo: number) => Promise<unknown>): Promise<void> {
    this.#isTaking = false;
    const upTo = this.#upTo;
    this.#upTo = 0;
    try {
      await acknowledge(upTo);
    } catch (error) {
      this.#socket.close(CloseCode.policy, (error as Error).message);
    }
  }
}

function numberIn(text: string): number | null {
  try {
    return streamMessage.parse(JSON.parse(text)).acknowledge;
  } catch {
    return null;
  }
}
