/**
 * Commands to a running broker, as `contracts/commands.ts` declares them. What each is asked for on the command line is
 * in `command-line.ts`, and how its answer is written in `printing.ts` and `phrases.ts`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { nearest } from '../base/nearest.ts';
import { type CommandName, checkedRequest, commands, type SingleName, type StreamName } from '../contracts/commands.ts';
import { RequestError } from '../contracts/failures.ts';
import { CommandLine } from './command-line.ts';
import { type Command, type Io, writeLine } from './io.ts';
import { itemLines } from './item-lines.ts';
import { emptyText, leftOutText, missingText, notes, phrases, refuses, shownByDefault } from './phrases.ts';
import { columnsOf, linesOf, Table } from './printing.ts';
import {
  callBroker,
  type RunningBroker,
  runningBroker,
  runningHelp,
  runningOptions,
  streamFromBroker,
} from './running.ts';
import { CommandError, readOptions, wholeNumber } from './usage.ts';

const pageItems = 1_000;
/** Of a list whose pages begin behind a number. */
const numberedPageItems = 200;
const watchMs = 2_000;

/** By the first word of a command line, and then by what follows it: empty, `list`, `key create`. */
const words = new Map<string, Map<string, CommandName>>();
for (const name of Object.keys(commands) as CommandName[]) {
  const [word = '', ...more] = new CommandLine(name).words.split(' ');
  const verbs = words.get(word) ?? new Map<string, CommandName>();
  words.set(word, verbs.set(more.join(' '), name));
}

/** A line for each, but for those that have a command of their own by that word. */
export function brokerHelp(others: readonly string[]): string {
  const lines = [...words].map(([word, verbs]) => {
    if (others.includes(word)) return '';
    const name = usual(verbs) ?? [...verbs.values()][0]!;
    const more = [...verbs.keys()].filter((verb) => verb !== '' && verbs.get(verb) !== name);
    const rest = more.length === 0 ? '' : `; also ${more.join(', ')}`;
    return `  ${`sluice ${word}`.padEnd(29)}  ${commands[name].what}${rest}\n`;
  });
  return lines.join('');
}

/** What the first word alone means. */
const usual = (verbs: ReadonlyMap<string, CommandName>) => verbs.get('') ?? verbs.get('list');

/** First words of commands to a running broker. */
export const brokerWords: readonly string[] = [...words.keys()];

/** Null if it is none. */
export function brokerCommand(word: string): Command | null {
  const verbs = words.get(word);
  return verbs === undefined ? null : (argv, io) => run(word, verbs, argv, io);
}

async function run(
  word: string,
  verbs: ReadonlyMap<string, CommandName>,
  argv: readonly string[],
  io: Io,
): Promise<void> {
  const isVerb = (count: number) => argv.length >= count && verbs.has(argv.slice(0, count).join(' '));
  const count = [2, 1].find(isVerb) ?? 0;
  const name = count > 0 ? verbs.get(argv.slice(0, count).join(' ')) : usual(verbs);
  const [first] = argv;
  if (count === 0 && argv.includes('--help')) return void io.stdout.write(helpOf(word, verbs));
  const isMeant = count > 0 || first === undefined || first.startsWith('-');
  if (name === undefined || (!isMeant && !new CommandLine(name).takesArguments)) throw unknownVerb(word, verbs, argv);
  await new BrokerCommand(name).run(argv.slice(count), io);
}

function unknownVerb(word: string, verbs: ReadonlyMap<string, CommandName>, argv: readonly string[]): CommandError {
  const known = [...verbs.keys()].filter((verb) => verb !== '');
  const options = argv.findIndex((each) => each.startsWith('-'));
  const given = argv.slice(0, options < 0 ? 2 : Math.min(options, 2));
  const suggestion = given
    .map((_, index) => nearest(given.slice(0, given.length - index).join(' '), known))
    .find(Boolean);
  const hint = suggestion === undefined ? '' : ` Did you mean ${suggestion}?`;
  const [first] = given;
  const what = first === undefined ? `sluice ${word} wants one word more` : `There is no sluice ${word} ${first}`;
  return new CommandError(`${what}.${hint} It takes: ${known.join(', ')}; see sluice ${word} --help`, 2);
}

/** What can be answered without a broker, from a configuration. Loaded when asked for. */
const offline: { readonly [Name in CommandName]?: () => Promise<Offline> } = {
  'access explain': async () => (await import('./access.ts')).explainAccess,
};
export type Offline = (request: Record<string, unknown>, file: string, io: Io) => Promise<object>;

class BrokerCommand {
  readonly #name: CommandName;
  readonly #line: CommandLine;

  constructor(name: CommandName) {
    this.#name = name;
    this.#line = new CommandLine(name);
  }

  async run(argv: readonly string[], io: Io): Promise<void> {
    const line = this.#line;
    const { values, positionals } = readOptions(line.words, argv, this.#parseOptions(), { allowNegative: true });
    if (values.help === true) return void io.stdout.write(`${line.help().join('\n')}\n\n${sharedHelp([line])}`);
    const request = await line.requestOf(values, positionals, io);
    this.#check(request);
    const how = { isJson: values.json === true, limit: values.limit as string | undefined, request, io };
    const config = values.config as string | undefined;
    const explainOffline = config === undefined ? undefined : await offline[this.#name]?.();
    if (explainOffline !== undefined) return this.#write(await explainOffline(request, config!, io), how);
    const broker = {
      ...runningBroker(values as Record<string, string | undefined>, io),
      explain: line.explain.bind(line),
    };
    if (line.declaration.isStream) return this.#follow(this.#name as StreamName, broker, how);
    if (line.declaration.cli?.follow !== undefined) return this.#makeAndFollow(broker, values.background === true, how);
    const show = () => (line.isPaged ? this.#showList(broker, how) : this.#showOne(broker, how));
    if (values.watch !== true) return show();
    await this.#again(show, how);
  }

  #check(request: Record<string, unknown>): void {
    try {
      checkedRequest(this.#name, request);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      throw new CommandError(this.#line.explain(error.faults, request), 2);
    }
  }

  #parseOptions() {
    return {
      ...this.#line.parseOptions(),
      ...runningOptions,
      ...(this.#line.isPaged ? { limit: { type: 'string' } as const } : {}),
      ...(this.#line.isRead ? { watch: { type: 'boolean' } as const } : {}),
      ...(this.#line.declaration.cli?.follow === undefined ? {} : { background: { type: 'boolean' } as const }),
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    } as const;
  }

  async #again(show: () => Promise<void>, { isJson, io }: How): Promise<void> {
    const stop = new AbortController();
    const off = io.onSignal(() => stop.abort());
    try {
      while (!stop.signal.aborted) {
        // To the top, and nothing of the last time below it.
        if (!isJson) io.stdout.write('\u001b[H\u001b[2J');
        await show();
        await sleep(watchMs, undefined, { signal: stop.signal }).catch(() => {});
      }
    } finally {
      off();
    }
  }

  async #showOne(broker: RunningBroker, how: How): Promise<void> {
    await this.#write(await callBroker(broker, this.#name as SingleName, how.request as never), how);
  }

  async #write(answer: object, how: How): Promise<void> {
    const { isJson, request, io } = how;
    const list = this.#listIn(answer);
    if (isJson) for (const item of list ?? [answer]) await writeLine(JSON.stringify(item), io.stdout);
    else {
      const phrase = phrases[this.#name] as ((answer: object, request: object) => string) | undefined;
      if (phrase !== undefined) await writeLine(phrase(answer, request), io.stdout);
      else if (list === null) for (const line of linesOf(answer)) await writeLine(line, io.stdout);
      else await this.#writeItems(list, null, how);
      if (list?.length === 0) await writeLine(emptyText(this.#line, request), io.stdout);
    }
    for (const { node, why } of (answer as Partial<OfNodes>).unanswered ?? []) {
      io.stderr.write(`${missingText(node, why)}\n`);
    }
    const note = notes[this.#name] as ((answer: object) => string) | undefined;
    if (note !== undefined && !isJson) io.stderr.write(`${note(answer)}\n`);
    const refusal = (refuses[this.#name] as ((answer: object) => boolean) | undefined)?.(answer);
    if (refusal === true) throw new CommandError('', 1);
  }

  /** Page by page, as they come. */
  async #showList(broker: RunningBroker, how: How): Promise<void> {
    const { limit, isJson, request, io } = how;
    const usual = this.#line.declaration.cli?.limit ?? Number.POSITIVE_INFINITY;
    let left = limit === undefined ? usual : wholeNumber('--limit', limit, 1, Number.MAX_SAFE_INTEGER);
    const isShown = shownByDefault(this.#name, request);
    const { isNumbered } = this.#line;
    const most = isNumbered ? numberedPageItems : pageItems;
    let table: Table | null = null;
    let hasItems = false;
    let leftOut = 0;
    const missing = new Map<string, string>();
    let next: Record<string, unknown> | null = {};
    while (next !== null && left > 0) {
      const asked = { ...request, ...next, limit: Math.min(left, most) };
      const page = (await callBroker(broker, this.#name as SingleName, asked as never)) as object;
      const all = this.#listIn(page) ?? [];
      for (const { node, why } of (page as Partial<OfNodes>).unanswered ?? []) missing.set(node, why);
      const items = all.filter(isShown);
      if (isJson) for (const item of items) await writeLine(JSON.stringify(item), io.stdout);
      else table = await this.#writeItems(items, table, how);
      hasItems ||= items.length > 0;
      leftOut += all.length - items.length;
      left -= items.length;
      next = nextOf(page, all, isNumbered);
    }
    if (!hasItems && !isJson) await writeLine(emptyText(this.#line, request), io.stdout);
    if (leftOut > 0) io.stderr.write(`${leftOutText(leftOut)}\n`);
    for (const [node, why] of missing) io.stderr.write(`${missingText(node, why)}\n`);
  }

  /** `table`: what the items before stand in. */
  async #writeItems(items: readonly object[], table: Table | null, { io }: How): Promise<Table | null> {
    const lineOf = itemLines[this.#name] as ((item: object) => string) | undefined;
    if (lineOf !== undefined || items.length === 0) {
      for (const item of items) await writeLine(lineOf!(item), io.stdout);
      return table;
    }
    const present = table ?? new Table(this.#columnsOf(items[0]!));
    const rows = present.rows(items);
    for (const line of table === null ? [present.head(), ...rows] : rows) await writeLine(line, io.stdout);
    return present;
  }

  #columnsOf(item: object): readonly string[] {
    const columns = columnsOf[this.#name];
    if (columns === undefined) return Object.keys(item);
    return 'node' in item ? [...columns, 'node'] : columns;
  }

  async #follow(name: StreamName, broker: RunningBroker, { isJson, request, io }: How): Promise<void> {
    const stop = new AbortController();
    const off = io.onSignal(() => stop.abort());
    const lineOf = itemLines[name] as ((event: object) => string | null) | undefined;
    try {
      for await (const event of streamFromBroker(broker, name, request as never, stop.signal)) {
        const line = isJson ? JSON.stringify(event) : (lineOf ?? inOneLine)(event as object);
        if (line !== null) await writeLine(line, io.stdout);
      }
    } finally {
      off();
    }
  }

  /** Shows what becomes of what it makes, and ends that when nobody looks any more. */
  async #makeAndFollow(broker: RunningBroker, inBackground: boolean, how: How): Promise<void> {
    const made = (await callBroker(broker, this.#name as SingleName, how.request as never)) as { readonly id: string };
    if (inBackground) return writeLine(how.isJson ? JSON.stringify(made) : made.id, how.io.stdout);
    const { events, end } = this.#line.declaration.cli!.follow!;
    const request = { id: made.id };
    await this.#follow(events as StreamName, broker, { ...how, request });
    // One that has ended by itself is ended already.
    await callBroker(broker, end as SingleName, request as never).catch(() => {});
  }

  /** The list that an answer is; null if it is none. */
  #listIn(answer: object): readonly object[] | null {
    if (this.#line.declaration.cli?.lists === undefined) return null;
    return Object.values(answer).find((value) => Array.isArray(value)) ?? null;
  }
}

interface How {
  readonly isJson: boolean;
  readonly limit: string | undefined;
  readonly request: Record<string, unknown>;
  readonly io: Io;
}

/** Of a broker in a cluster. */
interface OfNodes {
  readonly unanswered: readonly { readonly node: string; readonly why: string }[];
}

const inOneLine = (event: object) => linesOf(event).join('  ');

function nextOf(page: object, items: readonly object[], isNumbered: boolean): Record<string, unknown> | null {
  if (isNumbered) return items.length === 0 ? null : { after: (items.at(-1) as { id: number }).id };
  const { cursor } = page as { cursor: string | null };
  return cursor === null ? null : { cursor };
}

const sharedHelp = (shown: readonly CommandLine[]) =>
  [
    shown.some(({ isPaged }) => isPaged) ? `  --limit N         so many at most (${limitOf(shown)})\n` : '',
    shown.some(({ declaration }) => declaration.cli?.follow !== undefined)
      ? '  --background      only begin it, and print its ID\n'
      : '',
    '  --json            for programs: a line of JSON each\n',
    shown.some(({ isRead }) => isRead) ? '  --watch           again every two seconds, until Ctrl-C\n' : '',
    runningHelp,
    shown.some(({ name }) => offline[name] !== undefined)
      ? '\nWith --config it tells what would hold under this configuration, without a broker.\n'
      : '',
  ].join('');

const limitOf = (shown: readonly CommandLine[]) =>
  shown.flatMap(({ declaration: { cli } }) => cli?.limit ?? [])[0] ?? 'all';

function helpOf(word: string, verbs: ReadonlyMap<string, CommandName>): string {
  const all = [...verbs.values()].map((name) => new CommandLine(name));
  const short = verbs.has('list') ? `sluice ${word} is short for sluice ${word} list.\n\n` : '';
  return `${all.map((each) => each.help().join('\n')).join('\n\n')}\n\n${short}${sharedHelp(all)}`;
}
