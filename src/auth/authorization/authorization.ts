/**
 * Authorisation as the program runs it: settings in, a policy out, and rules that change while clients stay.
 *
 * Whatever is wrong with new rules is told, and the old ones stay in force.
 */

import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { fileProblem } from '../../base/file-problem.ts';
import { FileWatch, fileState } from '../../base/file-watch.ts';
import type { AuthorizationSettings } from '../../contracts/authorization-settings.ts';
import type { Log } from '../../contracts/log.ts';
import { parseAclFile } from './acl-file.ts';
import { AuthorizationError } from './errors.ts';
import { ownRules } from './own-rules.ts';
import { RulePolicy } from './policy.ts';
import { RuleSet } from './rule-set.ts';

export interface AuthorizationOptions {
  readonly log: Log;
  /** Others rules hold: what was remembered of who may read these topics is void; null: of all topics. */
  readonly changed: (topics: readonly string[] | null) => void;
  readonly allowedDollarPrefixes?: readonly string[];
  /** How often it is looked whether the ACL file has changed. */
  readonly pollMs?: number;
}

/** Rules that are ready to take the place of others. */
export interface PreparedRules {
  readonly rules: RuleSet;
  readonly aclFile: string | null;
  /** The state of the ACL file before it was read. */
  readonly known: string;
  /** Reads the ACL file anew, with the same settings around it. */
  readonly again: () => RuleSet;
}

const pollMs = 1_000;

/**
 * `where`: the place of the rule with this index, for messages and for explanations. Throws an AuthorizationError that
 * says what is wrong with the ACL file, and where.
 */
export function prepareRules(settings: AuthorizationSettings, where: (index: number) => string): PreparedRules {
  const { aclFile = null } = settings;
  const own = ownRules(settings.rules, where);
  const again = () => {
    const fromFile = aclFile === null ? [] : parseAclFile(readAclFile(aclFile), aclFile);
    return new RuleSet([...own, ...fromFile], { hasAclFile: aclFile !== null, default: settings.default });
  };
  const known = aclFile === null ? '' : fileState([aclFile]);
  return { rules: again(), aclFile, known, again };
}

function readAclFile(file: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    const reason = fileProblem(cause as Error);
    throw new AuthorizationError(`Cannot read the ACL file ${file} (authorization.aclFile): ${reason}`, { cause });
  }
  if (!isUtf8(bytes)) throw new AuthorizationError(`The ACL file ${file} is not UTF-8`);
  return bytes.toString();
}

export class Authorization {
  readonly policy: RulePolicy;
  readonly #options: AuthorizationOptions;
  #watch: FileWatch | null = null;

  constructor(options: AuthorizationOptions) {
    this.#options = options;
    this.policy = new RulePolicy(options.allowedDollarPrefixes);
  }

  /** From now on these rules hold, for everybody who is connected too; if their ACL file changes, it is read again. */
  use({ rules, aclFile, known, again }: PreparedRules): void {
    this.close();
    this.#options.changed(this.policy.replace(rules));
    if (aclFile === null) return;
    this.#watch = new FileWatch([aclFile], known, this.#options.pollMs ?? pollMs, () => this.#reread(aclFile, again));
  }

  #reread(file: string, again: () => RuleSet): void {
    const { log, changed } = this.#options;
    try {
      changed(this.policy.replace(again()));
    } catch (error) {
      if (!(error instanceof AuthorizationError)) throw error;
      log.error({ file, cause: error.message }, 'the ACL file has changed and cannot be used: the old rules stay');
      return;
    }
    log.info({ file }, 'the ACL file has changed: its rules hold from now on');
  }

  close(): void {
    this.#watch?.close();
    this.#watch = null;
  }
}
