/** Commands to a running broker: over the socket of its data directory, or to its URL with a key. */
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createInterface } from 'node:readline';
import { socketBeside, socketIn } from '../admin/control-socket.ts';
import { readConfig } from '../config/load.ts';
import {
  type CommandAnswer,
  type CommandName,
  type CommandRequest,
  checkedAnswer,
  checkedRequest,
  type SingleName,
  type StreamName,
} from '../contracts/commands.ts';
import { type HttpRequest, httpRequestOf, problemMediaType, problemsPath } from '../contracts/http.ts';
import type { Io } from './io.ts';
import { CommandError } from './usage.ts';

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
  return { name: directory, isSecure: false, ways };
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
    ...(cafile === undefined ? {} : { ca: authorityIn(cafile) }),
  };
  return { name: url.origin, isSecure: protocol === 'https:', ways: [way] };
}

function authorityIn(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CommandError(`Cannot read ${file}: ${(error as Error).message}`);
  }
}

/** Says what is wrong with the request, or what to do if no broker runs there. */
export async function callBroker<Name extends SingleName>(
  broker: RunningBroker,
  name: Name,
  request: CommandRequest<Name>,
  otherwise = '',
): Promise<CommandAnswer<Name>> {
  const response = await ask(broker, name, request as object, otherwise);
  return checkedAnswer(name, await jsonOf(response));
}

/** What it answers at a path beside the API. */
export async function getFromBroker(broker: RunningBroker, path: string): Promise<{ status: number; json: unknown }> {
  const response = await reach(broker, { method: 'GET', path, body: null }, '');
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
  const response = await ask(broker, name, request as object, '');
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
  request: object,
  otherwise: string,
): Promise<IncomingMessage> {
  try {
    checkedRequest(name, request);
  } catch (error) {
    throw new CommandError((error as Error).message, 2);
  }
  const response = await reach(broker, httpRequestOf(name, request as Record<string, unknown>), otherwise);
  if (response.statusCode !== undefined && response.statusCode < 300) return response;
  throw await refusal(response);
}

/** The broker's own words; a request that it calls wrong is one that this command should not have made. */
async function refusal(response: IncomingMessage): Promise<CommandError> {
  const { statusCode, headers } = response;
  if (headers['content-type'] !== problemMediaType) {
    response.destroy();
    return new CommandError(`What answers there is no Sluice broker: it answers with status ${statusCode}`);
  }
  const { type, detail, remedy } = (await jsonOf(response)) as { type: string; detail: string; remedy: string };
  const isPlain = ['not-found', 'conflict', 'invalid-request'].some((kind) => type === `${problemsPath}/${kind}`);
  if (type === `${problemsPath}/unauthenticated`) {
    return new CommandError(
      `${detail}. Give one by the environment variable SLUICE_KEY; sluice admin key create makes it`,
    );
  }
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

async function reach(
  { name, isSecure, ways }: RunningBroker,
  { method, path, body }: HttpRequest,
  otherwise: string,
): Promise<IncomingMessage> {
  let failure: NodeJS.ErrnoException | null = null;
  for (const way of ways) {
    const type = body === null ? {} : { 'Content-Type': 'application/json' };
    const options = { ...way, method, path, headers: { ...way.headers, ...type, Connection: 'close' } };
    const asked = (isSecure ? httpsRequest : httpRequest)(options);
    asked.end(body ?? undefined);
    try {
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      return response;
    } catch (error) {
      failure = error as NodeJS.ErrnoException;
      if (failure.code !== 'ENOENT' && failure.code !== 'ECONNREFUSED') break;
    }
  }
  const { code, message } = failure!;
  if (code === 'ECONNRESET' || code === 'EPIPE') throw endedEarly(failure);
  if (code !== 'ENOENT' && code !== 'ECONNREFUSED') throw new CommandError(`Cannot reach ${name}: ${message}`);
  const where = ways.some((way) => way.socketPath !== undefined) ? `on ${name}; name its --data-dir` : `at ${name}`;
  throw new CommandError(`No broker is running ${where}${otherwise}`);
}
