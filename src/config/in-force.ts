/** The configuration of a running broker as it is now, and what of it has changed where it comes from. */
import { afterReload, type ConfigChange, changesOf } from './changes.ts';
import { parseConfig } from './load.ts';
import { maskedConfig } from './masked.ts';
import type { Config } from './schema.ts';

const defaults = parseConfig({});

export interface ConfigView {
  readonly config: Config;
  /** What of it is not as it is by default. */
  readonly deviations: readonly Deviation[];
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
  /** Reads it again; throws if it is not valid. Absent: there is nothing to read. */
  readonly reread: (() => Config) | undefined;
}

export class ConfigInForce {
  readonly #reread: ConfigSources['reread'];
  #written: Config;
  #effective: Config;

  constructor({ written, effective, reread }: ConfigSources) {
    this.#written = written;
    this.#effective = effective;
    this.#reread = reread;
  }

  /** Not masked. */
  get config(): Config {
    return this.#effective;
  }

  /** A reload has applied what it can of it. Returns the settings that only the next start applies. */
  reloaded(next: Config): readonly string[] {
    this.#written = afterReload(this.#written, next);
    this.#effective = afterReload(this.#effective, next);
    return changesOf(this.#written, next).map(({ path }) => path);
  }

  /** For others to see: without secrets. */
  view(): ConfigView {
    const config = maskedConfig(this.#effective);
    const deviations = changesOf(defaults, this.#effective).map(({ path, from }) => ({ path, default: from }));
    if (this.#reread === undefined) return { config, deviations, changes: null, problem: null };
    try {
      return { config, deviations, changes: changesOf(this.#written, this.#reread()), problem: null };
    } catch (error) {
      return { config, deviations, changes: [], problem: (error as Error).message };
    }
  }
}
