/**
 * Configurations of Mosquitto drawn at random, imported, and run on both brokers: the same clients get in, and may
 * publish and receive the same. SEED draws others, RUNS more.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../scripts/ports.ts';
import { hasMosquitto, startMosquitto } from '../support/mosquitto.ts';
import { type Decision, decisions, filter, level, startImported, topics } from '../support/mosquitto-decisions.ts';

const seed = Number(process.env.SEED ?? 1);
const numRuns = Number(process.env.RUNS ?? 12);

let parent: string;
beforeAll(() => {
  parent = mkdtempSync(join(tmpdir(), 'sluice-import-'));
  if (!hasMosquitto) return;
  for (const name of ['ada', 'bob', 'source']) {
    const options = [...(name === 'ada' ? ['-c'] : []), '-b', join(parent, 'passwords')];
    execFileSync('mosquitto_passwd', [...options, name, 'right']);
  }
});
afterAll(() => rmSync(parent, { recursive: true }));

const newFolder = () => mkdtempSync(join(parent, 'draw-'));

/** Of Mosquitto with these lines, and of Sluice with what it makes of them. */
async function both(
  folder: string,
  lines: readonly string[],
  { otherPorts = [], filters }: { otherPorts?: readonly number[]; filters?: readonly string[] } = {},
): Promise<{ expected: Decision[]; found: Decision[]; notes: readonly string[] }> {
  const mosquitto = await startMosquitto(folder, lines);
  const ports = [mosquitto.port, ...otherPorts];
  const expected = await decisions(ports, filters).finally(() => mosquitto.stop());
  const { sluice, notes } = await startImported(folder);
  expect(sluice.listeners.map(({ port }) => port)).toEqual(ports);
  return { expected, found: await decisions(ports, filters).finally(() => sluice.close()), notes };
}

const patternFilter = fc
  .array(fc.oneof(level, fc.constantFrom('%u', '%c')), { minLength: 1, maxLength: 3 })
  .map((levels) => levels.join('/'));
const access = fc.constantFrom('', 'read ', 'write ', 'readwrite ', 'deny ');
const aclLine = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(access, filter).map(([what, topic]) => `topic ${what}${topic}`) },
  { weight: 2, arbitrary: fc.tuple(access, patternFilter).map(([what, topic]) => `pattern ${what}${topic}`) },
  { weight: 2, arbitrary: fc.constantFrom('user ada', 'user bob', '# a comment', '') },
  { weight: 1, arbitrary: access.map((what) => `topic ${what}$x/#`) },
);
const accessSettings = fc.record({
  anonymous: fc.option(fc.boolean()),
  hasPasswords: fc.boolean(),
  acl: fc.option(fc.array(aclLine, { maxLength: 14 }), { freq: 4 }),
});
const configuration = fc.oneof(
  accessSettings.map((one) => [one]),
  fc.tuple(accessSettings, accessSettings).map((both) => [...both]),
);
type AccessDraw = ArbitraryOf<typeof accessSettings>;
type ArbitraryOf<A> = A extends fc.Arbitrary<infer T> ? T : never;

function linesOf({ anonymous, hasPasswords, acl }: AccessDraw, aclFile: string): string[] {
  const lines: string[] = [];
  if (anonymous !== null) lines.push(`allow_anonymous ${anonymous}`);
  if (hasPasswords) lines.push(`password_file ${join(parent, 'passwords')}`);
  if (acl === null) return lines;
  writeFileSync(aclFile, `${[...acl, 'user source', 'topic #', 'topic $x/#'].join('\n')}\n`, { mode: 0o644 });
  return [...lines, `acl_file ${aclFile}`];
}

async function compareAccess(listeners: readonly AccessDraw[]): Promise<void> {
  const folder = newFolder();
  const [first, second] = listeners.map((draw, index) => linesOf(draw, join(folder, `acl${index}`)));
  if (second === undefined) {
    const { expected, found } = await both(folder, first!);
    return void expect(found).toEqual(expected);
  }
  const other = await freePort();
  const lines = ['per_listener_settings true', ...first!, `listener ${other} 127.0.0.1`, ...second];
  const { expected, found } = await both(folder, lines, { otherPorts: [other] });
  expect(found).toEqual(expected);
}

/** Where Debian has it. */
const dynamicSecurity = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/mosquitto_dynamic_security.so`;

const roleNames = ['r1', 'r2', 'r3'] as const;
const priority = fc.integer({ min: 0, max: 9 });
const acl = fc.record({
  acltype: fc.constantFrom('publishClientSend', 'publishClientReceive', 'subscribePattern', 'subscribeLiteral'),
  topic: filter,
  priority,
  allow: fc.boolean(),
});
const acls = fc.array(acl, { maxLength: 7 }).map(withoutTwins);
const roles = fc.uniqueArray(fc.record({ rolename: fc.constantFrom(...roleNames), priority }), {
  selector: (each) => each.priority,
});
const dynamic = fc.record({
  defaultACLAccess: fc.record({
    publishClientSend: fc.boolean(),
    publishClientReceive: fc.boolean(),
    subscribe: fc.boolean(),
    unsubscribe: fc.boolean(),
  }),
  acls: fc.tuple(acls, acls, acls),
  ofAda: roles,
  ofBob: roles,
  ofGroup: roles,
  ofAnonymous: fc.option(roles),
});
type DynamicDraw = ArbitraryOf<typeof dynamic>;
type Acl = ArbitraryOf<typeof acl>;

/** One topic stands once among those of its type; of one priority, which comes first is up to Mosquitto. */
function withoutTwins(all: readonly Acl[]): Acl[] {
  const seen = new Set<string>();
  const isNew = (key: string) => !seen.has(key) && seen.add(key) !== undefined;
  return all.filter(({ acltype, topic, priority: own }) => isNew(`${acltype} ${topic}`) && isNew(`${acltype} ${own}`));
}

function dynamicFile({ defaultACLAccess, acls: ofRoles, ofAda, ofBob, ofGroup, ofAnonymous }: DynamicDraw): object {
  const everything = ['publishClientSend', 'publishClientReceive', 'subscribePattern'].flatMap((acltype) =>
    ['#', '$x/#'].map((topic, index) => ({ acltype, topic, priority: index, allow: true })),
  );
  return {
    defaultACLAccess,
    clients: [
      { ...credentials('ada'), roles: withoutRepeats(ofAda) },
      { ...credentials('bob'), roles: withoutRepeats(ofBob) },
      { ...credentials('source'), roles: [{ rolename: 'everything' }] },
    ],
    groups: [
      { groupname: 'g', roles: withoutRepeats(ofGroup), clients: [{ username: 'ada' }] },
      { groupname: 'anonymous', roles: withoutRepeats(ofAnonymous ?? []) },
    ],
    ...(ofAnonymous === null ? {} : { anonymousGroup: 'anonymous' }),
    roles: [
      ...ofRoles.map((own, index) => ({ rolename: roleNames[index], acls: own })),
      { rolename: 'everything', acls: everything },
    ],
  };
}

const withoutRepeats = (all: ArbitraryOf<typeof roles>) =>
  all.filter((one, index) => all.findIndex(({ rolename }) => rolename === one.rolename) === index);

function credentials(username: string): object {
  const line = readFileSync(join(parent, 'passwords'), 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${username}:`));
  const [, , iterations, salt, password] = line!.split('$');
  return { username, password, salt, iterations: Number(iterations) };
}

/** Nobody gets more by the rules than by the roles, and as much unless the report says what is narrower. */
async function compareDynamic(draw: DynamicDraw): Promise<void> {
  const folder = newFolder();
  const file = join(folder, 'dynamic-security.json');
  writeFileSync(file, JSON.stringify(dynamicFile(draw)), { mode: 0o644 });
  const lines = ['allow_anonymous true', `plugin ${dynamicSecurity}`, `plugin_opt_config_file ${file}`];
  const drawn = draw.acls.flat().map(({ topic }) => topic);
  // Without topics that begin with $: with 2.0, # of a role covers them, and with 2.1 it does not.
  const filters = [...new Set(['#', ...drawn, ...topics])].filter((each) => !each.startsWith('$'));
  const { expected, found, notes } = await both(folder, lines, { filters });

  const withoutReceived = (all: readonly Decision[]) => all.map((each) => ({ ...each, received: [] }));
  expect(withoutReceived(found)).toEqual(withoutReceived(expected));
  const more = found.flatMap(({ clientId, received }, index) =>
    received.filter((topic) => !expected[index]!.received.includes(topic)).map((topic) => `${clientId} gets ${topic}`),
  );
  expect(more).toEqual([]);
  if (!notes.some((note) => note.startsWith('Stricter'))) expect(found).toEqual(expected);
}

describe.runIf(hasMosquitto)('what is imported', () => {
  test('decides as Mosquitto does by passwords and ACL files', { timeout: 300_000 }, async () => {
    await fc.assert(fc.asyncProperty(configuration, compareAccess), { seed, numRuns, endOnFailure: true });
  });

  test.runIf(existsSync(dynamicSecurity))(
    'decides as the dynamic security plugin does',
    { timeout: 300_000 },
    async () => {
      await fc.assert(fc.asyncProperty(dynamic, compareDynamic), { seed, numRuns, endOnFailure: true });
    },
  );
});
