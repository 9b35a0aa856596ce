/**
 * What every request passes before anything else is done for it: bans, rates, and how much one connection may ask
 * without waiting for answers.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { LeakyBuckets } from '../base/ttl-table.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { LoginPenalties } from '../contracts/login-penalties.ts';
import { ApiConnections, type ConnectionLimits, nameOf } from './connections.ts';
import { type Place, setPlace, sourceFrom } from './place.ts';
import { problemFrom, problemOf, retryAfter } from './problem.ts';
import { RequestRate } from './rates.ts';
import { announcesBody, problemOfParser, refuse, refuseSocket } from './raw-answers.ts';
import { responseTo } from './upgrades.ts';

export interface DoorLimits extends ConnectionLimits {
  readonly requestsPerSecondPerAddress: number;
}

export interface DoorTools {
  readonly limits: DoorLimits;
  readonly penalties: LoginPenalties;
  readonly now: () => number;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Those that any path takes, or refuses as one that it does not; no path knows others. */
export const methods: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];
/** Requests that one connection may have under way. Hardly any client sends a second one before it has its answer. */
const pipelinedMax = 8;
const toldPerSecond = 10;
const toldMax = 4_096;
/** On the control socket, whose owner has other means. */
const socketConnectionsMax = 256;
/** A client that reads nothing of its answer for this long is gone. */
const unreadMs = 30_000;

export class Door {
  readonly #tools: DoorTools;
  readonly #connections: ApiConnections;
  readonly #rate: RequestRate;
  /** Who was told in the last second that they are refused. */
  readonly #told = new LeakyBuckets(1_000 / toldPerSecond, toldMax);

  constructor(tools: DoorTools) {
    this.#tools = tools;
    this.#connections = new ApiConnections(tools.limits);
    this.#rate = new RequestRate(tools.limits.requestsPerSecondPerAddress);
  }

  /** `handle` gets the requests that come in at this server. */
  open(server: Server, place: Place, handle: Handler): void {
    if (place.kind === 'socket') server.maxConnections = socketConnectionsMax;
    else server.on('connection', (socket: Socket) => this.#accept(socket, place));
    server.on(place.kind === 'https' ? 'secureConnection' : 'connection', readInPieces);
    const take: Handler = (request, response) => {
      setPlace(request, place);
      if (this.#lets(request, response)) handle(request, response);
    };
    server.on('request', take);
    // The body is asked for once it is known that it will be read.
    server.on('checkContinue', take);
    server.on('checkExpectation', (_: IncomingMessage, response: ServerResponse) => {
      refuse(response, problemOf('invalid-request', 'The header Expect may say 100-continue only'));
    });
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      readByOthers(socket);
      // Nobody would read it.
      if (announcesBody(request)) refuseSocket(socket, problemOf('invalid-request', 'A handshake has no body'));
      else take(request, responseTo(request, socket, head));
    });
    server.on('connect', (_: IncomingMessage, socket: Socket) => {
      refuseSocket(socket, problemOf('no-such-path', 'This is no proxy'));
    });
    server.on('clientError', (error: Error, socket: Socket) => {
      const problem = problemOfParser(error);
      if (problem === null || isOwedAnother(socket)) socket.destroy();
      else refuseSocket(socket, problem);
    });
    server.timeout = unreadMs;
    server.on('timeout', (socket: Socket) => {
      if (socket.writableLength > 0) socket.destroy();
    });
  }

  #accept(socket: Socket, { kind }: Place): void {
    const source = sourceFrom(socket, this.#tools.penalties);
    const isUnwelcome = source !== null && this.#isUnwelcome(source, kind === 'https');
    if (socket.remoteAddress === undefined || isUnwelcome || !this.#connections.add(socket, source)) socket.destroy();
  }

  /** Whoever would be refused is told so some times a second. Over TLS that would cost a handshake first. */
  #isUnwelcome(source: string, isTls: boolean): boolean {
    const { penalties, now } = this.#tools;
    if (penalties.banOf(source, null) === null && !this.#rate.isSpent(source, now())) return false;
    return isTls || this.#told.level(source, now()) + 1 > toldPerSecond;
  }

  /** Whether the request goes on; else it is answered, or its connection is gone. */
  #lets(request: IncomingMessage, response: ServerResponse): boolean {
    const { socket } = request;
    const name = nameOf(socket);
    response.once('close', () => this.#connections.end(name));
    if (this.#connections.begin(socket) > pipelinedMax) {
      const source = sourceFrom(socket, this.#tools.penalties);
      if (source !== null && !socket.destroyed) this.#rate.spend(source, this.#tools.now());
      socket.destroy();
      return false;
    }
    if (!methods.includes(request.method ?? '')) {
      const detail = `${request.method} is taken by no path`;
      refuse(response, problemOf('no-such-method', detail), { Allow: methods.join(', ') });
      return false;
    }
    try {
      const source = sourceFrom(socket, this.#tools.penalties);
      if (source !== null) this.#check(source);
      return true;
    } catch (error) {
      const told = sourceFrom(socket, this.#tools.penalties);
      if (told !== null) this.#told.add(told, this.#tools.now());
      const seconds = retryAfter(error);
      refuse(response, problemFrom(error)!, seconds === null ? {} : { 'Retry-After': `${seconds}` });
      return false;
    }
  }

  #check(source: string): void {
    const { penalties, now } = this.#tools;
    const ban = penalties.banOf(source, null);
    if (ban !== null) {
      const what = `Banned until ${new Date(ban.until).toISOString()}: ${ban.why}`;
      throw new CommandFailure('banned', what);
    }
    this.#rate.take(source, now(), 'requestsPerSecondPerAddress');
  }
}

/** Whether the client would take the answer for that to an earlier request. */
function isOwedAnother(socket: Socket): boolean {
  const response = (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? null;
  return response !== null && (response.headersSent || response.req.complete);
}

/** Of what was read in one go. The shortest request has 28 bytes. */
const pieceBytes = 512;

/**
 * Node's parser calls for every request in what it is given, some thousands in one read, and cannot be stopped
 * meanwhile. So it gets a little at a time, and no more once the connection is given up.
 */
function readInPieces(socket: Socket): void {
  const [parse] = socket.listeners('data') as [((bytes: Buffer) => void)?];
  if (parse === undefined) return;
  const read = (bytes: Buffer) => {
    for (let at = 0; at < bytes.length && !socket.destroyed && !socket.writableEnded; at += pieceBytes) {
      // Somebody else reads from now on, after an upgrade.
      const isOver = (socket as { parser?: object | null }).parser == null;
      if (isOver || socket.isPaused()) return void socket.unshift(bytes.subarray(at));
      parse(bytes.subarray(at, at + pieceBytes));
    }
  };
  socket.off('data', parse);
  socket.on('data', read);
  readers.set(socket, read);
}

const readers = new WeakMap<Socket, (bytes: Buffer) => void>();

/** What follows is not for Node's parser. */
function readByOthers(socket: Socket): void {
  const read = readers.get(socket);
  if (read !== undefined) socket.off('data', read);
}
