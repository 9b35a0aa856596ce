/**
 * Mosquitto's `acl_file`, with the decisions of Mosquitto 2.0:
 *
 * - A client is subject to the lines of its `user`, or to those before the first `user` if it has no username, and then
 *   to the
 *   `pattern` lines, which are for everybody. In both, `deny` comes before everything else, whatever the order.
 * - Every subscription is granted; what the client may not read is not delivered.
 * - If there are patterns, a username or client id with `+` or `#` is refused what its `topic` lines do not give it.
 * - `$share/…` is no topic to publish to.
 *
 * Lines are read as Mosquitto does, too: words are parted by spaces, a comment begins at the start of its line.
 */
import { parseFilter } from '../../protocol/topic.ts';
import { AuthorizationError } from './errors.ts';
import { Action, type RuleDraft, type RuleKey } from './rule.ts';
import { parseMosquittoPattern, parsePattern, type TopicPattern } from './topic-pattern.ts';

const accesses: Readonly<Record<string, number>> = {
  read: Action.receive,
  write: Action.publish,
  readwrite: Action.publish | Action.receive,
  deny: Action.publish | Action.receive,
};

const common = {
  patterns: null,
  key: null,
  test: null,
  retain: null,
  maxQoS: 2,
  shared: null,
  isMosquitto: true,
} as const;

interface Line extends RuleDraft {
  readonly isPattern: boolean;
}

/** `file`: its name, for messages. Throws an AuthorizationError. */
export function parseAclFile(text: string, file: string): RuleDraft[] {
  const lines: Line[] = [];
  const problems: string[] = [];
  let key: RuleKey = { by: 'anonymous' };
  for (const [index, raw] of text.split('\n').entries()) {
    const line = withoutSpacesBehind(raw);
    if (line.startsWith('#')) continue;
    const at = (part: string) => `${file}:${index + 1}:${line.length - part.length + 1}`;
    const [word, rest] = cut(line);
    if (word === '') continue;
    if (word === 'user') {
      if (rest === '') problems.push(`${at('')}: expected a username after "user"`);
      else key = { by: 'username', names: [rest] };
    } else if (word === 'topic' || word === 'pattern') {
      const read = readTopic(line, rest, at);
      if (typeof read === 'string') problems.push(read);
      else lines.push(toLine(word, read, key, `${file}:${index + 1}: ${line.trim()}`));
    } else {
      const hint = word.startsWith('#') ? '; a comment begins at the start of its line' : '';
      const found = JSON.stringify(word);
      problems.push(`${at(line.replace(/^ +/, ''))}: expected "user", "topic" or "pattern", found ${found}${hint}`);
    }
  }
  if (problems.length > 0) throw new AuthorizationError(problems.join('\n'));
  return inOrder(lines, file);
}

/** Not by a regular expression: one would look for the end from each of many spaces. */
function withoutSpacesBehind(line: string): string {
  let end = line.length;
  while (end > 0 && ' \t\r\v\f'.includes(line[end - 1]!)) end--;
  return line.slice(0, end);
}

/** The first word, and what follows it without spaces around. */
function cut(text: string): [word: string, rest: string] {
  const trimmed = text.replace(/^ +/, '');
  const end = trimmed.indexOf(' ');
  return end === -1 ? [trimmed, ''] : [trimmed.slice(0, end), trimmed.slice(end).replace(/^[ \t\v\f]+/, '')];
}

/** What follows `topic` or `pattern`; a text says what is wrong with it. */
function readTopic(
  line: string,
  rest: string,
  at: (part: string) => string,
): { access: string; topic: string } | string {
  if (rest === '') return `${at('')}: expected a topic`;
  const [first, others] = cut(rest);
  // Alone, it is the topic, even if it is called `read`.
  const [access, topic] = others === '' ? ['readwrite', first] : [first, others];
  if (!Object.hasOwn(accesses, access)) {
    const names = Object.keys(accesses).join(', ');
    return `${at(rest)}: expected one of ${names} before a topic with spaces, found "${access}"`;
  }
  if (!isFilter(topic)) return `${at(topic)}: expected a topic filter, found "${topic}"; see ${line.trim()}`;
  return { access, topic };
}

/** With `$share` in front it can match nothing, but Mosquitto takes it. */
const isFilter = (topic: string) => parseFilter(topic.replace(/^\$share\//, 'share/')) !== null;

function toLine(
  word: 'topic' | 'pattern',
  { access, topic }: { access: string; topic: string },
  user: RuleKey,
  name: string,
): Line {
  const isPattern = word === 'pattern';
  const pattern: TopicPattern = isPattern ? parseMosquittoPattern(topic) : topic.split('/');
  const key = isPattern ? null : user;
  const actions = accesses[access]!;
  const says = JSON.stringify([word, access, topic, key]);
  return { ...common, isAllow: access !== 'deny', actions, patterns: [pattern], key, name, says, isPattern };
}

function inOrder(lines: readonly Line[], file: string): RuleDraft[] {
  const topics = lines.filter(({ isPattern }) => !isPattern);
  const patterns = lines.filter(({ isPattern }) => isPattern);
  const refusalsFirst = (all: readonly Line[]) => [
    ...all.filter(({ isAllow }) => !isAllow),
    ...all.filter(({ isAllow }) => isAllow),
  ];
  const granted = { ...common, isAllow: true, actions: Action.subscribe };
  const readAndWrite = Action.publish | Action.receive;
  const refused = { ...common, isAllow: false, actions: readAndWrite };
  const danger: RuleDraft = {
    ...refused,
    test: ({ username, clientId }) => /[+#]/.test(clientId) || (username !== null && /[+#]/.test(username)),
    name: `${file}: its patterns are not for a client whose username or client id holds + or #`,
    says: 'names for patterns',
  };
  const subscriptions = `${file}: with an ACL file, every subscription is granted; what may be read is delivered`;
  const shared = `${file}: $share/… is for subscriptions only`;
  return [
    { ...granted, name: subscriptions, says: 'subscriptions' },
    { ...refused, patterns: [parsePattern('$share/#')], name: shared, says: 'shared' },
    ...refusalsFirst(topics),
    ...(patterns.length === 0 ? [] : [danger]),
    ...refusalsFirst(patterns),
  ];
}
