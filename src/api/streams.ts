/**
 * Streams of events, as a client wants them: server-sent events, a line of JSON each, or messages of a WebSocket. All
 * pass the same: who asks, how many there may be, and how long they may go on.
 */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Commands } from '../admin/commands.ts';
import type { CommandDeclaration } from '../contracts/commands/declaration.ts';
import { type CommandName, commands } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { Log } from '../contracts/log.ts';
import type { Caller } from '../contracts/roles.ts';
import { CloseCode, isHandshake, TextSocket } from '../net/text-socket.ts';
import type { StreamPlaces } from './stream-places.ts';
import { streamOver } from './stream-socket.ts';
import { eventsInTurns, textsInTurns } from './stream-turns.ts';
import type { Turns } from './turns.ts';
import { isForWebSocket, upgradeOf } from './upgrades.ts';

export interface StreamTools {
  readonly commands: Commands;
  /** Throws a CommandFailure if nobody has shown who asks. */
  readonly callerOf: (request: FastifyRequest) => Caller;
  /** Whether what showed who asks is still valid: a stream outlives neither its key nor its session. */
  readonly isStillValid: (request: FastifyRequest) => boolean;
  readonly streams: StreamPlaces;
  readonly log: Log;
  readonly turns: Turns;
  readonly textOf: TextOf;
}

/** Writes an event as JSON. */
export type TextOf = (event: object) => string;

/** For an event that goes to many readers. */
export function writtenOnce(): TextOf {
  const texts = new WeakMap<object, string>();
  return (event) => {
    let text = texts.get(event);
    if (text === undefined) texts.set(event, (text = JSON.stringify(event)));
    return text;
  };
}

const eventStream = 'text/event-stream';
const jsonLines = 'application/x-ndjson';
/** How often a stream looks whether its key or session is still valid. */
const validityMs = 1_000;
/** Proxies end a connection on which nothing comes. */
const heartbeatMs = 15_000;

type Form = typeof eventStream | typeof jsonLines | 'websocket';

/** Throws a CommandFailure for one that there is not. */
function formOf({ raw }: FastifyRequest): Form {
  if (upgradeOf(raw) !== null && isForWebSocket(raw)) {
    if (isHandshake(raw)) return 'websocket';
    throw new CommandFailure('invalid-request', 'This handshake of a WebSocket is not one of version 13 [RFC 6455]');
  }
  const { accept = '*/*' } = raw.headers;
  if (accept.includes(eventStream)) return eventStream;
  if (/\*\/\*|application\/(\*|x-ndjson)/.test(accept)) return jsonLines;
  throw new CommandFailure('not-acceptable', `A stream is ${eventStream} or ${jsonLines}, not ${accept}`);
}

export async function sendStream(
  name: CommandName,
  given: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  tools: StreamTools,
): Promise<unknown> {
  const { commands: all, callerOf, isStillValid, streams, textOf, turns } = tools;
  const form = formOf(request);
  const caller = callerOf(request);
  const leave = streams.take(caller);
  const ended = new AbortController();
  const watch = setInterval(() => isStillValid(request) || ended.abort(invalid), validityMs).unref();
  const end = () => {
    clearInterval(watch);
    ended.abort();
    leave();
  };
  reply.raw.once('close', end);
  const signal = AbortSignal.any([ended.signal, streams.closing]);
  let events: AsyncIterable<object>;
  try {
    events = all.stream(name, given, caller, signal);
  } catch (error) {
    leave();
    throw error;
  }
  if (form === 'websocket') {
    void sendOverSocket(
      eventsInTurns(events, turns),
      signal,
      request,
      reply,
      acknowledgerOf(name, given, caller, all),
      tools,
    );
    return reply;
  }
  return reply
    .type(form === eventStream ? `${eventStream}; charset=utf-8` : jsonLines)
    .header('X-Accel-Buffering', 'no')
    .send(
      Readable.from(
        textsInTurns(form === eventStream ? serverSent(events, textOf) : lines(events, textOf, reply), turns),
        { objectMode: false },
      ),
    );
}

const invalid = 'the key or session is no longer valid';

/** Takes the connection over. `reply.raw` is told when it ends, as if it were a response. */
async function sendOverSocket(
  events: AsyncIterable<object>,
  signal: AbortSignal,
  { raw: request }: FastifyRequest,
  reply: FastifyReply,
  acknowledge: ((upTo: number) => Promise<unknown>) | null,
  { log, textOf }: StreamTools,
): Promise<void> {
  const { raw: response } = reply.hijack();
  const { socket: connection, head } = upgradeOf(request)!;
  response.detachSocket(connection);
  connection.once('close', () => response.emit('close'));
  const socket = await TextSocket.accept(request, connection, head);
  const abortedBy = () => {
    if (!signal.aborted) return null;
    if (signal.reason === invalid) return { code: CloseCode.policy, reason: invalid };
    return { code: CloseCode.goingAway, reason: 'the broker stops' };
  };
  // Whoever reads nothing does not hold up the end.
  if (signal.aborted) socket.endSoon();
  else signal.addEventListener('abort', () => socket.endSoon(), { once: true });
  await streamOver(socket, { events, textOf, acknowledge, abortedBy, log });
}

/** What takes acknowledgements of a stream with a name; null: there are none. */
function acknowledgerOf(
  name: CommandName,
  given: unknown,
  caller: Caller,
  all: Commands,
): ((upTo: number) => Promise<unknown>) | null {
  const { acknowledgedBy }: CommandDeclaration = commands[name];
  const { name: stream } = given as { readonly name?: unknown };
  if (acknowledgedBy === undefined || typeof stream !== 'string') return null;
  return (upTo) => all.receive(acknowledgedBy, { name: stream, upTo }, caller);
}

async function* lines(events: AsyncIterable<object>, textOf: TextOf, { raw }: FastifyReply): AsyncGenerator<string> {
  // The first event may be long in coming, and the client is to know that it is connected.
  raw.flushHeaders();
  for await (const event of events) yield `${textOf(event)}\n`;
}

async function* serverSent(events: AsyncIterable<object>, textOf: TextOf): AsyncGenerator<string> {
  // Something has to come first, so that the client knows that it is connected.
  yield ':\n\n';
  const iterator = events[Symbol.asyncIterator]();
  let next = iterator.next();
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined;
      const silence = new Promise<null>((resolve) => {
        timer = setTimeout(resolve, heartbeatMs, null);
      });
      const result = await Promise.race([next, silence]).finally(() => clearTimeout(timer));
      if (result === null) {
        yield ':\n\n';
        continue;
      }
      if (result.done) return;
      yield `data: ${textOf(result.value)}\n\n`;
      next = iterator.next();
    }
  } finally {
    await iterator.return?.();
  }
}
