/**
 * Alarms of one broker: looks once a second for what is wrong, tells the log when one is raised and when it is cleared,
 * and remembers those of the past.
 */
import { gauge, type Metric, type Sample } from '../base/metrics.ts';
import type { Alarm, AlarmDeclaration, AlarmFinding } from '../contracts/alarms.ts';
import type { CommandHandlers } from '../contracts/commands.ts';
import type { Log } from '../contracts/log.ts';

/** Past ones that are remembered. */
const pastMax = 100;
/** Of one kind at one time: a configuration may name very many files. */
const findingsMax = 100;

/** An alarm of which something was found, raised or not yet. */
interface Watched {
  readonly declaration: AlarmDeclaration;
  readonly about: string | null;
  readonly foundAt: number;
  lastFoundAt: number;
  raised: Omit<Alarm, 'clearedAt'> | null;
}

export class Alarms {
  readonly #declared: readonly AlarmDeclaration[];
  readonly #log: Log;
  readonly #now: () => number;
  /** By name and what it is about. */
  readonly #watched = new Map<string, Watched>();
  /** The last one first. */
  #past: Alarm[] = [];

  /** `now`: milliseconds since the epoch. */
  constructor(declared: readonly AlarmDeclaration[], log: Log, now: () => number) {
    this.#declared = declared;
    this.#log = log;
    this.#now = now;
  }

  /** Those that last, in the order in which they were raised. */
  get active(): readonly Alarm[] {
    return [...this.#watched.values()].flatMap(({ raised }) =>
      raised === null ? [] : [{ ...raised, clearedAt: null }],
    );
  }

  /** The last hundred that have ended, the last one first. */
  get past(): readonly Alarm[] {
    return this.#past;
  }

  /** Once a second. */
  look(): void {
    const now = this.#now();
    for (const declaration of this.#declared) {
      try {
        let left = findingsMax;
        for (const finding of declaration.look(now)) {
          if (left-- === 0) break;
          this.#found(declaration, finding, now);
        }
      } catch (err) {
        this.#log.error(
          { alarm: declaration.name, err },
          'a bug in Sluice: it cannot be told whether this is an alarm',
        );
      }
    }
    for (const [key, watched] of this.#watched) if (watched.lastFoundAt !== now) this.#missed(key, watched, now);
  }

  #found(declaration: AlarmDeclaration, finding: AlarmFinding, now: number): void {
    const { name, remedy, lastsSeconds = 0 } = declaration;
    const { about = null, severity = declaration.severity, text } = finding;
    const key = `${name} ${about}`;
    let watched = this.#watched.get(key);
    if (watched === undefined) {
      watched = { declaration, about, foundAt: now, lastFoundAt: now, raised: null };
      this.#watched.set(key, watched);
    }
    watched.lastFoundAt = now;
    const before = watched.raised;
    if (before === null && now - watched.foundAt < lastsSeconds * 1_000) return;
    watched.raised = { name, about, severity, since: before?.since ?? now, text, remedy };
    if (before?.severity === severity) return;
    this.#log[severity === 'critical' ? 'error' : 'warn']({ alarm: name, about }, `alarm: ${text}. ${remedy}`);
  }

  #missed(key: string, { declaration, lastFoundAt, raised }: Watched, now: number): void {
    // One that was not raised yet must last without a break.
    if (raised !== null && now - lastFoundAt < (declaration.awaySeconds ?? 0) * 1_000) return;
    this.#watched.delete(key);
    if (raised === null) return;
    this.#past = [{ ...raised, clearedAt: now }, ...this.#past.slice(0, pastMax - 1)];
    const { name, about, since } = raised;
    this.#log.info({ alarm: name, about, seconds: Math.round((now - since) / 1_000) }, 'alarm cleared');
  }

  /** How many there are of each kind, also where there is none. */
  *#counts(): Generator<Sample<number>> {
    const active = this.active;
    for (const { name } of this.#declared) {
      yield { labels: { alarm: name }, value: active.filter((each) => each.name === name).length };
    }
  }

  get metrics(): Metric[] {
    return [
      gauge(
        {
          name: 'sluice_alarms',
          help: 'Alarms that last, by kind',
          unit: 'alarms',
          worry: 'it is above 0: the list of alarms says what is wrong and what to do',
          topics: ['alarms/{alarm}', 'alarms/count'],
        },
        () => this.#counts(),
      ),
    ];
  }
}

export function alarmHandlers(alarms: Alarms): Pick<CommandHandlers, 'alarms list'> {
  return { 'alarms list': async () => ({ active: alarms.active, past: alarms.past }) };
}
