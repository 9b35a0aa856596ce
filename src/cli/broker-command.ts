/**
 * Commands to a running broker, as `contracts/commands.ts` declares them: `sluice clients list --limit 5` is the
 * command `clients list` with `{ limit: 5 }`. A key in the path of its route is an argument, the others are options.
 */
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { nearest } from '../base/nearest.ts';
import type { CommandDeclaration } from '../contracts/commands/declaration.ts';
import { type CommandName, commands, type SingleName, type StreamName } from '../contracts/commands.ts';
import { splitRoute } from '../contracts/http.ts';
import { type TextKey, TextKeys } from '../contracts/text-keys.ts';
import { type Command, type Io, writeLine } from './io.ts';
import { columnsOf, emptyText, linesOf, phrases, Table } from './printing.ts';
import {
  callBroker,
  type RunningBroker,
  runningBroker,
  runningHelp,
  runningOptions,
  streamFromBroker,
} from './running.ts';
import { CommandError, durationSeconds, readOptions, wholeNumber } from './usage.ts';

/** Keys that are arguments although the path has them not. */
export const argumentOf: { readonly [Name in CommandName]?: string } = {
  backup: 'directory',
  'log level': 'level',
  'bans clear': 'address',
  'quarantine replay': 'ids',
  'quarantine drop': 'ids',
};
/** What comes page by page, by the key that tells where the next one begins. */
const pageKeys = new Set(['cursor', 'limit', 'after']);
const pageItems = 1_000;
const watchMs = 2_000;

/** Words whose commands have another word on the command line: `sluice admin key`, `sluice trace`. */
const renamed = new Set(['keys', 'traces']);

const words = new Map<string, Map<string, CommandName>>();
for (const name of Object.keys(commands) as CommandName[]) {
  const [word = '', verb = ''] = name.split(' ');
  if (renamed.has(word)) continue;
  const verbs = words.get(word) ?? new Map<string, CommandName>();
  words.set(word, verbs.set(verb, name));
}

/** A line for each, but for those that have a command of their own by that word. */
export function brokerHelp(others: readonly string[]): string {
  const lines = [...words].map(([word, verbs]) => {
    if (others.includes(word)) return '';
    const name = verbs.get('') ?? verbs.get('list') ?? [...verbs.values()][0]!;
    const more = [...verbs.keys()].filter((verb) => verb !== '' && verb !== 'list');
    const rest = more.length === 0 ? '' : `; also ${more.join(', ')}`;
    return `  ${`sluice ${word}`.padEnd(29)}  ${commands[name].what}${rest}\n`;
  });
  return lines.join('');
}

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
  const [first] = argv;
  const isVerb = first !== undefined && verbs.has(first);
  const name = isVerb ? verbs.get(first) : (verbs.get('') ?? verbs.get('list'));
  if (!isVerb && argv.includes('--help')) return void io.stdout.write(helpOf(word, verbs));
  const isMeant = isVerb || first === undefined || first.startsWith('-');
  if (name === undefined || (!isMeant && !new BrokerCommand(name).takesArguments))
    throw unknownVerb(word, verbs, first);
  await new BrokerCommand(name).run(isVerb ? argv.slice(1) : argv, io);
}

function unknownVerb(word: string, verbs: ReadonlyMap<string, CommandName>, given: string | undefined): CommandError {
  const known = [...verbs.keys()].filter((verb) => verb !== '');
  const suggestion = given === undefined ? null : nearest(given, known);
  const hint = suggestion === null ? '' : ` Did you mean ${suggestion}?`;
  const what = given === undefined ? `sluice ${word} wants one word more` : `There is no sluice ${word} ${given}`;
  return new CommandError(`${what}.${hint} It takes: ${known.join(', ')}; see sluice ${word} --help`, 2);
}

const kebab = (key: string) => key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const isSeconds = (key: TextKey) => key.name.endsWith('Seconds');
/** `forSeconds` is `--for 10m`. */
const optionOf = (key: TextKey) => kebab(isSeconds(key) ? key.name.replace(/Seconds$/, '') : key.name);
const isFlag = ({ kinds }: TextKey) => kinds.length > 0 && kinds.every((kind) => kind === 'boolean');

class BrokerCommand {
  readonly #name: CommandName;
  readonly #declaration: CommandDeclaration;
  readonly #keys: TextKeys;
  /** In the order in which they are given. */
  readonly #arguments: readonly TextKey[];
  readonly #options: readonly TextKey[];
  readonly #isPaged: boolean;

  constructor(name: CommandName) {
    this.#name = name;
    this.#declaration = commands[name];
    this.#keys = new TextKeys(this.#declaration);
    const { path } = splitRoute(this.#declaration.route);
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, key]) => key!);
    const argumentKeys = [...inPath, ...[argumentOf[name] ?? []].flat()];
    this.#arguments = argumentKeys.map((key) => this.#keys.get(key)!);
    const all = [...this.#keys];
    this.#isPaged = all.some(({ name: key }) => key === 'limit');
    this.#options = all.filter((key) => !argumentKeys.includes(key.name) && !(this.#isPaged && pageKeys.has(key.name)));
  }

  get takesArguments(): boolean {
    return this.#arguments.length > 0;
  }

  get isPaged(): boolean {
    return this.#isPaged;
  }

  /** Changes nothing, and is over at once. */
  get isRead(): boolean {
    return this.#declaration.route.startsWith('GET ') && !this.#declaration.isStream;
  }

  async run(argv: readonly string[], io: Io): Promise<void> {
    const { values, positionals } = readOptions(this.#name, argv, this.#parseOptions(), { allowNegative: true });
    if (values.help === true) return void io.stdout.write(`${this.help().join('\n')}\n\n${sharedHelp([this])}`);
    const broker = runningBroker(values as Record<string, string | undefined>, io);
    const request = this.#requestOf(values, positionals);
    const isJson = values.json === true;
    if (this.#declaration.isStream) return this.#follow(broker, request, isJson, io);
    const show = () =>
      this.#isPaged
        ? this.#showList(broker, request, values.limit as string | undefined, isJson, io)
        : this.#showOne(broker, request, isJson, io);
    if (values.watch !== true) return show();
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

  #parseOptions() {
    const own = this.#options.map((key) => {
      const type = isFlag(key) ? ('boolean' as const) : ('string' as const);
      return [optionOf(key), { type, multiple: key.kinds.includes('array') }] as const;
    });
    return {
      ...Object.fromEntries(own),
      ...runningOptions,
      ...(this.#isPaged ? { limit: { type: 'string' } as const } : {}),
      ...(this.isRead ? { watch: { type: 'boolean' } as const } : {}),
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    } as const;
  }

  #requestOf(values: Readonly<Record<string, unknown>>, positionals: readonly string[]): Record<string, unknown> {
    const given: Record<string, string | string[]> = {};
    const plain: Record<string, unknown> = {};
    for (const key of this.#options) {
      const value = values[optionOf(key)];
      if (value === undefined) continue;
      if (isSeconds(key)) plain[key.name] = durationSeconds(`--${optionOf(key)}`, String(value));
      else if (typeof value === 'boolean') plain[key.name] = value;
      else given[key.name] = value as string | string[];
    }
    const rest = [...positionals];
    for (const key of this.#arguments) {
      const takesAll = key.kinds.includes('array') && rest[0] !== 'all';
      const taken = rest.splice(0, takesAll ? rest.length : 1);
      if (taken.length > 0) given[key.name] = takesAll ? taken : taken[0]!;
      else if (key.isRequired) throw new CommandError(`${this.#usage()}: ${argumentName(key)} is missing`, 2);
    }
    if (rest.length > 0) throw new CommandError(`${this.#usage()}: unexpected "${rest[0]}"`, 2);
    // The broker may run elsewhere in the file system.
    if (typeof given.directory === 'string') given.directory = resolve(given.directory);
    return { ...this.#keys.read(given), ...plain };
  }

  async #showOne(broker: RunningBroker, request: object, isJson: boolean, { stdout }: Io): Promise<void> {
    const answer: object = await callBroker(broker, this.#name as SingleName, request as never);
    const list = listIn(answer);
    if (isJson) {
      for (const item of list ?? [answer]) await writeLine(JSON.stringify(item), stdout);
      return;
    }
    const phrase = phrases[this.#name] as ((answer: object, request: object) => string) | undefined;
    if (phrase !== undefined) return writeLine(phrase(answer, request), stdout);
    for (const line of list === null ? linesOf(answer) : this.#tableOf(list)) await writeLine(line, stdout);
  }

  #tableOf(items: readonly object[]): string[] {
    if (items.length === 0) return [emptyText[this.#name] ?? 'There are none'];
    const table = new Table(columnsOf[this.#name] ?? Object.keys(items[0]!));
    const rows = table.rows(items);
    return [table.head(), ...rows];
  }

  /** Page by page, as they come. */
  async #showList(
    broker: RunningBroker,
    request: Record<string, unknown>,
    limit: string | undefined,
    isJson: boolean,
    { stdout }: Io,
  ): Promise<void> {
    let left =
      limit === undefined ? Number.POSITIVE_INFINITY : wholeNumber('--limit', limit, 1, Number.MAX_SAFE_INTEGER);
    let table: Table | null = null;
    const isNumbered = this.#keys.get('after') !== undefined;
    const most = isNumbered ? 200 : pageItems;
    let next: Record<string, unknown> | null = {};
    while (next !== null && left > 0) {
      const asked = { ...request, ...next, limit: Math.min(left, most) };
      const page = (await callBroker(broker, this.#name as SingleName, asked as never)) as object;
      const items = listIn(page) ?? [];
      if (isJson) for (const item of items) await writeLine(JSON.stringify(item), stdout);
      else if (items.length > 0) {
        const isFirst = table === null;
        table ??= new Table(columnsOf[this.#name] ?? Object.keys(items[0]!));
        const rows = table.rows(items);
        for (const line of isFirst ? [table.head(), ...rows] : rows) await writeLine(line, stdout);
      }
      left -= items.length;
      next = nextOf(page, items, isNumbered);
    }
    if (table === null && !isJson) await writeLine(emptyText[this.#name] ?? 'There are none', stdout);
  }

  async #follow(broker: RunningBroker, request: object, isJson: boolean, io: Io): Promise<void> {
    const stop = new AbortController();
    const off = io.onSignal(() => stop.abort());
    try {
      for await (const event of streamFromBroker(broker, this.#name as StreamName, request as never, stop.signal)) {
        await writeLine(isJson ? JSON.stringify(event) : linesOf(event as object).join('  '), io.stdout);
      }
    } finally {
      off();
    }
  }

  #usage(): string {
    const named = this.#arguments.map((key) => (key.isRequired ? argumentName(key) : `[${argumentName(key)}]`));
    return ['sluice', this.#name, ...named].join(' ');
  }

  help(): string[] {
    const keys = [
      ...this.#arguments.map((key) => [argumentName(key), key] as const),
      ...this.#options.map((key) => [`--${optionOf(key)}${isFlag(key) ? '' : ` ${valueName(key)}`}`, key] as const),
    ];
    const width = Math.max(16, ...keys.map(([left]) => left.length));
    const lines = keys.map(([left, { description, isRequired, defaultValue }]) => {
      const hasDefault = defaultValue !== undefined && defaultValue !== null;
      const more =
        isRequired && left.startsWith('--') ? '; required' : hasDefault ? ` (${JSON.stringify(defaultValue)})` : '';
      return `  ${left.padEnd(width)}  ${description}${more}`;
    });
    return [`${this.#usage()}`, `    ${this.#declaration.what}`, ...lines];
  }
}

const argumentName = ({ name, kinds }: TextKey) =>
  `${kebab(name).replaceAll('-', '_').toUpperCase()}${kinds.includes('array') ? '…' : ''}`;

function valueName(key: TextKey): string {
  if (isSeconds(key)) return 'TIME';
  if (key.kinds.includes('object')) return 'JSON';
  return key.kinds.includes('number') && !key.kinds.includes('string') ? 'N' : 'TEXT';
}

/** The list that an answer is, whatever it is called; null if it is none. */
function listIn(answer: object): readonly object[] | null {
  const [list, ...others] = Object.values(answer).filter((value): value is object[] => Array.isArray(value));
  const isList = list !== undefined && others.length === 0 && Object.keys(answer).every((key) => listKeys.has(key));
  return isList ? list : null;
}
const listKeys = new Set(['items', 'cursor', 'entries', 'count', 'bans', 'keys']);

function nextOf(page: object, items: readonly object[], isNumbered: boolean): Record<string, unknown> | null {
  if (isNumbered) return items.length === 0 ? null : { after: (items.at(-1) as { id: number }).id };
  const { cursor } = page as { cursor: string | null };
  return cursor === null ? null : { cursor };
}

const sharedHelp = (shown: readonly BrokerCommand[]) =>
  [
    shown.some(({ isPaged }) => isPaged) ? '  --limit N         so many at most (all)\n' : '',
    '  --json            for programs: a line of JSON each\n',
    shown.some(({ isRead }) => isRead) ? '  --watch           again every two seconds, until Ctrl-C\n' : '',
    runningHelp,
  ].join('');

function helpOf(word: string, verbs: ReadonlyMap<string, CommandName>): string {
  const all = [...verbs.values()].map((name) => new BrokerCommand(name));
  const short = verbs.has('list') ? `sluice ${word} is short for sluice ${word} list.\n\n` : '';
  return `${all.map((each) => each.help().join('\n')).join('\n\n')}\n\n${short}${sharedHelp(all)}`;
}
