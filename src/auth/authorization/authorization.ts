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
import type { ClientIdentity } from '../../contracts/hooks.ts';
import type { Log } from '../../contracts/log.ts';
import { parseAclFile } from './acl-file.ts';
import { type ClientTest, clientTest } from './client-conditions.ts';
import { AuthorizationError } from './errors.ts';
import { ownRules } from './own-rules.ts';
import { RulePolicy } from './policy.ts';
import type { RuleDraft } from './rule.ts';
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
  readonly aclFiles: readonly string[];
  /** The state of the ACL files before they were read. */
  readonly known: string;
  /** Reads the ACL files anew, with the same settings around them. */
  readonly again: () => RuleSet;
}

/** An ACL file for the clients of one listener only. */
export interface ListenerAclFile {
  readonly file: string;
  /** A text that fits the listener's URL, in which `*` stands for any characters. */
  readonly listener: string;
  /** The place of the setting, for messages. */
  readonly where: string;
}

const pollMs = 1_000;

/**
 * `where`: the place of the rule with this index, for messages and for explanations. `ofListeners` take the place of
 * the common ACL file. Throws an AuthorizationError that says what is wrong with an ACL file, and where.
 */
export function prepareRules(
  settings: AuthorizationSettings,
  where: (index: number) => string,
  ofListeners: readonly ListenerAclFile[] = [],
): PreparedRules {
  const { aclFile = null } = settings;
  const own = ownRules(settings.rules, where);
  const files = [...(aclFile === null ? [] : [aclFile]), ...ofListeners.map(({ file }) => file)];
  const again = () => {
    const forListeners = ofListeners.flatMap(({ file, listener, where: place }) => {
      const isHere = clientTest({ listener }, null)!;
      return parseAclFile(readAclFile(file, place), file).map((rule) => forClients(rule, isHere, listener));
    });
    const common = aclFile === null ? [] : parseAclFile(readAclFile(aclFile, 'authorization.aclFile'), aclFile);
    const isThere = clientTest({ listener: ofListeners.map(({ listener }) => listener) }, null)!;
    const isElsewhere: ClientTest = (client) => !isThere(client);
    const forOthers =
      ofListeners.length === 0 ? common : common.map((rule) => forClients(rule, isElsewhere, 'elsewhere'));
    const options = { hasAclFile: files.length > 0, default: settings.default };
    return new RuleSet([...own, ...forListeners, ...forOthers], options);
  };
  const known = files.length === 0 ? '' : fileState(files);
  return { rules: again(), aclFiles: files, known, again };
}

/** Rules that have no condition of their own share `isMeant`, which is asked once for each client. */
function forClients(rule: RuleDraft, isMeant: ClientTest, says: string): RuleDraft {
  const { test } = rule;
  const both = test === null ? isMeant : (client: ClientIdentity) => isMeant(client) && test(client);
  return { ...rule, test: both, says: `${says}: ${rule.says}` };
}

function readAclFile(file: string, place: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    const reason = fileProblem(cause as Error);
    throw new AuthorizationError(`Cannot read the ACL file ${file} (${place}): ${reason}`, { cause });
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

  /** From now on these rules hold, for everybody who is connected too; if an ACL file changes, all are read again. */
  use({ rules, aclFiles, known, again }: PreparedRules): void {
    this.close();
    this.#options.changed(this.policy.replace(rules));
    if (aclFiles.length === 0) return;
    this.#watch = new FileWatch(aclFiles, known, this.#options.pollMs ?? pollMs, () => this.#reread(aclFiles, again));
  }

  #reread(files: readonly string[], again: () => RuleSet): void {
    const { log, changed } = this.#options;
    const file = files.join(', ');
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
