/** `sluice init`: asks what the broker is for, and writes a configuration with the reasons in it. */
import { open, rm } from 'node:fs/promises';
import { isIP } from 'node:net';
import { createInterface, type Interface } from 'node:readline/promises';
import { readConfig } from '../config/load.ts';
import { type InitAnswers, type Place, templates } from './init-templates.ts';
import type { Io } from './io.ts';
import { CommandError, noPositionals, readOptions } from './usage.ts';

const places = Object.keys(templates) as Place[];

const help = `sluice init [options]     writes a configuration; asks for what no option says

  --for PLACE        ${places.join(', ')}
  --host HOST        the address to listen on
  --data-dir DIR     where sessions, queues and retained messages are kept (./data)
  --websocket        with a listener for browsers; --no-websocket: without one
  --user NAME        home: who may do everything (admin)
  --name NAME        fleet: the name under which devices find the broker
  --proxy ADDRESS    proxy: its address or network; may be given again
  --out FILE         where to write it (sluice.yaml); a file that is there stays as it is
  --yes              ask nothing: what no option says is as usual

Where standard input is no terminal, nothing is asked either.
`;

const options = {
  for: { type: 'string' },
  host: { type: 'string' },
  'data-dir': { type: 'string' },
  websocket: { type: 'boolean' },
  user: { type: 'string' },
  name: { type: 'string' },
  proxy: { type: 'string', multiple: true },
  out: { type: 'string' },
  yes: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

/** Resolves with the answer to a question, or with `usual` if there is nobody to ask. */
type Ask = (question: string, usual: string) => Promise<string>;

export async function init(argv: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = readOptions('init', argv, options, { allowNegative: true });
  if (values.help) return void io.stdout.write(help);
  noPositionals('init', positionals);
  const terminal = values.yes || !(io.stdin as { isTTY?: boolean }).isTTY ? null : questions(io);
  try {
    const ask: Ask = async (question, usual) =>
      (await terminal?.question(usual === '' ? `${question}: ` : `${question} [${usual}]: `))?.trim() || usual;
    if (terminal !== null) {
      for (const place of places) io.stderr.write(`  ${place.padEnd(8)} ${templates[place].what}\n`);
    }
    const place = placeNamed(values.for ?? (await ask('What is the broker for?', 'local')));
    const { host: usualHost, text, next } = templates[place];
    const file = values.out ?? 'sluice.yaml';
    const webSocket = values.websocket ?? isYes(await ask('For browsers as well, over WebSocket? (yes, no)', 'no'));
    const answers: InitAnswers = {
      host: values.host ?? (await ask('Address to listen on', usualHost)),
      directory: values['data-dir'] ?? (await ask('Folder for the data', './data')),
      webSocket,
      ...(await ofPlace(place, values, ask)),
    };
    await writeNew(file, text(file, answers));
    await assertValid(file);
    io.stdout.write(`${file} is written. Then:\n`);
    for (const each of [...next(file, answers), `sluice start --config ${file}`]) io.stdout.write(`  ${each}\n`);
  } finally {
    terminal?.close();
  }
}

const questions = ({ stdin, stderr }: Io): Interface => createInterface({ input: stdin, output: stderr });

/** The question that this place has of its own. */
async function ofPlace(
  place: Place,
  given: {
    readonly user?: string | undefined;
    readonly name?: string | undefined;
    readonly proxy?: string[] | undefined;
  },
  ask: Ask,
): Promise<Pick<InitAnswers, 'user' | 'name' | 'proxies'>> {
  const user = given.user ?? (place === 'home' ? await ask('User who may do everything', 'admin') : 'admin');
  const name = given.name ?? (place === 'fleet' ? await ask('Name under which devices find it', 'broker.local') : '');
  const usual = place === 'proxy' ? await ask('Address of the proxy', '127.0.0.1') : '';
  const proxies = given.proxy ?? usual.split(/[\s,]+/);
  for (const each of place === 'proxy' ? proxies : []) {
    if (isIP(each.replace(/\/\d+$/, '')) === 0) {
      throw new CommandError(`--proxy wants an address or network as 10.0.0.5 or fd00::/8, not "${each}"`, 2);
    }
  }
  return { user, name, proxies };
}

function placeNamed(text: string): Place {
  const place = places.find((each) => each === text);
  if (place !== undefined) return place;
  throw new CommandError(`--for wants one of ${places.join(', ')}, not "${text}"`, 2);
}

const isYes = (text: string): boolean => /^y(es)?$/i.test(text);

async function writeNew(file: string, text: string): Promise<void> {
  try {
    const handle = await open(file, 'wx', 0o640);
    await handle.writeFile(text).finally(() => handle.close());
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST')
      throw new CommandError(`${file} is there already and stays as it is; give another --out FILE`);
    throw new CommandError(`Cannot write ${file}: ${message}`);
  }
}

/** Whatever was answered, what stays is valid; else what is wrong with the answer is told. */
async function assertValid(file: string): Promise<void> {
  try {
    readConfig(file, {});
  } catch (error) {
    await rm(file);
    throw error;
  }
}
