/**
 * How long a text may be that a regular expression is tried on where nothing interrupts it. Backtracking tries each way
 * in which the quantifiers can share the text between them: with q quantifiers, none inside another, at most length^q
 * ways from each place where a match may begin. What repeats more than one character (a group) has no such bound.
 */

/** Half a millisecond, at 5 ns each. */
const stepsMax = 100_000;

const quantifier = /^(?:[*+?]|\{\d+(?:,\d*)?\})\??/;
const character =
  /^(?:\\[dDwWsSnrtfv0]|\\[pP]\{[^}]*\}|\\[^\dkbBpPxuc]|\\x[\da-fA-F]{2}|\\u\{?[\da-fA-F]+\}?|\[(?:\\.|[^\]\\])*\]|[^\\[\]()|*+?{}^$])/s;
const groupStart = /^\((?:\?:|\?<[A-Za-z]\w*>)?(?!\?)/;

/** 0: on none at all. */
export function regexCharactersMax(source: string): number {
  let rest = source;
  let quantifiers = source.startsWith('^') && !source.includes('|') ? 0 : 1;
  let choices = 1;
  while (rest !== '') {
    const single = character.exec(rest)?.[0];
    if (single !== undefined) {
      rest = rest.slice(single.length);
      const repeated = quantifier.exec(rest)?.[0];
      if (repeated === undefined) continue;
      quantifiers++;
      rest = rest.slice(repeated.length);
    } else if (rest[0] === '^' || rest[0] === '$') rest = rest.slice(1);
    else if (/^\\b/i.test(rest)) rest = rest.slice(2);
    else if (rest[0] === '|') {
      choices++;
      rest = rest.slice(1);
    } else if (rest[0] === ')') {
      rest = rest.slice(1);
      if (quantifier.test(rest)) return 0;
    } else {
      // Looking around, referring back, and whatever else is not known here.
      const group = groupStart.exec(rest)?.[0];
      if (group === undefined) return 0;
      rest = rest.slice(group.length);
    }
  }
  const ways = stepsMax / (2 ** (choices - 1) * Math.max(1, source.length / 16));
  return quantifiers === 0 ? Math.floor(ways) : Math.floor(ways ** (1 / quantifiers));
}
