/** By way of which brokers a filter has come, and to which it is told. */
import { expect, test } from 'vitest';
import { onePerOrigin, originsMax, pathsAt, pathsText, SubscriberPaths } from '../../../src/broker/subscriber-paths.ts';

const aSession = () => ({ isEnded: false }) as never;

test('a filter is told by a path that has not been at the other broker, nor here, and ends here', () => {
  expect(SubscriberPaths.toward(['a,b', 'c'], 'own', 'd')).toEqual(['a,b,own', 'c,own']);
  expect(SubscriberPaths.toward(['a,b', 'c'], 'own', 'b')).toEqual(['c,own']);
  expect(SubscriberPaths.toward(['a,own,b', 'c'], 'own', 'c')).toBeNull();
  expect(SubscriberPaths.toward([], 'own', null)).toBeNull();
});

test('a filter goes round no further than 32 brokers', () => {
  const long = Array.from({ length: 32 }, (_, i) => `b${i}`).join(',');
  expect(SubscriberPaths.toward([long], 'own', 'other')).toBeNull();
});

test('of each broker with subscribers the shortest path is told; of very many, as if its own clients wanted it', () => {
  expect(onePerOrigin(['a,b,c', 'a,d', 'e'])).toEqual(['a,d', 'e']);
  const many = Array.from({ length: originsMax + 1 }, (_, i) => `b${i}`);
  expect(onePerOrigin(many)).toBeNull();
  expect(SubscriberPaths.toward(many, 'own', 'other')).toEqual(['own']);
});

test('paths of the filters of a SUBSCRIBE are read as they were written, and what is no path is none', () => {
  const text = pathsText([['a', 'b,c'], [], ['d']]);
  expect([0, 1, 2, 3].map((at) => pathsAt(text, at))).toEqual([['a', 'b,c'], null, ['d'], null]);
  for (const wrong of [undefined, '', 'a b,,c', 'a  b', 'a/b', Array.from({ length: 9 }, () => 'a').join(' ')]) {
    expect(pathsAt(wrong, 0), wrong).toBeNull();
  }
});

test('paths are remembered by session and filter, and whoever watches hears of each change and of nothing else', () => {
  const paths = new SubscriberPaths();
  const [one, other] = [aSession(), aSession()];
  let changes = 0;
  const stop = paths.watch(() => changes++);
  paths.set(one, 'a/#', ['x']);
  paths.set(one, 'a/#', ['x']);
  paths.set(other, 'a/#', null);
  expect([paths.of(one, 'a/#'), paths.of(other, 'a/#'), changes, paths.areThere]).toEqual([['x'], null, 1, true]);

  paths.forget(one);
  paths.forget(one);
  expect([paths.of(one, 'a/#'), changes, paths.areThere]).toEqual([null, 2, false]);
  stop();
  paths.set(one, 'a/#', ['x']);
  expect(changes).toBe(2);
});

test('what does not fit into the memory for paths counts as a client of its own, until sessions have ended', () => {
  const paths = new SubscriberPaths();
  const longest = Array.from({ length: 32 }, () => 'b'.repeat(32)).join(',');
  const session = { isEnded: false };
  let count = 0;
  while (paths.of(session as never, `f${count - 1}`) !== null || count === 0) {
    paths.set(session as never, `f${count++}`, [longest]);
    expect(count).toBeLessThan(20_000);
  }
  const late = aSession();
  paths.set(late, 'a', ['x']);
  paths.set(late, 'b', [longest]);
  expect(paths.of(late, 'b')).toBeNull();

  session.isEnded = true;
  paths.set(late, 'b', [longest]);

  expect(paths.of(late, 'b')).toEqual([longest]);
});
