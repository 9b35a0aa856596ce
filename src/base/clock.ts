/** Where time comes from: the machine in production, a number in the simulation. Milliseconds since the epoch. */
export interface Clock {
  now(): number;
}

export const systemClock: Clock = { now: Date.now };

/** What comes later: by the machine's timers in production, by the simulation's in the simulation. */
export interface Timers {
  /** Calls back once; after 0 ms in the next round of the event loop. */
  after(ms: number, run: () => void): void;
  /** Calls back again and again, which alone does not keep a process alive; returns a function that ends it. */
  every(ms: number, run: () => void): () => void;
}

export const systemTimers: Timers = {
  after(ms, run) {
    if (ms === 0) setImmediate(run);
    else setTimeout(run, ms);
  },
  every(ms, run) {
    const timer = setInterval(run, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};

/**
 * The same for a part whose connections keep the process alive: once they are closed, nothing waits for what is left.
 */
export const passiveTimers: Timers = {
  after(ms, run) {
    if (ms === 0) setImmediate(run);
    else setTimeout(run, ms).unref();
  },
  every: systemTimers.every,
};
