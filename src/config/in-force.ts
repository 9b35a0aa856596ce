/** The configuration of a running broker as it is now, and what of it has changed where it comes from. */
import { afterReload, type ConfigChange, changesOf } from './changes.ts';
import { parseConfig } from './load.ts';
import { maskedConfig } from './masked.ts';
import { type Origin, originsOfChanges } from './origins.ts';
import type { Config } from './schema.ts';

const defaults = parseConfig({});

export interface ConfigView {
  readonly config: Config;
  /** What of it is not as it is by default. */
  readonly deviations: readonly Deviation[];
  /** Where settings come from; what has none is as by default, or given by a program. */
  readonly origins: readonly Origin[];
  /** What a reload or a restart would change; null: there is no file to read again. */
  readonly changes: readonly ConfigChange[] | null;
  /** Why the file cannot be used as it is now; null: it can. */
  readonly problem: string | null;
}

export interface Deviation {
  /** As `limits.queueMessages`. */
  readonly path: string;
  /** Undefined: it is not there by default. */
  readonly default: unknown;
}

export interface ConfigSources {
  /** As it was read. */
  readonly written: Config;
  /** The same within what the system has of memory and files. */
  readonly effective: Config;
  /** Absent: a program gave them all. */
  readonly origins?: readonly Origin[];
  /** Reads it again; throws if it is not valid. Absent: there is nothing to read. */
  readonly reread: (() => Config) | undefined;
}

export class ConfigInForce {
  readonly #reread: ConfigSources['reread'];
  #written: Config;
  #effective: Config;
  #origins: readonly Origin[];

  constructor({ written, effective, origins = [], reread }: ConfigSources) {
    this.#written = written;
    this.#effective = effective;
    this.#origins = origins;
    this.#reread = reread;
  }

  /** Not masked. */
  get config(): Config {
    return this.#effective;
  }

  /** A reload has applied what it can of it. Returns the settings that only the next start applies. */
  reloaded(next: Config, origins: readonly Origin[]): readonly string[] {
    this.#origins = origins;
    this.#written = afterReload(this.#written, next);
    this.#effective = afterReload(this.#effective, next);
    return changesOf(this.#written, next).map(({ path }) => path);
  }

  /** For others to see: without secrets. */
  view(): ConfigView {
    const config = maskedConfig(this.#effective);
    const deviations = changesOf(defaults, this.#effective).map(({ path, from }) => ({ path, default: from }));
    const origins = [...originsOfChanges(this.#written, this.#effective, 'machine'), ...this.#origins];
    const seen = { config, deviations, origins };
    if (this.#reread === undefined) return { ...seen, changes: null, problem: null };
    try {
      return { ...seen, changes: changesOf(this.#written, this.#reread()), problem: null };
    } catch (error) {
      return { ...seen, changes: [], problem: (error as Error).message };
    }
  }
}
