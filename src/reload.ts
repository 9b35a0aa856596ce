/**
 * `sluice reload` and SIGHUP: pipelines, authentication, rules, certificates and bridges of a running broker are
 * replaced by those of the configuration as it is now. One reload runs after the other, so the configuration that was
 * read last counts.
 */
import type { AuditLog } from './admin/audit.ts';
import type { Authentication } from './auth/authentication/authentication.ts';
import type { Authorization } from './auth/authorization/authorization.ts';
import { prepareAuthentication } from './authentication.ts';
import { plural } from './base/plural.ts';
import type { Bridges } from './bridge/bridges.ts';
import type { Broker } from './broker/broker.ts';
import { ConfigError } from './config/error.ts';
import type { RereadConfig } from './config/load.ts';
import type { Origin } from './config/origins.ts';
import type { Config } from './config/schema.ts';
import type { Log } from './contracts/log.ts';
import type { Listener } from './contracts/transport.ts';
import type { Pipelines } from './pipeline/pipelines.ts';
import { configure } from './pipelines.ts';
import { rulesOf } from './rules.ts';

export interface ReloadParts {
  /** Reads the configuration anew. Absent: there is nothing to read again. */
  readonly reread: (() => RereadConfig) | undefined;
  /** Told of what was applied. Returns the settings that only the next start applies. */
  readonly applied: (config: Config, origins: readonly Origin[]) => readonly string[];
  readonly logs: { readonly broker: Log };
  readonly reopenLogs: () => Promise<void>;
  readonly audit: AuditLog | null;
  readonly broker: Broker;
  readonly bridges: Pick<Bridges, 'use'>;
  readonly pipelines: Pipelines;
  readonly authentication: Authentication | null;
  readonly authorization: Authorization;
  readonly listeners: readonly Listener[];
  readonly adminListeners: readonly Pick<Listener, 'reloadCertificates'>[];
}

export class Reloads {
  readonly #parts: ReloadParts;
  /** Resolves when those that were asked for so far are done. */
  settled: Promise<unknown> = Promise.resolve();

  constructor(parts: ReloadParts) {
    this.#parts = parts;
  }

  reload(): Promise<string> {
    const reloaded = this.settled.then(() => this.#reload());
    this.settled = reloaded.catch(() => {});
    return reloaded;
  }

  /** What SIGHUP asks for. Never rejects: the log says what went wrong. */
  async hangUp(): Promise<void> {
    if (this.#parts.reread !== undefined) return void (await this.reload().catch(() => {}));
    await this.#parts.reopenLogs();
    const text = 'the log files were opened anew; there is no configuration to read again, without --config';
    this.#parts.logs.broker.info({}, text);
  }

  async #reload(): Promise<string> {
    const { reread, audit, broker, bridges, pipelines, authentication, authorization } = this.#parts;
    const log = this.#parts.logs.broker;
    // Whatever becomes of the rest: who moved the files away waits for this.
    await this.#parts.reopenLogs();
    if (reread === undefined)
      throw new ConfigError(
        'The broker was started without a configuration file (--config), so there is nothing to read again',
      );
    try {
      const { listeners, adminListeners } = this.#parts;
      // First, so that a mistake in the pipelines does not keep a renewed certificate from being used.
      await Promise.all([...listeners, ...adminListeners].map((listener) => listener.reloadCertificates()));
      const { config: next, where, origins = [] } = reread();
      const nextRules = rulesOf(next, where);
      const prepared = await prepareAuthentication(authentication, next, where);
      await configure(pipelines, next, where).catch((error: unknown) => {
        prepared?.discard();
        throw error;
      });
      prepared?.apply();
      authorization.use(nextRules);
      await bridges.use(next.bridges);
      const left = this.#parts.applied(next, origins);
      await broker.reclassify();
      const done = `${plural(next.pipelines.length, 'pipeline')} reloaded, with authentication, rules, certificates and bridges`;
      const text = `${done}; ${leftText(left)}`;
      log.info({}, text);
      audit?.record({ event: 'reloaded', outcome: 'done' });
      return text;
    } catch (error) {
      audit?.record({ event: 'reloaded', outcome: 'failed', reason: (error as Error).message });
      log.error({ cause: (error as Error).message }, 'reload failed: what is wrong stays as it was');
      throw error;
    }
  }
}

/** So many settings are named. */
const namedMax = 10;

function leftText(left: readonly string[]): string {
  if (left.length === 0) return 'nothing else has changed';
  const named = left.slice(0, namedMax).join(', ');
  const more = left.length > namedMax ? ` and ${left.length - namedMax} more` : '';
  return `only the next start applies ${named}${more}`;
}
