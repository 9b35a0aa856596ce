/** How many sessions of streams with names there may be. */
import { CommandFailure } from '../contracts/failures.ts';
import type { BrokerContext } from './broker-context.ts';

/** Of one caller. Those from before a restart count from when they are opened again. */
const ofCallerMax = 100;

export class StreamNames {
  readonly #context: BrokerContext;
  /** By caller: sessions that were opened, some of which have ended. */
  readonly #opened = new Map<string, Set<string>>();

  constructor(context: BrokerContext) {
    this.#context = context;
  }

  /** Called before the session is opened. Throws a CommandFailure if it would be one too many. */
  take(caller: string, session: string): void {
    const { core, settings } = this.#context;
    this.#context.advanceClock();
    const own = this.#opened.get(caller) ?? new Set<string>();
    if (core.sessionOf(session) === undefined) {
      const { sessions } = settings.limits;
      if (core.view.sessionCount >= sessions) {
        throw new CommandFailure('unavailable', `There are ${sessions} sessions already (limits.sessions)`);
      }
      if (own.size >= ofCallerMax) for (const name of own) if (core.sessionOf(name) === undefined) own.delete(name);
      if (own.size >= ofCallerMax) {
        const what = `${caller} has ${own.size} streams with names that are kept`;
        throw new CommandFailure('conflict', `${what}: use one of these names, or keep each for less time`);
      }
    }
    own.add(session);
    this.#opened.set(caller, own);
  }
}
