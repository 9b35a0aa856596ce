/** The way between one node and the engine: it delays, loses, repeats, and can be cut. */
import type { Timers } from '../../base/clock.ts';
import type { Faults } from './faults.ts';

/** A request that comes late does so within this time after its sender has stopped to wait. */
const lateMsMax = 10_000;

export interface Network {
  readonly timers: Timers;
  /** From 0, below 1. */
  readonly random: () => number;
  readonly faults: Readonly<Faults>;
  /** How long a sender waits for its answer. */
  readonly answerMs: number;
}

export const happens = ({ random }: Network, likelihood: number): boolean => likelihood > 0 && random() < likelihood;

export function delayOf({ random, faults }: Network): number {
  return faults.delayMsMax === 0 ? 0 : Math.floor(random() * (faults.delayMsMax + 1));
}

/** The two ends of the way, as the sender sees it. */
export interface Ends {
  /** Whether they are connected, asked for each way. */
  readonly reachable: () => boolean;
  /** Runs what happens at the sender, once that is awake. */
  readonly atSender: (run: () => void) => void;
}

/** Where a request is carried out; `null`: nobody does at the moment, and it is gone. */
export type CarryOut<T> = () => { readonly answer: T } | null;

/** Resolves to null where no answer comes in time. */
export function exchange<T>(network: Network, { reachable, atSender }: Ends, carryOut: CarryOut<T>): Promise<T | null> {
  const { timers, faults, answerMs, random } = network;
  return new Promise((resolve) => {
    const tell = (answer: T | null) => atSender(() => resolve(answer));
    const giveUp = () => timers.after(answerMs, () => tell(null));
    const wayBack = (answer: T) => {
      const isLost = happens(network, faults.lostAnswer);
      timers.after(delayOf(network), () => {
        if (isLost || !reachable()) giveUp();
        else tell(answer);
      });
    };
    const attempt = (delayMs: number) => {
      timers.after(delayMs, () => {
        const carriedOut = reachable() ? carryOut() : null;
        if (carriedOut === null) giveUp();
        else wayBack(carriedOut.answer);
      });
    };
    if (happens(network, faults.lostRequest)) return giveUp();
    if (happens(network, faults.lateRequest)) {
      giveUp();
      return attempt(answerMs + 1 + Math.floor(random() * lateMsMax));
    }
    attempt(delayOf(network));
    if (happens(network, faults.repeatedRequest)) attempt(delayOf(network));
  });
}
