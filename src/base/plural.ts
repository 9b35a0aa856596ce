/** `1 client`, `2 clients`. `noun`: one of them; `more`: several, where that is not the noun with an s. */
export const plural = (count: number, noun: string, more = `${noun}s`): string =>
  `${count} ${count === 1 ? noun : more}`;
