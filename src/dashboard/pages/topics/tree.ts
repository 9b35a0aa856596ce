/** A part of the tree of topics, live. */
import { useState } from 'preact/hooks';
import type { AnswerOf } from '../../api/client.ts';
import { linkTo } from '../../app/address.tsx';
import { useEvents } from '../../app/queries.ts';

export type Tree = AnswerOf<'topics watch'>;
export type TopicItem = Tree['items'][number];

/** What a place below a topic is called in the address: the topic with a slash behind it; absent: first levels. */
const placeOf = (topic: string) => `${topic}/`;
/** `order`: as the levels above it are ordered. */
export const linkToTopic = (topic: string, order?: string) => linkTo(['topics'], { below: placeOf(topic), order });

/** What is directly below a topic, as long as it is shown. */
export function useTree(prefix: string | null, contains: string): { tree: Tree | undefined; error: Error | null } {
  const key = JSON.stringify([prefix, contains]);
  const [state, setState] = useState<{ key: string; tree?: Tree; error: Error | null }>({ key, error: null });
  useEvents(
    'topics watch',
    { prefix, contains },
    {
      onEvent: (tree) => setState({ key, tree, error: null }),
      onError: (error) => setState({ key, error }),
    },
  );
  return state.key === key ? { tree: state.tree, error: state.error } : { tree: undefined, error: null };
}
