/**
 * A client of some library, in a process of its own that reads what to do from its standard input, a line each, and
 * tells what happened. It is started with what its library needs, and then: `4` or `5` (the version of MQTT), the
 * client identifier, `clean` or `keep` (the session), and the topic of a will if it has one: payload `died`, QoS 1.
 * With MQTT_TLS in its environment it connects by TLS, and finds the authority's certificate as its language does.
 *
 * | it reads | it answers |
 * |---|---|
 * | | `connected true` or `connected false`: whether the session was present; `connected unknown` if it is not told |
 * | `subscribe FILTER QOS` | `subscribed`, after SUBACK |
 * | `publish TOPIC QOS true PAYLOAD` (`false`: not retained; no payload: none) | `published`, once it is acknowledged |
 * | `disconnect` | ends, after DISCONNECT |
 *
 * A message that comes is `message TOPIC QOS RETAINED PAYLOAD`. No topic or payload here has spaces.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { endsWithUs } from '../child-processes.ts';

const answerMsMax = 30_000;

/** `environment`: in addition to that of this process. */
export type Command = readonly [file: string, args: readonly string[], environment?: Readonly<Record<string, string>>];

export interface ConnectOptions {
  readonly clean: boolean;
  readonly will?: string;
}

export class ClientProcess {
  sessionPresent: 'true' | 'false' | 'unknown' = 'unknown';
  readonly #child: ChildProcess;
  #messages: string[] = [];
  #answers: string[] = [];
  #wake = () => {};
  #ended = false;
  #complaint = '';

  /** `[file, args]` starts a client of the library. */
  static async connect([file, args, environment]: Command, version: 4 | 5, clientId: string, options: ConnectOptions) {
    const { clean, will } = options;
    const more = [String(version), clientId, clean ? 'clean' : 'keep', ...(will === undefined ? [] : [will])];
    const client = new ClientProcess(
      spawn(file, [...args, ...more], { stdio: 'pipe', env: { ...process.env, ...environment } }),
    );
    try {
      client.sessionPresent = (await client.#answer('connected')) as ClientProcess['sessionPresent'];
    } catch (error) {
      client.drop();
      throw error;
    }
    return client;
  }

  private constructor(child: ChildProcess) {
    this.#child = endsWithUs(child);
    child.stdin!.on('error', () => {});
    createInterface({ input: child.stdout! }).on('line', (line) => {
      if (line.startsWith('message ')) this.#messages.push(line.slice('message '.length));
      else this.#answers.push(line);
      this.#wake();
    });
    child.stderr!.on('data', (chunk) => {
      this.#complaint = `${this.#complaint}${chunk}`.slice(-1000);
    });
    child.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  async subscribe(filter: string, qos: number): Promise<void> {
    await this.#ask(`subscribe ${filter} ${qos}`, 'subscribed');
  }

  async publish(topic: string, payload: string, { qos, retain = false }: { qos: number; retain?: boolean }) {
    await this.#ask(`publish ${topic} ${qos} ${retain} ${payload}`, 'published');
  }

  /** The next message that came: topic, QoS, `true` if it was retained, payload. */
  next(): Promise<string> {
    return this.#take(this.#messages, 'message');
  }

  async disconnect(): Promise<void> {
    const ended = once(this.#child, 'close');
    this.#child.stdin!.write('disconnect\n');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), answerMsMax);
    const [code] = await ended;
    clearTimeout(late);
    if (code !== 0) throw new Error(`no clean end: ${this.#lastComplaint}`);
  }

  /** The system closes its connection, without a DISCONNECT. */
  drop(): void {
    this.#child.kill('SIGKILL');
  }

  async #ask(line: string, answer: string): Promise<string> {
    this.#child.stdin!.write(`${line}\n`);
    return this.#answer(answer);
  }

  /** What follows the expected word. */
  async #answer(word: string): Promise<string> {
    const line = await this.#take(this.#answers, `answer '${word}'`);
    const [first, ...rest] = line.split(' ');
    if (first !== word) throw new Error(`'${line}' and not '${word}'`);
    return rest.join(' ');
  }

  async #take(lines: string[], what: string): Promise<string> {
    const deadline = Date.now() + answerMsMax;
    while (lines.length === 0) {
      const left = deadline - Date.now();
      if (left <= 0 || this.#ended) throw new Error(`no ${what}: ${this.#lastComplaint}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return lines.shift()!;
  }

  get #lastComplaint(): string {
    return this.#complaint.trim().split('\n').at(-1) || 'it said nothing';
  }
}
