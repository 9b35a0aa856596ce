/** The API's routes, behind what every request passes. Loaded when the first request comes. */
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { Commands } from '../admin/commands.ts';
import { CommandFailure, type FailureKind, failures } from '../contracts/failures.ts';
import { apiPath, problemsPath } from '../contracts/http.ts';
import type { Log } from '../contracts/log.ts';
import type { Caller } from '../contracts/roles.ts';
import { defaultLimits } from '../contracts/settings.ts';
import { BodyRoom, bodyReader, largeBodyBytes } from './bodies.ts';
import { Callers, type CallerTools, CredentialsFailure } from './callers.ts';
import { addDashboard } from './dashboard.ts';
import { Delays } from './delays.ts';
import type { DoorTools } from './door.ts';
import { IdempotencyTable } from './idempotency.ts';
import { addLogin, type LoginTools } from './login.ts';
import { addMonitoring, type Monitoring } from './monitoring.ts';
import { openApi } from './openapi.ts';
import { checkHeaders, checkHost, type KnownNames } from './own-host.ts';
import { problemFrom, problemOf, retryAfter } from './problem.ts';
import { addRoutes, sendProblem } from './routes.ts';
import type { StreamPlaces } from './stream-places.ts';
import type { Turns } from './turns.ts';

export interface ApiTools extends LoginTools, DoorTools {
  readonly limits: CallerTools['limits'] & DoorTools['limits'];
  readonly commands: Commands;
  readonly log: Log;
  readonly version: string;
  readonly names: KnownNames;
  readonly monitoring: Monitoring;
  /** Largest message that may be published. Default: that of the settings. */
  readonly packetBytes?: number;
}

const bodyBytesMax = 1_048_576;
/** Of a part of the path; a client identifier has 65,535 bytes at most, and headers less than that in all. */
const parameterCharactersMax = 200_000;

/** Of a path that is told. */
const shownMax = 200;
const headers = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
};

export async function createApp(tools: ApiTools, streams: StreamPlaces, turns: Turns): Promise<FastifyInstance> {
  const { commands, log } = tools;
  const app = Fastify({
    bodyLimit: bodyBytesMax,
    routerOptions: { maxParamLength: parameterCharactersMax },
    frameworkErrors: (_, { url }, reply) => {
      const detail = `There can be nothing at ${url.slice(0, shownMax)}`;
      return sendProblem(reply.headers(headers), problemOf('invalid-request', detail));
    },
  });
  const callers = new Callers(tools);
  const delays = new Delays();
  const known = new WeakMap<FastifyRequest, Caller>();
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(headers);
    checkHeaders(request.raw);
    if (!isForAnyHost(request)) checkHost(request.raw, tools.names);
    // Before any of the body is read.
    if (!isPublic(request)) known.set(request, callers.of(request.raw));
  });
  const largest = largeBodyBytes(tools.packetBytes ?? defaultLimits.packetBytes);
  const bodies = new BodyRoom(largest);
  app.addHook('preParsing', async ({ raw, routeOptions: { bodyLimit } }, reply) => {
    bodies.take(raw, reply.raw, bodyLimit ?? bodyBytesMax);
    if (raw.headers.expect !== undefined) reply.raw.writeContinue();
  });
  // What has not come is not waited for, and not read.
  app.addHook('onSend', async ({ raw }, reply) => {
    if (!raw.complete) reply.header('Connection', 'close');
  });
  app.addHook('onResponse', async ({ method, url }, { statusCode, elapsedTime }) => {
    const path = url.slice(0, shownMax).split('?', 1)[0]!;
    log.debug({ method, path, status: statusCode, ms: Math.round(elapsedTime) }, 'a request was answered');
  });
  app.removeContentTypeParser(['application/json', 'text/plain']);
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, bodyReader(turns));
  app.setErrorHandler(async (error, request, reply) => {
    if (error instanceof CredentialsFailure) await delays.wait(error.delayMs, reply.raw);
    const problem = problemFrom(error);
    if (problem !== null) return sendProblem(reply, problem, retryAfter(error));
    const path = request.url.slice(0, shownMax);
    log.error({ err: error, method: request.method, path }, 'a request to the API failed');
    return sendProblem(reply, problemOf('internal-error', 'The log has more'));
  });
  app.setNotFoundHandler(({ method, url }, reply) => {
    const detail = `There is nothing for ${method} ${url.slice(0, shownMax)}`;
    return sendProblem(reply, problemOf('no-such-path', detail));
  });
  addRoutes(app, {
    ...{ commands, log },
    callerOf: (request) => known.get(request)!,
    isStillValid: ({ raw }) => callers.isStillValid(raw),
    streams,
    turns,
    largeBodyBytes: largest,
    idempotency: new IdempotencyTable(tools.now),
  });
  addDescriptions(app, tools);
  addDashboard(app);
  addLogin(app, tools, callers);
  addMonitoring(app, tools, callers);
  await app.ready();
  return app;
}

/** What says nothing of this broker. */
const isPublic = ({ routeOptions: { config } }: FastifyRequest) => (config as { isPublic?: true }).isPublic === true;
const isForAnyHost = ({ routeOptions: { config } }: FastifyRequest) =>
  (config as { isForAnyHost?: true }).isForAnyHost === true;
const open = { config: { isPublic: true } } as const;

function addDescriptions(app: FastifyInstance, { version }: ApiTools): void {
  const description = JSON.stringify(openApi(version));
  app.get(`${apiPath}/openapi.json`, open, (_, reply) => reply.type('application/json').send(description));
  app.get<{ Params: { kind: string } }>(`${problemsPath}/:kind`, open, ({ params: { kind } }, reply) => {
    if (!Object.hasOwn(failures, kind)) throw new CommandFailure('not-found', 'There is no such problem');
    const { status, title, remedy } = failures[kind as FailureKind];
    const text = `${title} (${kind}, HTTP status ${status})\n\n${remedy}\n`;
    return reply.type('text/plain; charset=utf-8').send(text);
  });
}
