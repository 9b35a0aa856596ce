/**
 * Why a topic filter does not match a topic name, in words, and how far it is from matching: for whoever asks why a
 * message did not arrive.
 */
import { matches } from './topic.ts';

export interface TopicDifference {
  /** `level 3 is "+" in the filter and missing in the topic`. */
  readonly text: string;
  /** The smaller, the more likely a slip; those of different filters can be compared. */
  readonly distance: number;
}

/** Topics of more levels are looked at no closer: such slips are made in short ones. */
const levelsMax = 64;

/** Null: it matches. The filter is without `$share/{name}/`. */
export function topicDifference(filter: string, topic: string): TopicDifference | null {
  if (matches(filter, topic)) return null;
  const wanted = filter.split('/', levelsMax);
  const found = topic.split('/', levelsMax);
  return (
    hiddenByDollar(filter, topic) ??
    slashAtOneEnd(filter, topic) ??
    sameButFor(filter, topic, wanted, found) ??
    starForWildcard(filter, topic) ??
    byLevel(wanted, found)
  );
}

/** [MQTT5 4.7.2-1] */
function hiddenByDollar(filter: string, topic: string): TopicDifference | null {
  if (!topic.startsWith('$') || !/^[+#]/.test(filter)) return null;
  const text = `a filter that begins with a wildcard does not match topics that begin with $: it has to begin with ${topic.split('/')[0]}`;
  return { text, distance: 1 };
}

function slashAtOneEnd(filter: string, topic: string): TopicDifference | null {
  const difference = (text: string) => ({ text, distance: 1 });
  if (filter.startsWith('/') && matches(filter, `/${topic}`))
    return difference('the filter wants a slash at the beginning, the topic has none');
  if (filter.endsWith('/') && matches(filter, `${topic}/`))
    return difference('the filter wants a slash at the end, the topic has none');
  if (topic.startsWith('/') && matches(filter, topic.slice(1)))
    return difference('the topic begins with a slash, the filter does not');
  if (topic.endsWith('/') && topic.length > 1 && matches(filter, topic.slice(0, -1)))
    return difference('the topic ends with a slash, the filter does not');
  return null;
}

const folds: readonly { readonly text: string; readonly fold: (level: string) => string }[] = [
  { text: 'upper and lower case differ', fold: (level) => level.toLowerCase() },
  { text: 'white space differs', fold: (level) => level.trim() },
  { text: 'characters look the same and are not (Unicode normalization)', fold: (level) => level.normalize('NFC') },
];

function sameButFor(
  filter: string,
  topic: string,
  wanted: readonly string[],
  found: readonly string[],
): TopicDifference | null {
  const first = wanted.findIndex((level, index) => level !== '+' && level !== found[index]);
  const other = found[first];
  if (other === undefined) return null;
  const all = (text: string, fold: (level: string) => string) => text.split('/').map(fold).join('/');
  for (const { text, fold } of folds) {
    if (fold(wanted[first]!) !== fold(other) || !matches(all(filter, fold), all(topic, fold))) continue;
    return { text: `${text} in level ${first + 1}`, distance: 1 };
  }
  return null;
}

function starForWildcard(filter: string, topic: string): TopicDifference | null {
  if (!filter.includes('*')) return null;
  const meant = filter
    .split('/')
    .map((level, index, all) => (level !== '*' ? level : index === all.length - 1 ? '#' : '+'))
    .join('/');
  return matches(meant, topic) ? { text: '* is no wildcard of MQTT: + and # are', distance: 1 } : null;
}

function byLevel(wanted: readonly string[], found: readonly string[]): TopicDifference {
  const isOpen = wanted.at(-1) === '#';
  const levels = isOpen ? wanted.slice(0, -1) : wanted;
  const isSame = (index: number) => levels[index] === '+' || levels[index] === found[index];
  const common = Math.min(levels.length, found.length);
  const others = Array.from({ length: common }, (_, index) => index).filter((index) => !isSame(index));
  const surplus = isOpen ? Math.max(0, levels.length - found.length) : Math.abs(levels.length - found.length);
  const distance = 1 + others.length + surplus;
  const [first] = others;
  if (first !== undefined) {
    return {
      text: `level ${first + 1} is "${levels[first]}" in the filter and "${found[first]}" in the topic`,
      distance,
    };
  }
  if (levels.length > found.length) {
    const text = `level ${found.length + 1} is "${levels[found.length]}" in the filter and missing in the topic`;
    return { text, distance };
  }
  const text = `the filter ends at level ${levels.length}, and the topic goes on with "${found[levels.length]}"`;
  return { text, distance };
}

/** Topics that somebody may have meant who wrote this one: with a slash more or less, or in lower case. */
export function topicsNear(topic: string): readonly string[] {
  const near = [
    topic.startsWith('/') ? topic.slice(1) : `/${topic}`,
    topic.endsWith('/') ? topic.slice(0, -1) : `${topic}/`,
    topic.toLowerCase(),
    topic.trim(),
    topic.slice(0, Math.max(0, topic.lastIndexOf('/'))),
    `${topic}/x`,
  ];
  return [...new Set(near)].filter((each) => each !== '' && each !== topic);
}
