/** A command as one writes it for `sluice`, in a shell. */
import { type CommandName, operations } from './operations.ts';

/** Keys that `sluice` takes without the name of an option, although the path has them not. */
export const argumentOf: { readonly [Name in CommandName]?: string } = {
  backup: 'directory',
  'bans clear': 'address',
  'log level': 'level',
  'quarantine replay': 'ids',
  'quarantine drop': 'ids',
};

type Given = Readonly<Record<string, unknown>>;

/** Two kinds have words of their own, and other names of options. */
const own: { readonly [Name in CommandName]?: (request: Given) => string } = {
  'keys create': ({ name, ...rest }) => `sluice admin key create${optionsOf(rest)} ${quoted(String(name))}`,
  'keys delete': ({ id }) => `sluice admin key delete ${quoted(String(id))}`,
  'traces start': ({ clientId, username, address, topic, payloads, forMs }) => {
    const named = { client: clientId, user: username, address, topic };
    const forSeconds = forMs === undefined ? undefined : Math.round(Number(forMs) / 1_000);
    return `sluice trace start${optionsOf({ ...named, forSeconds })}${payloads === true ? ' --payloads' : ''}`;
  },
  'traces stop': ({ id }) => `sluice trace stop ${quoted(String(id))}`,
};

/** In words for a shell. */
export function commandLineOf(name: CommandName, request: Given): string {
  const line = own[name]?.(request);
  if (line !== undefined) return line;
  const inPath = [...operations[name].route.matchAll(/\{(\w+)\}/g)].map(([, key]) => key!);
  const first = [...inPath, ...[argumentOf[name] ?? []].flat()];
  const options = Object.fromEntries(Object.entries(request).filter(([key]) => !first.includes(key)));
  const given = first.flatMap((key) => [request[key] ?? []].flat().map(String));
  // What begins with a dash would be taken for an option.
  const divider = given.some((each) => each.startsWith('-')) ? ' --' : '';
  return `sluice ${name}${optionsOf(options)}${divider}${given.map((each) => ` ${quoted(each)}`).join('')}`;
}

const optionsOf = (options: Given): string =>
  Object.entries(options)
    .filter(([, value]) => value !== null && value !== undefined)
    .flatMap(([key, value]) => [value].flat().map((each) => ` ${optionOf(key, each)}`))
    .join('');

function optionOf(key: string, value: unknown): string {
  const kebab = key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  if (typeof value === 'boolean') return value ? `--${kebab}` : `--no-${kebab}`;
  if (key.endsWith('Seconds')) return `--${kebab.replace(/-seconds$/, '')} ${timeText(Number(value))}`;
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return `--${kebab}${text.startsWith('-') ? '=' : ' '}${quoted(text)}`;
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
