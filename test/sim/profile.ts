/** How the broker of one run is set, and how bad its world is: drawn from the seed. */

import type { Random } from '../../scripts/crash/random.ts';
import { type BrokerSettings, defaultLimits, defaultSettings } from '../../src/contracts/settings.ts';
import type { DiskHabits } from './disk.ts';
import type { WireHabits } from './network.ts';

export interface Profile {
  readonly settings: BrokerSettings;
  /** `none`: the store in memory, which promises nothing beyond the process. */
  readonly durability: 'sync' | 'os' | 'none';
  readonly maxCommitDelayMs: number;
  readonly cacheBytes: number;
  readonly recordsInRow: number;
  /** Lists of so many subscription identifiers have records of their own. */
  readonly longListMin: number;
  /** Messages of QoS 0 are given to subscribers one by one, in a round each. */
  readonly hasSmallSteps: boolean;
  /** Between two readings of the scheduler's clock, at most: work takes time. */
  readonly workMicroseconds: number;
  readonly wire: WireHabits;
  readonly disk: DiskHabits;
  readonly pipeline: 'none' | 'sync' | 'async';
  /** Whether clients are authenticated, and answered at once or later. */
  readonly authentication: 'none' | 'sync' | 'async';
  /** The program around the broker: its listeners throw, its hooks give senseless answers. */
  readonly hasRudeListeners: boolean;
  readonly hasSenselessHooks: boolean;
  /** Bugs in the broker that hit one connection each, when it is to send an acknowledgement. */
  readonly hasBugs: boolean;
  /** Limits are so tight that messages are dropped, and counted. */
  readonly isTight: boolean;
  /** So much of `limits.memoryBytes` is taken by others than the simulated clients, at first. */
  readonly memoryTaken: number;
}

/** Far more than simulated clients can fill: nobody is refused. */
const memoryBytes = 1_000_000_000;
/**
 * Less than that, but still nobody is refused while others take less than four fifths of it: of what is left, one
 * client may hold a third, which is a hundred of the largest messages.
 */
const littleMemoryBytes = 150_000_000;

export function withLittleMemory(profile: Profile): Profile {
  const { settings, memoryTaken } = profile;
  const limits = { ...settings.limits, memoryBytes: littleMemoryBytes };
  return {
    ...profile,
    memoryTaken: Math.round((memoryTaken / memoryBytes) * littleMemoryBytes),
    settings: { ...settings, limits },
  };
}

/** A message is given to one subscriber in a round, and what others do, and commits, come in between. */
export function withSlowSteps(profile: Profile): Profile {
  return { ...profile, hasSmallSteps: true, workMicroseconds: 2_000, disk: { ...profile.disk, writeMs: 1 } };
}

/** A client may have much in flight, and little of it may wait to be read. Commits take so long that many share one. */
export function withSlowReader(profile: Profile): Profile {
  const { settings, disk } = profile;
  const limits = { ...settings.limits, outputBytes: 8_192, inflight: 1_024, receiveMaximum: 1_024 };
  return { ...profile, disk: { ...disk, writeMs: 100 }, settings: { ...settings, limits } };
}

export function drawProfile(random: Random): Profile {
  const isTight = random.isLucky(0.3);
  const isSmall = random.isLucky(0.5);
  const kinds = random.fraction();
  const limits = {
    ...defaultLimits,
    inflight: random.pick([1, 2, 5, 1_024]),
    receiveMaximum: random.pick([2, 5, 1_024]),
    topicAliases: random.pick([0, 2, 64]),
    memoryBytes,
    unwrittenBytes: random.pick([20_000, defaultLimits.unwrittenBytes]),
    ...(isTight && {
      queueMessages: random.pick([2, 5, 10]),
      queuePolicy: random.pick(['drop-oldest', 'drop-newest', 'reject'] as const),
      queueBytes: random.pick([1_000, 1_000_000]),
      outputBytes: random.pick([1_024, 8_192]),
      retainedMessages: random.pick([2, 1_000]),
    }),
  };
  const profile: Omit<Profile, 'memoryTaken'> = {
    settings: {
      ...defaultSettings,
      limits,
      sessionExpiryMaximumSeconds: random.pick([0xffffffff, 20]),
      serverKeepAliveSeconds: random.pick([0, 0, 4]),
      outboundTopicAliases: random.pick([0, 2, 16]),
      queueQoS0: random.isLucky(0.3),
      sysIntervalSeconds: 0,
    },
    durability: random.pick(['sync', 'sync', 'sync', 'os', 'none']),
    maxCommitDelayMs: random.pick([0, 0, 0, 20]),
    cacheBytes: random.pick([0, 1_500, 67_108_864]),
    recordsInRow: isSmall ? 2 : 256,
    longListMin: isSmall ? 1 : 2,
    hasSmallSteps: isSmall,
    workMicroseconds: random.pick([0, 50, 500]),
    wire: {
      latencyMs: random.pick([0, 3, 40]),
      pieces: random.pick([0, 0.3]),
      kernelBytes: isSmall ? random.pick([200, 2_000]) : 65_536,
    },
    disk: {
      writeMs: random.pick([1, 10, 100]),
      readMs: random.pick([0, 5, 50]),
      slowWrites: random.pick([0, 0.05]),
    },
    pipeline: kinds < 0.8 ? 'none' : kinds < 0.9 ? 'sync' : 'async',
    authentication: random.pick(['none', 'none', 'none', 'sync', 'async']),
    hasRudeListeners: random.isLucky(0.3),
    hasSenselessHooks: random.isLucky(0.15),
    hasBugs: random.isLucky(0.1),
    isTight,
  };
  // Drawn last, so that the rest of a seed's run stays what it was.
  const wills = { restartGraceSeconds: random.pick([0, 1, 4]) };
  const memoryTaken = random.pick([0, 0, 0.55, 0.65, 0.72]) * memoryBytes;
  const inflightBytes = random.pick([0, 0, 0, 30, 300]);
  const settings = { ...profile.settings, wills, limits: { ...profile.settings.limits, inflightBytes } };
  return { ...profile, memoryTaken, settings };
}
