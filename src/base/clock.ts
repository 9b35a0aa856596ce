/** Where time comes from: the machine in production, a number in the simulation. Milliseconds since the epoch. */
export interface Clock {
  now(): number;
}

export const systemClock: Clock = { now: Date.now };
