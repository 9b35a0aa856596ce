/**
 * A text of at most so many characters. What is cut ends with an ellipsis, and has memory of its own: a slice would
 * keep all of the text that it was cut from.
 */
export function cutText(text: string, charactersMax: number): string {
  if (text.length <= charactersMax) return text;
  return Buffer.from(`${text.slice(0, charactersMax - 1)}…`).toString();
}
