/** What Aedes says of a topic that cannot be used, in its words, which programs look for. */

export function levelsOf(topic: string): number {
  let levels = 1;
  for (let at = topic.indexOf('/'); at !== -1; at = topic.indexOf('/', at + 1)) levels++;
  return levels;
}

const tooManyLevels = () => new Error('topic has too many levels');

/** Null: nothing speaks against it. */
export function faultOfName(topic: string, levelsMax: number): Error | null {
  if (topic === '') return new Error('empty topic not allowed in PUBLISH');
  if (topic.includes('#')) return new Error('# is not allowed in PUBLISH');
  if (topic.includes('+')) return new Error('+ is not allowed in PUBLISH');
  return levelsOf(topic) > levelsMax ? tooManyLevels() : null;
}

/** The same of a filter. */
export function faultOfFilter(filter: string, packet: 'SUBSCRIBE' | 'UNSUBSCRIBE', levelsMax: number): Error | null {
  if (typeof filter !== 'string' || filter === '') return new Error(`impossible to ${packet} to an empty topic`);
  if (levelsOf(filter) > levelsMax) return tooManyLevels();
  const levels = filter.split('/');
  for (const [index, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || index < levels.length - 1)) {
      return new Error(`# is only allowed in ${packet} in the last position`);
    }
    if (level.includes('+') && level !== '+') return new Error(`+ is only allowed in ${packet} between /`);
  }
  return null;
}
