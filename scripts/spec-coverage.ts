/**
 * Which normative statements have a test, and which need none. Run by `npm run spec:coverage` and, as a test, by `npm
 * test`.
 *
 * `test/spec/statements.tsv` names every statement of both standards; those that no test of a server can show have a
 * reason there. A test in `test/spec/` claims a statement by its id in the title: `[MQTT5 3.3.2-18]`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');

export interface Statement {
  /** As in titles: `MQTT5 3.3.2-18`. */
  readonly id: string;
  /** Why no test can claim it; empty if one must. */
  readonly reason: string;
}

export function readStatements(): Statement[] {
  const rows = readFileSync(join(root, 'test/spec/statements.tsv'), 'utf8').trim().split('\n').slice(1);
  return rows.map((row) => {
    const [id = '', reason = ''] = row.split('\t');
    return { id, reason };
  });
}

/** Comments, which claim nothing, and string literals; `unrun` is set for the title of a test that is not run. */
const literals =
  /\/\/.*|\/\*[\s\S]*?\*\/|(?<unrun>\.(?:skip|todo)\(\s*)?(?<quote>['"`])(?<text>(?:\\.|(?!\k<quote>)[^\n\\])*)\k<quote>/g;

/** The ids in the titles of the tests over real sockets. */
export function claimedIds(): Set<string> {
  const folder = join(root, 'test/spec');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.test.ts'));
  const text = files.map((file) => readFileSync(join(folder, file), 'utf8')).join('\n');
  const titles = [...text.matchAll(literals)].flatMap(({ groups }) => (groups?.unrun ? [] : (groups?.text ?? [])));
  const ids = titles.flatMap((title) => [...title.matchAll(/\[(MQTT[35] [\d.]+-\d+)\]/g)].map((match) => match[1]!));
  return new Set(ids);
}

export function coverage() {
  const statements = readStatements();
  const claimed = claimedIds();
  const known = new Set(statements.map(({ id }) => id));
  return {
    covered: statements.filter(({ id }) => claimed.has(id)),
    excluded: statements.filter(({ id, reason }) => reason !== '' && !claimed.has(id)),
    missing: statements.filter(({ id, reason }) => reason === '' && !claimed.has(id)),
    unknown: [...claimed].filter((id) => !known.has(id)),
  };
}
