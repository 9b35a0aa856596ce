import { expect, test } from 'vitest';
import { FrameError } from '../../../src/cluster/frame.ts';
import { decodeShared, encodeShared, type SharedHeader } from '../../../src/cluster/shared-frame.ts';

const header: SharedHeader = {
  changes: [
    { group: 'team/a/#', clientId: 'ä', before: null, after: 0 },
    { group: 'team/b', clientId: 'team/b', before: 2, after: null },
  ],
  handed: [
    { group: 'team/b', giver: 'ä', refused: ['x', 'y'], places: [{ sequence: 2 ** 50, index: 7 }] },
    { group: 'team/a/#', giver: 'x', refused: [], places: [] },
  ],
  copy: { asOf: 9, part: 0, parts: 2, members: [['team/b', 'x', 4]] },
};

test('what a frame says of shared subscriptions is read as it was written', () => {
  expect(decodeShared(encodeShared(header), 2)).toEqual(header);
  expect(decodeShared(encodeShared({ ...header, copy: null }), 2)).toEqual({ ...header, copy: null });
});

test.each([
  ['no JSON', '{'],
  ['no names', JSON.stringify({ changes: [], handed: [] }).replace('[]', '[[0,0,null,0]]')],
  [
    'another standing',
    encodeShared({ ...header, handed: [] })
      .toString()
      .replace('null,0]', 'null,9]'),
  ],
  ['messages that are not there', encodeShared(header).toString()],
])('what is not as it must be is refused: %s', (_, json) => {
  expect(() => decodeShared(Buffer.from(json), 0)).toThrow(FrameError);
});
