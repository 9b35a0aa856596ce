/** Messages between the nodes of one process. */
import { assert } from '../../base/assert.ts';
import { type EngineBus, NoAnswerInTime, NobodyAnswers, type OnMessage } from '../../contracts/cluster-engine.ts';
import { checkSubject } from '../checks.ts';
import { delayOf, type Ends, happens, type Network } from './network.ts';

type Handler = (bytes: Uint8Array) => Promise<Uint8Array>;

interface Listener {
  readonly owner: MemoryBus;
  /** In the order in which they were sent. */
  readonly coming: Uint8Array[];
  readonly onMessage: OnMessage;
}

/** Who answers and who listens, of all nodes. */
export interface Switchboard {
  readonly answering: Map<string, { readonly owner: MemoryBus; readonly handler: Handler }>;
  readonly listening: Map<string, Set<Listener>>;
}

export interface MemoryBusOptions {
  readonly switchboard: Switchboard;
  readonly network: Network;
  readonly ends: Ends;
  readonly failed: (error: unknown) => void;
  readonly bytesMax: number;
}

export class MemoryBus implements EngineBus {
  readonly #options: MemoryBusOptions;
  readonly #leave = new Set<() => void>();

  constructor(options: MemoryBusOptions) {
    this.#options = options;
  }

  get isConnected(): boolean {
    return this.#options.ends.reachable();
  }

  request(subject: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    checkSubject(subject);
    this.#checkSize(bytes);
    const { network, switchboard, ends } = this.#options;
    const { timers, faults } = network;
    const { atSender } = ends;
    const sent = Uint8Array.from(bytes);
    return new Promise((resolve, reject) => {
      const giveUp = () =>
        timers.after(timeoutMs, () =>
          atSender(() => reject(new NoAnswerInTime(`No answer to ${subject} in ${timeoutMs} ms`))),
        );
      if (happens(network, faults.lostRequest)) return giveUp();
      const answered = (answer: Uint8Array) => {
        const isLost = happens(network, faults.lostAnswer);
        timers.after(delayOf(network), () => {
          if (isLost || !this.isConnected) giveUp();
          else atSender(() => resolve(answer));
        });
      };
      timers.after(delayOf(network), () => {
        if (!this.isConnected) return giveUp();
        const asked = switchboard.answering.get(subject);
        if (asked === undefined) {
          const nobody = new NobodyAnswers(`No node of the cluster answers ${subject}`);
          return atSender(() => reject(nobody));
        }
        if (!asked.owner.isConnected) return giveUp();
        const { failed, ends: theirs } = asked.owner.#options;
        // It may stand still, or never answer.
        giveUp();
        theirs.atSender(() => {
          asked.handler(sent).then(answered, (error) => {
            failed(error);
            giveUp();
          });
        });
      });
    });
  }

  answer(subject: string, handler: Handler): () => void {
    checkSubject(subject);
    const { answering } = this.#options.switchboard;
    assert(!answering.has(subject), `two nodes answer ${subject}`);
    answering.set(subject, { owner: this, handler });
    return this.#leaving(() => answering.delete(subject));
  }

  broadcast(subject: string, bytes: Uint8Array): void {
    checkSubject(subject);
    this.#checkSize(bytes);
    const { network, switchboard } = this.#options;
    if (!this.isConnected) return;
    const sent = Uint8Array.from(bytes);
    for (const listener of switchboard.listening.get(subject) ?? []) {
      if (listener.owner === this || happens(network, network.faults.lostBroadcast)) continue;
      // Each delay gives the first that waits, so a long one does not change their order.
      listener.coming.push(sent);
      network.timers.after(delayOf(network), () => {
        const first = listener.coming.shift()!;
        listener.owner.#options.ends.atSender(() => {
          if (listener.owner.isConnected) listener.onMessage(first);
        });
      });
    }
  }

  listen(subject: string, onMessage: OnMessage): () => void {
    checkSubject(subject);
    const { listening } = this.#options.switchboard;
    const listener = { owner: this, coming: [], onMessage };
    const all = listening.get(subject) ?? new Set();
    listening.set(subject, all.add(listener));
    return this.#leaving(() => {
      all.delete(listener);
      if (all.size === 0 && listening.get(subject) === all) listening.delete(subject);
    });
  }

  close(): void {
    for (const leave of this.#leave) leave();
  }

  #leaving(take: () => void): () => void {
    const leave = () => {
      take();
      this.#leave.delete(leave);
    };
    this.#leave.add(leave);
    return leave;
  }

  #checkSize(bytes: Uint8Array): void {
    assert(bytes.length <= this.#options.bytesMax, `a message has ${bytes.length} bytes`);
  }
}
