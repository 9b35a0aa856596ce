/**
 * Who may connect, and what they may do: passwords, certificates, ACL files, plugins.
 *
 * Where Mosquitto let in nobody, or asked a plugin that is not there any more, nobody gets in here either.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { ConfigInput } from '../../config/schema.ts';
import { listenerPattern } from '../../contracts/listener-url.ts';
import { dynamicAccess, type RuleInput } from './dynamic-security.ts';
import type { Findings } from './findings.ts';
import { goAuthOf, type HttpRulesInput, isGoAuth, isReadOfGoAuth } from './go-auth.ts';
import { addressOf, type OpenListener } from './listeners.ts';
import type { AccessLines, Model, PluginLines } from './model.ts';

type MechanismInput = NonNullable<ConfigInput['authentication']>[number];

interface Access {
  readonly authentication: MechanismInput[];
  readonly allowAnonymous: boolean;
  readonly aclFile: string | null;
  readonly rules: readonly RuleInput[];
  /** A service that is asked what clients may do. */
  readonly http: HttpRulesInput | null;
}

const certificate: MechanismInput = { kind: 'certificate', required: true, replacesUsername: true };
const nobodyYet = '# Nobody gets in yet. sluice passwd FILE NAME adds a user.\n';

/** Completes the configuration and its listeners. */
export function giveAccess(config: ConfigInput, open: readonly OpenListener[], model: Model, findings: Findings): void {
  const known = new Map<AccessLines, Access>();
  const accessOf = (lines: AccessLines) => {
    if (!known.has(lines)) known.set(lines, readAccess(lines, model, findings));
    return known.get(lines)!;
  };
  if (model.isPerListener) givePerListener(config, open, model, accessOf);
  else {
    const { authentication, allowAnonymous, aclFile, rules, http } = accessOf(model.access);
    if (authentication.length > 0) config.authentication = authentication;
    config.allowAnonymous = allowAnonymous;
    if (rules.length > 0 || aclFile !== null || http !== null) {
      config.authorization = {
        ...(rules.length === 0 ? {} : { rules: [...rules] }),
        ...(aclFile === null ? {} : { aclFile }),
        ...(http === null ? {} : { http }),
      };
    }
  }
  for (const { lines, input } of open) {
    const own = lines.last('listener_allow_anonymous');
    if (own !== null) input.allowAnonymous = own.isTrue;
    for (const name of ['use_identity_as_username', 'use_subject_as_username']) {
      const entry = lines.last(name);
      if (entry === null) continue;
      if (!entry.isTrue) entry.same('the user name is that of CONNECT');
      else if (!lines.isTrue('require_certificate')) {
        entry.same('has no effect without `require_certificate true`, as in Mosquitto');
      } else input.authentication = [certificate];
    }
  }
  letInNobodyUnasked(config, open, findings);
  allowDollarTopics(config, [...known.values()], findings);
}

const nameOf = (input: OpenListener['input']) => (input.kind === 'unix' ? input.socket : `port ${input.port}`);

function givePerListener(
  config: ConfigInput,
  open: readonly OpenListener[],
  model: Model,
  accessOf: (lines: AccessLines) => Access,
): void {
  const all = open.map(({ lines, input }) => ({ input, access: accessOf(model.accessOf(lines)) }));
  const files = new Set(all.map(({ access }) => access.aclFile));
  const [only = null] = files;
  const isShared = files.size === 1;
  const hasRules = all.some(({ access }) => access.rules.length > 0 || access.aclFile !== null);
  const rules: RuleInput[] = [];
  for (const { input, access } of all) {
    input.authentication = access.authentication;
    input.allowAnonymous = access.allowAnonymous;
    const listener = listenerPattern(addressOf(input));
    rules.push(...access.rules.map((rule) => ({ ...rule, for: { ...rule.for, listener } })));
    if (access.aclFile !== null && !isShared) input.aclFile = access.aclFile;
    else if (access.aclFile === null && access.rules.length === 0 && hasRules) {
      rules.push({ allow: 'all', for: { listener } });
    }
  }
  if (hasRules) {
    config.authorization = {
      ...(rules.length === 0 ? {} : { rules }),
      ...(isShared && only !== null ? { aclFile: only } : {}),
    };
  }
}

/** Without any authentication, Sluice lets in everybody. */
function letInNobodyUnasked(config: ConfigInput, open: readonly OpenListener[], findings: Findings): void {
  const isClosed = ({ input }: OpenListener) =>
    (input.authentication ?? config.authentication ?? []).length === 0 &&
    !(input.allowAnonymous ?? config.allowAnonymous ?? false);
  const closed = open.filter(isClosed);
  for (const { input } of closed) {
    const file = findings.addFile('passwords', nobodyYet);
    input.authentication = [{ kind: 'password-file', file }];
  }
  if (closed.length > 0) {
    findings.note(
      'allow_anonymous is false and nothing has passwords, so nobody got in to Mosquitto 2, and nobody does here: add users to the file passwords, or say allowAnonymous: true (Mosquitto 1 let in everybody)',
    );
  }
  const mechanisms = (each: OpenListener) => each.input.authentication ?? config.authentication ?? [];
  if (open.every((each) => mechanisms(each).length === 0)) return;
  for (const each of open.filter((one) => mechanisms(one).length === 0)) {
    Object.assign(each.input, { authentication: [], allowAnonymous: true, anyUsername: true });
    findings.note(
      `Whoever connects to ${nameOf(each.input)} may give any user name, as with Mosquitto (anyUsername), and has its rights`,
    );
  }
}

function readAccess({ scope, plugins }: AccessLines, model: Model, findings: Findings): Access {
  const authentication: MechanismInput[] = [];
  const rules: RuleInput[] = [];
  let aclFile = scope.path('acl_file');
  let http: HttpRulesInput | null = null;
  const passwordFile = scope.path('password_file');
  for (const plugin of plugins) {
    const option = pluginFile(plugin);
    if (plugin.file.includes('dynamic_security')) addDynamicSecurity(plugin, authentication, rules, findings);
    else if (plugin.file.includes('mosquitto_password_file') && option !== null) {
      plugin.first.same('`authentication: [{ kind: password-file }]`: the file as it is');
      authentication.push({ kind: 'password-file', file: option });
    } else if (plugin.file.includes('mosquitto_acl_file') && option !== null) {
      plugin.first.same('`authorization.aclFile`: the file as it is');
      aclFile = option;
    } else if (isGoAuth(plugin)) http = addGoAuth(plugin, model.isPerListener, authentication, rules, findings);
    else if (!/persist_sqlite|sparkplug_aware/.test(plugin.file))
      refuseInItsPlace(plugin, authentication, rules, findings);
  }
  if (passwordFile !== null) authentication.push({ kind: 'password-file', file: passwordFile });
  const anonymous = scope.last('allow_anonymous');
  if (scope.last('allow_zero_length_clientid')?.isTrue) {
    scope.last('allow_zero_length_clientid')!.same('an empty client identifier gets one from the broker');
  }
  return { authentication, allowAnonymous: anonymous?.isTrue ?? model.isLocalOnly, aclFile, rules, http };
}

function pluginFile(plugin: PluginLines): string | null {
  const names = ['password_file', 'acl_file'];
  const file = names.map((name) => plugin.optionPath(name)).find((each) => each !== null) ?? null;
  for (const entry of plugin.entries.slice(1)) if (file !== null) entry.same('read for it');
  return file;
}

/** Null: its service is not asked, and nobody gets in by it. */
function addGoAuth(
  plugin: PluginLines,
  isPerListener: boolean,
  authentication: MechanismInput[],
  rules: RuleInput[],
  findings: Findings,
): HttpRulesInput | null {
  const found = goAuthOf(plugin, isPerListener);
  if (typeof found === 'string') {
    refuseInItsPlace(plugin, authentication, rules, findings, found);
    return null;
  }
  plugin.first.same('`authentication: [{ kind: http }]` and `authorization.http`: the service stays as it is');
  for (const entry of plugin.entries.slice(1)) {
    if (isReadOfGoAuth(entry.name)) entry.same('read for it');
    else entry.different('without effect, since the service is asked without the plugin');
  }
  findings.note(
    'mosquitto-go-auth asks for each message that is given out whether its receiver may read it; here, who may not read all of a filter may not subscribe to it',
  );
  if (found.rules.url.startsWith('https:')) {
    findings.note(
      `The certificate of ${new URL(found.rules.url).host} is checked: say \`caFile\` if no public authority vouches for it`,
    );
  }
  authentication.push(found.mechanism);
  return found.rules;
}

function addDynamicSecurity(
  plugin: PluginLines,
  authentication: MechanismInput[],
  rules: RuleInput[],
  findings: Findings,
): void {
  const path = plugin.optionPath('config_file');
  if (path === null || !existsSync(path)) {
    const what = path === null ? 'it has no `plugin_opt_config_file`' : `${path} is not on this machine`;
    refuseInItsPlace(plugin, authentication, rules, findings, `${what}: import it where Mosquitto runs`);
    return;
  }
  const access = dynamicAccess(path, findings);
  authentication.push({
    kind: 'password-file',
    file: findings.addFile('dynamic-security-passwords', access.passwords),
  });
  rules.push(...access.rules);
  plugin.first.different(
    'clients are in the file `dynamic-security-passwords`, roles and groups in `authorization.rules`; they are changed there, and not by `$CONTROL` topics',
  );
  for (const entry of plugin.entries.slice(1)) entry.same('read for it');
}

/** What a plugin decided is not known, so nobody gets more than it might have given. */
function refuseInItsPlace(
  plugin: PluginLines,
  authentication: MechanismInput[],
  rules: RuleInput[],
  findings: Findings,
  why?: string,
): void {
  const name = plugin.file.split('/').at(-1) ?? plugin.file;
  authentication.push({ kind: 'password-file', file: findings.addFile('passwords', nobodyYet) });
  rules.push({ deny: 'all' });
  if (why !== undefined) plugin.first.missing(why);
  findings.note(
    `The plugin ${name} does not decide here, so nobody with a user name gets in and nothing is allowed: write authentication (kind http asks a service) and authorization, and take out "deny: all"`,
  );
}

/** Topics that begin with `$` and stand in an ACL file or a role are meant to be used. */
function allowDollarTopics(config: ConfigInput, all: readonly Access[], findings: Findings): void {
  const files = new Set(all.flatMap(({ aclFile }) => aclFile ?? []));
  const ofFiles = [...files].filter(existsSync).flatMap((file) => {
    return [...readFileSync(file, 'utf8').matchAll(/^[ \t]*(?:topic|pattern)\b.*?[ \t](\$[^/+#\s]+)/gm)].map(
      ([, name]) => name!,
    );
  });
  const ofRules = all
    .flatMap(({ rules }) => rules)
    .flatMap(({ allow, topics = [] }) => (allow === 'publish' ? topics : []))
    .flatMap((topic) => /^\$[^{/+#][^/+#]*/.exec(topic) ?? []);
  const prefixes = new Set([...ofFiles, ...ofRules]);
  if (prefixes.delete('$SYS')) {
    findings.note('Nobody publishes to $SYS topics, whatever the ACL file says; bridges write no state there');
  }
  for (const name of ['$share', '$CONTROL']) prefixes.delete(name);
  if (prefixes.size > 0) config.allowedDollarPrefixes = [...prefixes];
  if (all.length === 0 || all.some(({ aclFile }) => aclFile === null)) {
    findings.note(
      'Clients may not publish to topics that begin with $, unless allowedDollarPrefixes names their first level',
    );
  }
}
