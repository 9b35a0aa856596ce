/** Promises of what the broker does later. They reject when it ends: whoever still waits then waits in vain. */
import { StoreError } from '../contracts/session-store.ts';
import type { BrokerContext } from './broker-context.ts';
import type { ClientChannel } from './client-channel.ts';

export class StoreWaits {
  readonly #context: BrokerContext;
  readonly #pending = new Set<(error: Error) => void>();
  #isClosing = false;
  /** Nothing more is stored. */
  hasEnded = false;

  constructor(context: BrokerContext) {
    this.#context = context;
  }

  /**
   * Resolves once what was staged since `stagedBefore` is durable. `channel` pays for what fails then; null: nobody.
   */
  whenStored(channel: ClientChannel | null, stagedBefore: number): Promise<void> {
    return this.until((done) => this.#context.commits.whenStored(channel, done, stagedBefore));
  }

  /** Resolves once the disk takes writes and keeps up, or the broker closes. */
  async storeKeepsUp(): Promise<void> {
    const { storeHealth } = this.#context;
    while (storeHealth.isStrained && !this.#isClosing) await this.until<void>((done) => storeHealth.wait(done, done));
  }

  /** Resolves with what `done` is called with. */
  until<Value = void>(begin: (done: (value: Value) => void) => void): Promise<Value> {
    return new Promise((resolve, reject) => {
      if (this.hasEnded) return reject(inVain());
      this.#pending.add(reject);
      begin((value) => {
        this.#pending.delete(reject);
        resolve(value);
      });
    });
  }

  /** The broker closes: a disk that does not keep up is waited for no longer. */
  close(): void {
    this.#isClosing = true;
  }

  end(): void {
    this.hasEnded = true;
    for (const reject of this.#pending) reject(inVain());
    this.#pending.clear();
  }
}

const inVain = () =>
  new StoreError('not_written', 'The broker has ended, and what was asked of it is perhaps not stored');
