/**
 * One round: a broker on a fresh directory, load, one to three ends of its life, and the reckoning.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type BrokerName, BrokerProcess, type Durability } from './broker-process.ts';
import { Cast } from './cast.ts';
import { Ledger, type Violation } from './ledger.ts';
import { PowerCut } from './power-cut.ts';
import { Random } from './random.ts';
import { checkRetained } from './retained.ts';
import { outstanding, verify } from './verify.ts';

export interface RoundOptions {
  readonly broker: BrokerName;
  readonly durability: Durability;
  /**
   * The compiled library that sees what is synced; null: the operating system survives, and so does what was written.
   */
  readonly powerCutLibrary: string | null;
  /** The first crash comes between 50 ms and this after the load has begun. */
  readonly loadMsMax: number;
}

export interface RoundResult {
  readonly seed: number;
  readonly crashes: number;
  readonly stops: number;
  readonly acknowledged: number;
  readonly arrived: number;
  readonly repeated: number;
  readonly wills: number;
  readonly restartsMs: readonly number[];
  readonly violations: readonly Violation[];
  /** What happened in the round, for who looks into a violation. */
  readonly story?: readonly string[];
}

const loadMsMin = 50;
/** How many of the broker's lives end by order. */
const orderlyShare = 0.3;
/** From the start of the process: within that it starts, recovers, and has its clients come back. */
const recoveryMsMax = 800;
const finishMsMax = 20_000;
/** Nothing has arrived for so long: the rest will not come. Longer than the longest delay of a will. */
const silenceMs = 4_000;
/** What should not come again gets this long to come. */
const afterwardsMs = 150;

export async function runRound(seed: number, options: RoundOptions): Promise<RoundResult> {
  const random = new Random(seed);
  const folder = mkdtempSync(join(tmpdir(), 'sluice-crash-'));
  const powerCut = options.powerCutLibrary === null ? null : new PowerCut(options.powerCutLibrary, folder);
  const broker = new BrokerProcess({ name: options.broker, folder, durability: options.durability, powerCut });
  const ledger = new Ledger();
  const cast = new Cast(random, ledger);
  const restartsMs: number[] = [];
  const start = () => {
    ledger.starts.push(Date.now());
    return broker.start();
  };
  const end = async () => {
    const isByOrder = random.isLucky(orderlyShare);
    cast.beforeEnd(isByOrder);
    await (isByOrder ? broker.stop() : broker.kill());
    await cast.afterEnd();
  };
  try {
    await cast.enter((await start())!);
    await delay(random.between(loadMsMin, options.loadMsMax));
    await end();
    // The next ones come while it recovers.
    while (ledger.crashes + ledger.stops < 3 && random.isLucky(0.4)) {
      const life = live(start(), cast, ledger);
      await Promise.race([delay(random.between(0, recoveryMsMax)), life.then(() => delay(recoveryMsMax))]);
      await end();
      await life;
    }
    const startedAt = Date.now();
    const port = (await start())!;
    restartsMs.push(Date.now() - startedAt);
    await Promise.all([cast.comeBack(port, false), checkRetained(ledger, port, 'probe-restart')]);
    await cast.finish(port, finishMsMax);
    await untilQuiet(ledger);
    await checkRetained(ledger, port, 'probe-end');
  } catch (error) {
    ledger.report('broker', (error as Error).message);
  } finally {
    await cast.close();
    await broker.kill().catch((error: Error) => ledger.report('broker', error.message));
    rmSync(folder, { recursive: true, maxRetries: 3 });
  }
  return { seed, restartsMs, ...reckoning(ledger) };
}

/** A life that is cut short at any point of it. */
async function live(start: Promise<number | null>, cast: Cast, ledger: Ledger): Promise<void> {
  const port = await start;
  if (port === null) return;
  await Promise.all([cast.comeBack(port, false), checkRetained(ledger, port, `probe-${ledger.starts.length}`)]);
}

/** What is awaited has come, or nothing has for some time; and nothing more comes. */
export async function untilQuiet(ledger: Ledger, mostMs = silenceMs): Promise<void> {
  ledger.lastArrivalMs = Date.now();
  while (outstanding(ledger) > 0 && Date.now() - ledger.lastArrivalMs < mostMs) await delay(50);
  do await delay(afterwardsMs);
  while (Date.now() - ledger.lastArrivalMs < afterwardsMs);
}

export function reckoning(ledger: Ledger): Omit<RoundResult, 'seed' | 'restartsMs'> {
  const { violations, repeated, willsArrived } = verify(ledger);
  return {
    crashes: ledger.crashes,
    stops: ledger.stops,
    acknowledged: ledger.messages.filter(({ acknowledgedAt }) => acknowledgedAt < Number.POSITIVE_INFINITY).length,
    arrived: ledger.sessions.reduce((sum, { arrivals }) => sum + arrivals.length, 0),
    repeated,
    wills: willsArrived,
    violations,
  };
}
