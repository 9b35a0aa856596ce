/**
 * The command line of a command to a running broker, as its declaration gives it: a key in the path of its route, or
 * named as one, is an argument, the others are options. `clients list` with `{ limit: 5 }` is `clients list --limit 5`.
 */
import { resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { CommandDeclaration } from '../contracts/commands/declaration.ts';
import { type CommandName, commands } from '../contracts/commands.ts';
import type { RequestFault } from '../contracts/failures.ts';
import { splitRoute } from '../contracts/http.ts';
import { type TextKey, TextKeys } from '../contracts/text-keys.ts';
import type { Io } from './io.ts';
import { CommandError, durationSeconds, readFile, timeAgo } from './usage.ts';

/** What comes page by page, by the key that tells where the next one begins. */
const pageKeys = new Set(['cursor', 'limit', 'after']);
/** How options for bytes that the API has in base64 end: `payloadBase64` is `--payload-file FILE` as well. */
const base64End = /Base64$/;

type Given = Readonly<Record<string, unknown>>;

export class CommandLine {
  readonly name: CommandName;
  /** As they are written: `clients list`, `admin key create`. */
  readonly words: string;
  readonly declaration: CommandDeclaration;
  readonly isPaged: boolean;
  /** A page is asked for by the number of the last item before it, and not by a cursor. */
  readonly isNumbered: boolean;
  readonly #keys: TextKeys;
  /** In the order in which they are given. */
  readonly #arguments: readonly TextKey[];
  readonly #options: readonly TextKey[];
  /** The list of which one item may be given by options of its own; null: there is none. */
  readonly #items: TextKey | null;

  constructor(name: CommandName) {
    this.name = name;
    this.declaration = commands[name];
    const { cli = {}, route } = this.declaration;
    this.words = cli.words ?? name;
    this.#keys = new TextKeys(this.declaration);
    const inPath = [...splitRoute(route).path.matchAll(/\{(\w+)\}/g)].map(([, key]) => key!);
    const argumentKeys = [...inPath, ...(cli.arguments ?? [])];
    this.#arguments = argumentKeys.map((key) => this.#keys.get(key)!);
    const all = [...this.#keys];
    this.isNumbered = all.some(({ name: key }) => key === 'after');
    // What has a limit alone is one page.
    this.isPaged = this.isNumbered || all.some(({ name: key }) => key === 'cursor');
    this.#items = cli.itemsOf === undefined ? null : this.#keys.get(cli.itemsOf)!;
    const own = all.filter((key) => !argumentKeys.includes(key.name) && !(this.isPaged && pageKeys.has(key.name)));
    this.#options = [...(this.#items?.items ?? []), ...own];
  }

  get takesArguments(): boolean {
    return this.#arguments.length > 0;
  }

  /** Changes nothing, and is over at once. */
  get isRead(): boolean {
    return this.declaration.route.startsWith('GET ') && this.declaration.isStream !== true;
  }

  get usage(): string {
    const named = this.#arguments.map((key) => (key.isRequired ? argumentName(key) : `[${argumentName(key)}]`));
    return ['sluice', this.words, ...named].join(' ');
  }

  /** For `parseArgs`. */
  parseOptions(): Record<string, { type: 'string' | 'boolean'; multiple: boolean }> {
    const own = this.#options.flatMap((key) => {
      const type = isFlag(key) ? ('boolean' as const) : ('string' as const);
      const option = [this.#optionOf(key), { type, multiple: key.kinds.includes('array') }] as const;
      return this.#isBase64(key) ? [option, [this.#fileOption(key), { type, multiple: false }] as const] : [option];
    });
    return Object.fromEntries(own);
  }

  /** `values` and `positionals` as `parseArgs` gives them. Throws a CommandError. */
  async requestOf(values: Given, positionals: readonly string[], io: Io): Promise<Record<string, unknown>> {
    const own = await this.#read(
      this.#options.filter((key) => !this.#isOfItem(key)),
      values,
      io,
    );
    const item = await this.#read(this.#items?.items ?? [], values, io);
    if (Object.keys(item).length > 0) {
      const list = this.#items!;
      if (own[list.name] !== undefined) {
        const first = this.#options.find((key) => item[key.name] !== undefined)!;
        const what = `--${this.#optionOf(list)} has all of the messages: leave out --${this.#optionOf(first)}`;
        throw new CommandError(what, 2);
      }
      own[list.name] = [item];
    }
    Object.assign(own, this.#readArguments(positionals));
    this.#checkRequired(own, item);
    return own;
  }

  /** What is wrong with a request, in the words of this command line: `--topic is missing`. */
  explain(faults: readonly RequestFault[], request: Given): string {
    return faults.map((fault) => this.#explainOne(fault, request)).join('\n');
  }

  /** The command, and a line for each of its arguments and options. */
  help(): string[] {
    const rows = [
      ...this.#arguments.map((key) => [argumentName(key), key] as const),
      ...this.#options.flatMap((key) => {
        const negated = isFlag(key) && key.defaultValue === true ? '[no-]' : '';
        const option = [`--${negated}${this.#optionOf(key)}${isFlag(key) ? '' : ` ${valueName(key)}`}`, key] as const;
        if (!this.#isBase64(key)) return [option];
        const file = { ...key, description: `the same out of a file; -: standard input` };
        return [option, [`--${this.#fileOption(key)} FILE`, file] as const];
      }),
    ];
    const width = Math.max(16, ...rows.map(([left]) => left.length));
    const lines = rows.map(([left, key]) => `  ${left.padEnd(width)}  ${this.#described(key, left.startsWith('--'))}`);
    return [this.usage, `    ${this.declaration.what.replaceAll('`', '')}`, ...lines];
  }

  async #read(keys: readonly TextKey[], values: Given, io: Io): Promise<Record<string, unknown>> {
    const texts: Record<string, string | string[]> = {};
    const read: Record<string, unknown> = {};
    for (const key of keys) {
      const option = this.#optionOf(key);
      if (this.#isBase64(key)) {
        const file = values[this.#fileOption(key)] as string | undefined;
        if (file !== undefined)
          read[key.name] = (await bytesIn(file, `--${this.#fileOption(key)}`, io)).toString('base64');
      }
      const value = values[option];
      if (value === undefined) continue;
      if (typeof value === 'boolean') read[key.name] = value;
      else if (unitOf(key) !== null) read[key.name] = durationSeconds(`--${option}`, String(value)) * unitOf(key)!;
      else if (isTime(key)) read[key.name] = timeAgo(`--${option}`, String(value));
      else if (key.isPairs) read[key.name] = [value].flat().map((each) => pairOf(`--${option}`, String(each)));
      else texts[key.name] = value as string | string[];
    }
    return { ...TextKeys.read(keys, texts), ...read };
  }

  #readArguments(positionals: readonly string[]): Record<string, unknown> {
    const given: Record<string, string | string[]> = {};
    const rest = [...positionals];
    for (const key of this.#arguments) {
      const takesAll = key.kinds.includes('array') && rest[0] !== 'all';
      const taken = rest.splice(0, takesAll ? rest.length : 1);
      if (taken.length > 0) given[key.name] = takesAll ? taken : taken[0]!;
      else if (key.isRequired) throw new CommandError(`${this.usage}: ${argumentName(key)} is missing`, 2);
    }
    if (rest.length > 0) throw new CommandError(`${this.usage}: unexpected "${rest[0]}"`, 2);
    // The broker may run elsewhere in the file system.
    if (typeof given.directory === 'string') given.directory = resolve(given.directory);
    return TextKeys.read(this.#arguments, given);
  }

  #checkRequired(request: Given, item: Given): void {
    const isMissing = (key: TextKey) => {
      if (key === this.#items) return request[key.name] === undefined && this.#items.items.length === 0;
      if (this.#isOfItem(key))
        return this.#items !== null && request[this.#items.name] === undefined && item[key.name] === undefined;
      return request[key.name] === undefined;
    };
    const missing = this.#options.filter((key) => key.isRequired && isMissing(key));
    if (missing.length === 0) return;
    const names = missing.map((key) => `--${this.#optionOf(key)}`);
    const are = missing.length === 1 ? 'is' : 'are';
    throw new CommandError(`${names.join(' and ')} ${are} missing; see sluice ${this.words} --help`, 2);
  }

  #explainOne({ at, message }: RequestFault, request: Given): string {
    const [first = '', ...path] = at.split('.');
    const key = this.#keys.get(first);
    if (key === undefined) return at === '' ? this.#withOptions(asWhole(message)) : `${at}: ${message}`;
    const [index, inner, ...deeper] = path;
    const item =
      key === this.#items && index === '0' ? this.#items.items.find(({ name }) => name === inner) : undefined;
    const isSingle = (request[first] as unknown[] | undefined)?.length === 1;
    const named = item !== undefined && isSingle ? item : key;
    const rest = named === key ? path : deeper;
    const name = this.#arguments.includes(named) ? argumentName(named) : `--${this.#optionOf(named)}`;
    return sayWhere(
      [name, ...rest.map((each) => (/^\d+$/.test(each) ? `item ${Number(each) + 1}` : each))],
      inOwnUnits(named, message),
    );
  }

  /** A text of the API that names keys. */
  #withOptions(text: string): string {
    return text.replaceAll(/`?\b([a-z]\w*)\b`?/g, (word, name: string) => {
      const key = [...this.#options, ...this.#arguments].find((each) => each.name === name);
      if (key === undefined) return word;
      return this.#arguments.includes(key) ? argumentName(key) : `--${this.#optionOf(key)}`;
    });
  }

  #described(key: TextKey, isOption: boolean): string {
    const { description, isRequired, defaultValue, kinds, values } = key;
    const [text, none] = withoutNull(inUnits(key, description));
    const named = text.replaceAll(/`([^`]+)`/g, (_, name: string) =>
      name !== key.name && this.#options.some((each) => each.name === name) ? this.#withOptions(name) : name,
    );
    const among = values.length > valuesInName && values.length <= valuesShown ? `: ${values.join(', ')}` : '';
    const several = isOption && kinds.includes('array') && key !== this.#items ? '; several times for several' : '';
    const said = named + among + several;
    if (isRequired) return isOption && key !== this.#items ? `${said}; required` : said;
    const usual = defaultValue === null || defaultValue === undefined ? none : defaultText(key, defaultValue);
    return usual === null || usual === '' || /by default/.test(said) ? said : `${said} (${usual.replaceAll('`', '')})`;
  }

  #isOfItem(key: TextKey): boolean {
    return this.#items?.items.includes(key) === true;
  }

  #optionOf(key: TextKey): string {
    return this.declaration.cli?.options?.[key.name] ?? kebab(key.name.replace(/(Seconds|Ms)$/, ''));
  }

  /** Text in base64 beside the same key as plain text. */
  #isBase64({ name }: TextKey): boolean {
    const plain = name.replace(base64End, '');
    return plain !== name && this.#options.some((key) => key.name === plain);
  }

  #fileOption({ name }: TextKey): string {
    return `${kebab(name.replace(base64End, ''))}-file`;
  }
}

/** So many values stand in place of TEXT, and so many behind the description; more are told whoever gives another. */
const valuesInName = 3;
const valuesShown = 12;

const kebab = (key: string) => key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const isFlag = ({ kinds }: TextKey) => kinds.length > 0 && kinds.every((kind) => kind === 'boolean');
const isTime = ({ name, kinds }: TextKey) => kinds.includes('number') && /^since$|(Time|At)$/.test(name);

/** `forSeconds` is `--for 10m`: how many of its units a second has; null: it is no length of time. */
function unitOf({ name }: TextKey): number | null {
  if (name.endsWith('Seconds')) return 1;
  return name.endsWith('Ms') ? 1_000 : null;
}

/** A time was not given in the unit of the API. */
function inOwnUnits(key: TextKey, message: string): string {
  const unit = unitOf(key);
  if (unit === null) return message;
  const shown = message.replace(/(?<=at (?:least|most) )\d+/, (number) => duration(Number(number) / unit));
  return shown.replace(/, found \d+$/, '');
}

/** What is wrong with a request as a whole needs no mention of what was found. */
const asWhole = (message: string) => message.replace(/^expected /, 'Give ').replace(/, found .*$/, '');

/** "it is missing" is said of what is named. */
const sayWhere = (names: readonly string[], message: string) =>
  /(^|, )it is missing$/.test(message) ? `${names.join(', ')} is missing` : `${names.join(', ')}: ${message}`;

const argumentName = ({ name, kinds }: TextKey) =>
  `${kebab(name).replaceAll('-', '_').toUpperCase()}${kinds.includes('array') ? '…' : ''}`;

function valueName(key: TextKey): string {
  if (unitOf(key) !== null || isTime(key)) return 'TIME';
  if (key.isPairs) return 'NAME=TEXT';
  if (key.values.length > 0 && key.values.length <= valuesInName) return key.values.join('|');
  if (key.kinds.includes('object')) return 'JSON';
  return key.kinds.includes('number') && !key.kinds.includes('string') ? 'N' : 'TEXT';
}

/** Whoever gives 10m need not know in which unit it is asked for. */
function inUnits(key: TextKey, description: string): string {
  if (isTime(key))
    return description.replace(/(^|, )in milliseconds since the epoch/, '$1as 10m ago or 2026-03-01T12:00:00Z');
  return unitOf(key) === null ? description : description.replace(/,? in (milli)?seconds/, '');
}

/** "which client; null: all" is "which client" and "all". */
function withoutNull(description: string): [string, string | null] {
  const [whole, none] = /;? ?[Nn]ull: ((?:[^.;]|\.(?=\S))*)/.exec(description) ?? [];
  return whole === undefined ? [description, null] : [description.replace(whole, '').replace(/\.$/, ''), none!];
}

function defaultText(key: TextKey, value: unknown): string {
  const unit = unitOf(key);
  if (unit !== null && typeof value === 'number') return duration(value / unit);
  if (isFlag(key)) return value === true ? 'yes' : '';
  if (Array.isArray(value)) return value.join(', ');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function duration(seconds: number): string {
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
  ] as const) {
    if (seconds >= size && seconds % size === 0) return `${seconds / size}${unit}`;
  }
  return `${seconds}s`;
}

function pairOf(option: string, text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new CommandError(`${option} wants NAME=TEXT, not "${text}"`, 2);
  return [text.slice(0, at), text.slice(at + 1)];
}

async function bytesIn(file: string, option: string, { stdin }: Io): Promise<Buffer> {
  if (file === '-') return buffer(stdin);
  return readFile(option, file);
}
