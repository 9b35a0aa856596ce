/** Commands to a running broker: over the socket of its data directory, or to its URL with a key. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { socketBeside, socketIn } from '../admin/control-socket.ts';
import { readConfig } from '../config/load.ts';
import {
  type CommandAnswer,
  type CommandName,
  type CommandRequest,
  checkedAnswer,
  commands,
  type SingleName,
  type StreamName,
} from '../contracts/commands.ts';
import type { RequestFault } from '../contracts/failures.ts';
import { type HttpRequest, httpRequestOf, problemMediaType, problemsPath } from '../contracts/http.ts';
import { type CodedError, explainConnection, speaksTls } from './connection-errors.ts';
import type { Io } from './io.ts';
import { CommandError, readFile } from './usage.ts';

/** Options of every command to a running broker. */
export const runningOptions = {
  'data-dir': { type: 'string' },
  config: { type: 'string' },
  url: { type: 'string' },
  key: { type: 'string' },
  cafile: { type: 'string' },
} as const;

export const runningHelp = `  --data-dir DIR    of the running broker (./data)
  --config FILE     or its configuration, which says where its data is
  --url URL         or its HTTP API, as http://127.0.0.1:18083, with the environment variable SLUICE_KEY or
  --key KEY         a key of sluice admin key create; others on this machine may see it
  --cafile FILE     over TLS, trusting this authority
`;

type RunningValues = { readonly [Name in keyof typeof runningOptions]?: string | undefined };

/** Where a broker is asked. */
export interface RunningBroker {
  /** For messages. */
  readonly name: string;
  readonly isSecure: boolean;
  /** In this order; the first that answers counts. */
  readonly ways: readonly RequestOptions[];
  /** Of its data; null: it is asked at a URL. */
  readonly directory: string | null;
  /** Its directory was given, and not guessed. */
  readonly isNamed: boolean;
  readonly hasKey: boolean;
  /** What is wrong with a request, in the words of the command line; absent: in those of the API. */
  readonly explain?: (faults: readonly RequestFault[], request: Readonly<Record<string, unknown>>) => string;
}

/** Throws a CommandError if the options contradict each other. */
export function runningBroker(values: RunningValues, { environment }: Pick<Io, 'environment'>): RunningBroker {
  const { url, config, key = environment.SLUICE_KEY } = values;
  const given = (['data-dir', 'config', 'url'] as const).filter((name) => values[name] !== undefined);
  if (given.length > 1) throw new CommandError(`--${given[0]} and --${given[1]} name two brokers: give one`, 2);
  if (url !== undefined) return atUrl(url, key, values.cafile);
  if (values.key !== undefined || values.cafile !== undefined) {
    throw new CommandError(`--${values.key !== undefined ? 'key' : 'cafile'} is for a broker at a --url`, 2);
  }
  const directory = config === undefined ? (values['data-dir'] ?? './data') : directoryOf(config, environment);
  const inside = existsSync(directory) ? [{ socketPath: socketIn(directory) }] : [];
  const ways = [...inside, { socketPath: socketBeside(directory) }];
  return { name: directory, isSecure: false, ways, directory, isNamed: given.length > 0, hasKey: false };
}

function directoryOf(file: string, environment: Io['environment']): string {
  const { store } = readConfig(file, environment).config;
  return store.kind === 'level' ? store.directory : './data';
}

function atUrl(text: string, key: string | undefined, cafile: string | undefined): RunningBroker {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new CommandError(`--url wants an address as http://127.0.0.1:18083, not "${text}"`, 2);
  }
  const { hostname, port, protocol } = url;
  const way: RequestOptions & { ca?: Buffer } = {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (protocol === 'https:' ? 443 : 80) : port,
    headers: key === undefined ? {} : { Authorization: `Bearer ${key}` },
    ...(cafile === undefined ? {} : { ca: readFile('--cafile', cafile) }),
  };
  const isSecure = protocol === 'https:';
  return { name: url.origin, isSecure, ways: [way], directory: null, isNamed: true, hasKey: key !== undefined };
}

/** `request` is a valid one. Says why it was not carried out, or what to do if no broker runs there. */
export async function callBroker<Name extends SingleName>(
  broker: RunningBroker,
  name: Name,
  request: CommandRequest<Name>,
): Promise<CommandAnswer<Name>> {
  const response = await ask(broker, name, request as Record<string, unknown>);
  return checkedAnswer(name, await jsonOf(response));
}

/** What it answers at a path beside the API. */
export async function getFromBroker(broker: RunningBroker, path: string): Promise<{ status: number; json: unknown }> {
  const response = await reach(broker, { method: 'GET', path, body: null });
  try {
    return { status: response.statusCode!, json: await jsonOf(response) };
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new CommandError(`What answers there is no Sluice broker: ${path} is no JSON`, 1, { cause });
  }
}

/** Event after event, until `signal` is aborted. */
export async function* streamFromBroker<Name extends StreamName>(
  broker: RunningBroker,
  name: Name,
  request: CommandRequest<Name>,
  signal: AbortSignal,
): AsyncGenerator<CommandAnswer<Name>> {
  const response = await ask(broker, name, request as Record<string, unknown>);
  const lines = createInterface({ input: response });
  // It takes no notice of a stream that is cut off.
  response.once('close', () => lines.close());
  const stop = () => response.destroy();
  signal.addEventListener('abort', stop);
  try {
    for await (const line of lines) yield checkedAnswer(name, JSON.parse(line));
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    response.destroy();
  }
}

async function ask(
  broker: RunningBroker,
  name: CommandName,
  request: Record<string, unknown>,
): Promise<IncomingMessage> {
  const response = await reach(broker, httpRequestOf(name, commands[name].route, request));
  if (response.statusCode !== undefined && response.statusCode < 300) return response;
  throw await refusal(broker, response, request);
}

interface Problem {
  readonly type: string;
  readonly detail: string;
  readonly remedy: string;
  readonly errors?: readonly RequestFault[];
}

/** The broker's own words; those about keys of the request in the words of the command line. */
async function refusal(
  { name, explain, hasKey }: RunningBroker,
  response: IncomingMessage,
  request: Record<string, unknown>,
): Promise<CommandError> {
  const { statusCode, headers } = response;
  if (headers['content-type'] !== problemMediaType) {
    response.destroy();
    return new CommandError(`What answers at ${name} is no Sluice broker: it answers with status ${statusCode}`);
  }
  const { type, detail, remedy, errors } = (await jsonOf(response)) as Problem;
  const isOf = (kind: string) => type === `${problemsPath}/${kind}`;
  if (isOf('unauthenticated')) {
    const what = hasKey
      ? 'Look whether it is whole, and in sluice admin key list on the machine of the broker whether it is still there'
      : 'Give one by the environment variable SLUICE_KEY';
    return new CommandError(`${detail}. ${what}; sluice admin key create makes one`);
  }
  if (isOf('invalid-request') && errors !== undefined && explain !== undefined) {
    return new CommandError(explain(errors, request), 2);
  }
  const isPlain = ['not-found', 'conflict', 'invalid-request'].some(isOf);
  return new CommandError(isPlain ? detail : `${detail}. ${remedy}`);
}

async function jsonOf(response: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch (cause) {
    throw endedEarly(cause);
  }
  return JSON.parse(Buffer.concat(chunks).toString());
}

const endedEarly = (cause: unknown) =>
  new CommandError('The broker ended before it answered; whether it did what it was told is not known', 1, { cause });

async function reach(broker: RunningBroker, { method, path, body }: HttpRequest): Promise<IncomingMessage> {
  const { isSecure, ways } = broker;
  let failure: CodedError | null = null;
  for (const way of ways) {
    const type = body === null ? {} : { 'Content-Type': 'application/json' };
    const options = { ...way, method, path, headers: { ...way.headers, ...type, Connection: 'close' } };
    const asked = (isSecure ? httpsRequest : httpRequest)(options);
    asked.end(body ?? undefined);
    try {
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      return response;
    } catch (error) {
      failure = error as CodedError;
      if (failure.code !== 'ENOENT' && failure.code !== 'ECONNREFUSED') break;
    }
  }
  throw await unreachable(broker, failure!);
}

/** What is there instead, and what to do. */
async function unreachable(broker: RunningBroker, failure: CodedError): Promise<CommandError> {
  const { name, isSecure, directory, ways } = broker;
  const code = String(failure.code);
  if (directory !== null) return notOn(broker, directory, code, failure);
  const { host, port } = ways[0]!;
  const attempt = { wanted: 'HTTP API', plainScheme: 'http', hasClientCertificate: false } as const;
  const cannot = (why: string) => new CommandError(`Cannot reach ${name}: ${why}`, 1, { cause: failure });
  const why = explainConnection(failure, attempt);
  if (why !== null) return cannot(why);
  const isNoHttp = code.startsWith('HPE_');
  if (!isNoHttp && code !== 'ECONNRESET' && code !== 'EPIPE') return cannot(failure.message);
  if (!isSecure && (await speaksTls(String(host), Number(port)))) return cannot('TLS is spoken there; write https://');
  const usual = 'it is on port 18083 unless admin.listeners says otherwise; 1883 is the port of MQTT';
  return cannot(`what is there hung up, or does not speak HTTP; is that the address of the HTTP API? (${usual})`);
}

/** No broker takes commands for a data directory. */
function notOn({ isNamed }: RunningBroker, directory: string, code: string, cause: CodedError): CommandError {
  const failed = (what: string) => new CommandError(what, 1, { cause });
  const where = resolve(directory);
  if (code === 'EACCES' || code === 'EPERM') {
    const what = `Not allowed to give commands to the broker on ${where}: only the user that runs it may`;
    return failed(`${what} (sudo -u USER sluice …), or whoever has a key, by --url`);
  }
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    const found = existsSync(directory)
      ? existsSync(socketIn(directory))
        ? 'its control.sock is that of one that has ended'
        : 'there is no control.sock in it'
      : 'there is no such directory';
    const elsewhere = isNamed
      ? 'is it the data directory of the broker, as the line "started" of its log has it? (sluice start starts one)'
      : 'start one (sluice start), or say where it is: --data-dir DIR, --config FILE or --url URL';
    return failed(`No broker is running on ${where} (${found}); ${elsewhere}`);
  }
  if (code === 'ECONNRESET' || code === 'EPIPE') return endedEarly(cause);
  if (code === 'ENAMETOOLONG' || code === 'EINVAL') {
    return failed(`The path of ${where} is too long for a socket; give the command in a directory nearer to it`);
  }
  return failed(`Cannot reach the broker on ${where}: ${cause.message}`);
}
