/**
 * Says in time that a certificate will end: once 30 days before, once 7 days, once one day, and when it has ended.
 * Lists of revoked certificates live shorter: once when a tenth of their time is left, and when they have ended.
 */
import { plural } from '../base/plural.ts';
import type { Log } from '../contracts/log.ts';
import type { ExpiringFile } from '../contracts/transport.ts';

const dayMs = 86_400_000;
const daysBefore = [30, 7, 1];
/** One that ends so soon was made to: its renewal is automatic, and 30 days before it did not exist. */
const shortLivedShare = 3;

export class ExpiryWatch {
  readonly #dated: readonly ExpiringFile[];
  /** The stages that lie behind each of them and were told; the last stage is the end. */
  readonly #told = new Map<ExpiringFile, number>();

  constructor(dated: readonly ExpiringFile[]) {
    this.#dated = dated;
  }

  /** Called now and then. */
  look(now: number, log: Log, listener: string): void {
    for (const each of this.#dated) {
      if (now < each.from && !this.#told.has(each)) {
        this.#told.set(each, 0);
        log.warn(
          { listener },
          `${each.name} is not valid before ${dayOf(each.from)}; is the clock of this machine right?`,
        );
      }
      const behind = stagesBehind(each, now);
      if (behind <= (this.#told.get(each) ?? 0)) continue;
      this.#told.set(each, behind);
      if (now >= each.until) log.error({ listener }, ended(each));
      else
        log.warn({ listener }, `${each.name} ends in ${endsIn(each.until - now)}, on ${dayOf(each.until)}; renew it`);
    }
  }
}

/** So many of the times are behind at which somebody should be told that it ends. 0: there is time. */
export const stagesBehind = (each: ExpiringFile, now: number): number =>
  stagesOf(each).filter((stage) => now >= stage).length;

function stagesOf({ kind, from, until }: ExpiringFile): number[] {
  const life = until - from;
  const before = kind === 'revocations' ? [life / 10] : daysBefore.map((days) => days * dayMs);
  return [...before.filter((each) => each * shortLivedShare <= life), 0].map((each) => until - each);
}

function ended({ kind, name, until }: ExpiringFile): string {
  switch (kind) {
    case 'certificate':
      return `${name} has ended on ${dayOf(until)}: clients that check it do not connect; renew it`;
    case 'authority':
      return `${name} has ended on ${dayOf(until)}: client certificates of this authority are refused; renew it`;
    case 'revocations':
      return `${name} was to be replaced by ${new Date(until).toISOString()}: client certificates of its authority are refused until it is`;
  }
}

const dayOf = (time: number) => new Date(time).toISOString().slice(0, 10);

/** In words. */
export function endsIn(ms: number): string {
  const hours = Math.ceil(ms / 3_600_000);
  return hours < 48 ? plural(hours, 'hour') : plural(Math.round(hours / 24), 'day');
}
