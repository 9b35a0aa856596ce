/** Does once with real servers what a cluster does all the time, in a stream of its own that is taken away again. */
import { randomBytes } from 'node:crypto';
import { jetstreamManager } from '@nats-io/jetstream';
import type { AppendOutcome, EngineStream } from '../../contracts/cluster-engine.ts';
import { NatsEngine } from './engine.ts';
import { Link, type NatsOptions } from './link.ts';
import { placeOf } from './stream-config.ts';
import { asUnavailable } from './unavailable.ts';

export interface Trial {
  /** Of appends, one after the other. */
  readonly count: number;
  readonly medianMs: number;
  readonly longestMs: number;
}

const appends = 20;
/** A stream that was just made has no leader for a moment. */
const attemptsMax = 20;
const attemptPauseMs = 250;

/** Rejects with what a broker would run into, in the words of the servers. */
export async function tryOut(options: NatsOptions, replicas: 1 | 3 | 5): Promise<Trial> {
  const cluster = `check-${randomBytes(6).toString('hex')}`;
  const settings = { name: 'trial', keeps: 'newestOfSubject', whenFull: 'refuse', bytesMax: 1_048_576 } as const;
  // Nothing listens on the bus here.
  const failed = () => {};
  const engine = await NatsEngine.connect({ ...options, cluster, node: 'sluice cluster check', replicas, failed });
  try {
    const stream = await engine.open(settings);
    const times = await timesOf(stream);
    const read = await stream.peek('trial');
    if (read === null) throw new Error('What was stored cannot be read: no replica answers direct requests');
    return { count: appends, medianMs: times[Math.floor(appends / 2)]!, longestMs: times.at(-1)! };
  } finally {
    await engine.close();
    await remove(options, placeOf(cluster, settings).name);
  }
}

/** In ascending order. */
async function timesOf(stream: EngineStream): Promise<number[]> {
  const times: number[] = [];
  let last = 0;
  for (let count = 0; count <= appends; count++) {
    const before = performance.now();
    const outcome = await decided(stream, last);
    // The first one waits for a leader.
    if (count > 0) times.push(performance.now() - before);
    if (outcome.state !== 'stored') throw new Error(`An append to a new stream was refused: ${outcome.state}`);
    last = outcome.sequence;
  }
  const outdated = await decided(stream, last - 1);
  if (outdated.state !== 'outdated') {
    throw new Error(
      `An append that expected an older entry was ${outdated.state}: these servers do not compare and swap`,
    );
  }
  return times.sort((a, b) => a - b);
}

async function decided(stream: EngineStream, expected: number): Promise<AppendOutcome> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await stream.append('trial', randomBytes(100), expected);
    if (outcome.state !== 'unknown') return outcome;
    if (attempt === attemptsMax) throw new Error(`A stream was made, and takes nothing: ${outcome.reason}`);
    await new Promise((resolve) => setTimeout(resolve, attemptPauseMs));
  }
}

async function remove(options: NatsOptions, name: string): Promise<void> {
  const link = await Link.open('sluice cluster check', options);
  try {
    const manager = await asUnavailable(jetstreamManager(link.connection, { timeout: options.answerMs }));
    await manager.streams.delete(name).catch(() => {
      // It was not made.
    });
  } finally {
    await link.close();
  }
}
