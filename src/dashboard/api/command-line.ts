/** A command as one writes it for `sluice`, in a shell. */
import { type CommandName, operations } from './operations.ts';

/** How `sluice` has a command, where its name and its keys do not say it: as the table of commands declares it. */
export const ownForms: {
  readonly [Name in CommandName]?: {
    readonly words?: string;
    readonly arguments?: readonly string[];
    readonly options?: Readonly<Record<string, string>>;
  };
} = {
  'access explain': { arguments: ['action', 'topic'], options: { groups: 'group', attributes: 'attribute' } },
  backup: { arguments: ['directory'] },
  'bans clear': { arguments: ['address'] },
  'drops list': { options: { clientId: 'client' } },
  'keys list': { words: 'admin key list' },
  'keys create': {
    words: 'admin key create',
    arguments: ['name'],
    options: { areas: 'area', username: 'user', expiresInSeconds: 'for' },
  },
  'keys delete': { words: 'admin key delete' },
  'log level': { arguments: ['level'] },
  'login-links create': { words: 'admin login-link' },
  'pipelines try': { options: { userProperties: 'property', groups: 'group' } },
  publish: { options: { userProperties: 'property' } },
  'quarantine drop': { arguments: ['ids'] },
  'quarantine replay': { arguments: ['ids'] },
  request: { options: { userProperties: 'property' } },
  'retained publish': { options: { userProperties: 'property' } },
  'traces events': { words: 'trace show' },
  'traces list': { words: 'trace list' },
  'traces start': { words: 'trace start', options: { clientId: 'client', username: 'user' } },
  'traces stop': { words: 'trace stop' },
};

type Given = Readonly<Record<string, unknown>>;

/** In words for a shell. */
export function commandLineOf(name: CommandName, request: Given): string {
  const { words = name, arguments: own = [], options: names = {} } = ownForms[name] ?? {};
  const inPath = [...operations[name].route.matchAll(/\{(\w+)\}/g)].map(([, key]) => key!);
  const first = [...inPath, ...own];
  const options = Object.entries(request).filter(([key]) => !first.includes(key));
  const given = first.flatMap((key) => [request[key] ?? []].flat().map(String));
  // What begins with a dash would be taken for an option.
  const divider = given.some((each) => each.startsWith('-')) ? ' --' : '';
  return `sluice ${words}${optionsOf(options, names)}${divider}${given.map((each) => ` ${quoted(each)}`).join('')}`;
}

const optionsOf = (options: readonly [string, unknown][], names: Readonly<Record<string, string>>): string =>
  options
    .filter(([, value]) => value !== null && value !== undefined)
    .flatMap(([key, value]) => {
      const values = Array.isArray(value) ? value : [value];
      return values.map((each) => ` ${optionOf(key, names[key] ?? kebab(key.replace(/(Seconds|Ms)$/, '')), each)}`);
    })
    .join('');

const kebab = (key: string) => key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function optionOf(key: string, name: string, value: unknown): string {
  if (typeof value === 'boolean') return value ? `--${name}` : `--no-${name}`;
  if (key.endsWith('Seconds')) return `--${name} ${timeText(Number(value))}`;
  if (key.endsWith('Ms')) return `--${name} ${timeText(Math.round(Number(value) / 1_000))}`;
  // A pair of texts, as user properties are.
  if (Array.isArray(value)) return `--${name} ${quoted(value.join('='))}`;
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return `--${name}${text.startsWith('-') ? '=' : ' '}${quoted(text)}`;
}

/** As `sluice` takes it: `90s`, `10m`. */
function timeText(seconds: number): string {
  if (seconds % 3_600 === 0) return `${seconds / 3_600}h`;
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
}

/** For a POSIX shell; control characters as bash, zsh and newer shells write them. */
export function quoted(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (!/\p{Cc}/u.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  const escaped = text.replaceAll(/['\\]|\p{Cc}/gu, (character) => {
    const code = character.charCodeAt(0);
    if (code >= 0x80) return `\\u${code.toString(16).padStart(4, '0')}`;
    return code < 0x20 || code === 0x7f ? `\\x${code.toString(16).padStart(2, '0')}` : `\\${character}`;
  });
  return `$'${escaped}'`;
}
