/** An answer as JSON. A page of a thousand items takes some milliseconds: it is written in pieces, a turn for each. */
import type { Turns } from './turns.ts';

const itemsPerTurn = 100;

export async function answerText(answer: unknown, turns: Pick<Turns, 'next'>): Promise<string> {
  await turns.next();
  if (!isLongPage(answer)) return JSON.stringify(answer);
  const { items, ...others } = answer;
  const pieces: string[] = [];
  for (let at = 0; at < items.length; at += itemsPerTurn) {
    if (at > 0) await turns.next();
    pieces.push(JSON.stringify(items.slice(at, at + itemsPerTurn)).slice(1, -1));
  }
  const rest = JSON.stringify(others).slice(1);
  return `{"items":[${pieces.join(',')}]${rest === '}' ? '' : ','}${rest}`;
}

const isLongPage = (answer: unknown): answer is { readonly items: readonly unknown[] } => {
  const items = typeof answer === 'object' && answer !== null && 'items' in answer ? answer.items : null;
  return Array.isArray(items) && items.length > itemsPerTurn;
};
